"""Room for decoded images: an array in memory, or a file that later runs find again.

A cache file is used only if the same files, of the same sizes and times of change, were decoded in the same way. It is
written under another name and gets its own when it is complete, so a run that is killed leaves no half of one.
"""

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minidl.io import replacing

FREE = 64 * 1024**2                              # bytes to leave on the disk


class Room:
    """Images bytes (N, C, H, W) that are put in one by one; those that cannot be read are taken out at the end."""

    is_complete = False

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.faults: dict[int, str] = {}

    def put(self, i: int, image: np.ndarray | str) -> None:
        """Put in image number i, or the reason why it cannot be read."""
        if isinstance(image, str):
            self.faults[i] = image
        else:
            self.images[i - len(self.faults)] = image

    def finish(self) -> tuple[np.ndarray, dict[int, str]]:
        """(the images, the faults)"""
        return self.images[:len(self.images) - len(self.faults)], self.faults

    def discard(self) -> None:
        """Give the room back, because not all images have been put in."""


class Cached(Room):
    """The same in a file, with a JSON file beside it that is written last."""

    def __init__(self, path: Path, key: str, count: int, shape: tuple[int, ...]) -> None:
        self.path, self.facts_path, self.key = path, path.with_suffix(".json"), key
        facts = self.read_facts(count)
        self.is_complete = facts is not None
        if facts is not None:
            self.faults = {int(i): str(fault) for i, fault in facts["faults"].items()}
            self.images = np.memmap(path, np.uint8, "r", shape=(count - len(self.faults), *shape))
            return
        self.partial = path.with_name(f".{path.name}.{os.getpid()}")
        reserve(self.partial, count * int(np.prod(shape)))
        super().__init__(np.memmap(self.partial, np.uint8, "r+", shape=(count, *shape)))

    def read_facts(self, count: int) -> dict[str, Any] | None:
        """What is known of a complete cache file; None if there is none."""
        try:
            facts = json.loads(self.facts_path.read_text(encoding="utf-8"))
            good = facts["key"] == self.key and all(0 <= int(i) < count for i in facts["faults"])
            return facts if good and self.path.exists() and self.path.stat().st_size == facts["bytes"] else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def finish(self) -> tuple[np.ndarray, dict[int, str]]:
        images, faults = super().finish()
        self.images.flush()  # type: ignore[attr-defined]
        shape, size = images.shape, images.nbytes
        self.images = images = np.empty(0, np.uint8)          # closes the map before the file is cut and renamed
        os.truncate(self.partial, size)
        self.facts_path.unlink(missing_ok=True)               # those of an older file
        self.partial.replace(self.path)
        facts = {"key": self.key, "bytes": size, "faults": {str(i): fault for i, fault in faults.items()}}
        with replacing(self.facts_path) as file:
            file.write(json.dumps(facts).encode())
        return np.memmap(self.path, np.uint8, "r", shape=shape) if size else np.empty(shape, np.uint8), faults

    def discard(self) -> None:
        self.images = np.empty(0, np.uint8)
        self.partial.unlink(missing_ok=True)


def room_for(paths: Sequence[str], shape: tuple[int, ...], how: str, cache: str | Path | None,
             beside: Sequence[str] = ()) -> Room:
    """Room for the images of these files, and of those `beside` them, in memory or in the folder `cache`.

    Raises MemoryError or OSError, with what to do, if there is not enough.
    """
    size = len(paths) * int(np.prod(shape))
    if cache is None:
        try:
            return Room(np.empty((len(paths), *shape), np.uint8))
        except MemoryError:
            raise MemoryError(f"no memory for {len(paths):,} images of {shape}, {size / 2**30:.1f} GiB; give a folder "
                              "as `cache` to keep them on disk, or a smaller size") from None
    key = hashlib.sha256(json.dumps([how, *shape, *map(state, [*paths, *beside])]).encode()).hexdigest()
    name = hashlib.sha256(json.dumps([how, *shape, *map(os.path.abspath, [*paths, *beside])]).encode()).hexdigest()[:16]
    return Cached(Path(cache).expanduser() / f"images-{name}.bin", key, len(paths), shape)


def state(path: str) -> tuple[str, int, int]:
    """(path, size, time of change): what tells whether a file is still the one that was decoded."""
    try:
        facts = os.stat(path)
    except OSError:
        return os.path.abspath(path), -1, -1
    return os.path.abspath(path), facts.st_size, facts.st_mtime_ns


def reserve(path: Path, size: int) -> None:
    """A file of `size` bytes that has its place on the disk; OSError with what to do if it cannot be made.

    A file without its place would end the process when the disk is full: writing to a memory map cannot fail otherwise.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize if hasattr(os, "statvfs") else None
        if free is not None and free < size + FREE:
            raise OSError(errno.ENOSPC, f"{size / 2**20:,.0f} MiB are needed for decoded images, and "
                                        f"{free / 2**20:,.0f} MiB are free")
        with open(path, "wb") as file:
            allocate(file.fileno(), size)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cache {folder}: {reason}; give another folder as `cache`, or a smaller "
                                   "size") from error


def allocate(file: int, size: int) -> None:
    """Give a file that many bytes on the disk; only that length, where the system can do no more."""
    os.truncate(file, size)
    if hasattr(os, "posix_fallocate") and size:
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed have left."""
    for path in folder.glob(".images-*.bin.*"):
        with suppress(OSError, ValueError):
            if not is_alive(int(path.suffix[1:])):
                path.unlink()


def is_alive(process: int) -> bool:
    """Whether there is a process of this number; where nobody can ask, there is."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:                              # of another user
        pass
    return True
