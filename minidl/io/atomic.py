"""Files that are written completely or not at all.

The content goes to a temporary file in the same folder, is flushed to the disk, and then replaces the old file. If the
process is killed at any moment, or the power fails, either the old or the new file is there, never a part of one. At
worst a temporary file remains; `sweep` removes those of a folder.
"""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from minidl.io.checks import as_path


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file open for writing bytes: it replaces `path` if the block succeeds, and is removed if not.

    Raises OSError, naming `path`, if it cannot be written; an existing file then stays.
    """
    path = as_path("replacing", path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"cannot write {path}: Is a directory")
    if path.exists() and not path.is_file():     # /dev/stdout: a device must not be replaced
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f".{uuid.uuid4().hex}.part")               # short: the name may be as long as can be
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        kept = "; the previous file is kept" if path.is_file() else ""
        reason = error.strerror or error if path.parent.exists() else f"there is no folder {path.parent}"
        raise OSError(error.errno, f"cannot write {path}: {reason}{kept}") from error
    finally:
        with suppress(OSError):                  # its folder may be none; the error that matters is raised already
            part.unlink(missing_ok=True)


def sweep(folder: str | Path) -> None:
    """Remove the temporary files that killed writers left in `folder`."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush the file names in `folder` to the disk, on systems that can open a folder (Windows cannot)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
