"""Files that are there whole or not at all.

What is written goes to a passing name in the same folder, down to the disk, and only then takes the place of the old
file. A process killed at any moment, or a power cut, leaves the old file or the new one, and never a half of either.
At worst a passing file stays behind; `sweep` removes those of a folder.
"""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """A file open for writing bytes: it becomes `path` if the block ends well, and vanishes if not.

    Raises OSError that names `path` if it cannot be written; what was there before is then still there.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        kept = "; what was saved there before is kept" if path.is_file() else ""
        reason = error.strerror or error if path.parent.exists() else f"there is no folder {path.parent}"
        raise OSError(error.errno, f"cannot write {path}: {reason}{kept}") from error
    finally:
        part.unlink(missing_ok=True)


def sweep(folder):
    """Remove what writers that were killed left behind in `folder`."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


def sync_folder(folder):
    """Bring the names in `folder` down to the disk, where the system lets a folder be opened (Windows does not)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
