"""The folder of data sets, if the user names one."""

import os
from pathlib import Path


def check_root(root: str | Path | None, needed: str) -> None:
    """Raise FileNotFoundError or NotADirectoryError unless `root`, or else $MINIDL_DATA, is a folder or not given.

    A wrong name would otherwise become a new folder that a download fills, or training would go on without the data.
    `needed` says what is missing there.
    """
    name = os.environ.get("MINIDL_DATA") or None if root is None else str(root)
    if name is None or (name and Path(name).expanduser().is_dir()):
        return
    shown = f"{name!r}" if root is not None else f"{name!r} ($MINIDL_DATA)"
    if name and Path(name).expanduser().exists():
        raise NotADirectoryError(f"{needed}, but {shown} is not a folder; name another")
    raise FileNotFoundError(f"{needed}, but there is no folder {shown}; make it, or name another")
