"""The plain files in a tar archive, packed in any way.

An archive is hostile until its files are checked: sizes are compared with limits before memory is taken, whatever is
not a plain file is passed over, and so is a name that leads out of the archive.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from minidl.data.idx import DataError
from minidl.io.foreign import in_its_place

ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar")
PACKINGS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
MOST_FILES = 1000                                # in an archive of a published data set
CHUNK = 1 << 20                                  # bytes that are read at a time


class Limited:
    """A file of which no more than CHUNK bytes are read at a time: a header may say that a name has gigabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        if not 0 <= count <= CHUNK:
            raise DataError(f"{count:,} bytes are more than a header in it can have")
        return self.file.read(count)

    def seek(self, position: int) -> int:
        """Read on to the position, so that a packed file ends where its bytes end."""
        return self.file.seek(position)


def find_archive(folder: Path, name: str) -> Path | None:
    """The archive called `name` in a folder, with one of the usual endings; None if there is none."""
    paths = [folder / f"{name}{ending}" for ending in ENDINGS]
    return next((path for path in paths if path.exists()), None)


@contextmanager
def plain_files(archive: Path, largest: int, most: int, advice: str) -> Iterator[Iterator[tuple[str, int, IO[bytes]]]]:
    """A context with (name, size, file to read) of each plain file in an archive, which has names of its own making.

    Raises DataError, naming the archive and what to do, if it is damaged or none, has more than `most` members or one
    of more than `largest` bytes; so it does with a DataError in the block.
    """
    if archive.is_dir():
        raise DataError(f"{archive}: this is a folder, not a file. Put the file there in its place.")
    try:
        with archive.open("rb") as raw, opened(raw) as file, tarfile.open(fileobj=Limited(file),  # type: ignore
                                                                          mode="r:") as tar:
            yield members(tar, largest, most)
    except DataError as error:
        raise DataError(f"{archive}: {error}. {advice}") from None
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:           # of the disk; gzip's and bz2's have none
            raise
        raise DataError(f"{archive}: {damage(archive, error)}. {advice}") from error


def members(tar: tarfile.TarFile, largest: int, most: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    """(name, size, file to read) of each plain file. Raises DataError for what no archive of a data set has."""
    for number, member in enumerate(tar):
        if member.size > largest:
            raise DataError(f"{member.name!r:.80} has {member.size:,} bytes, more than a file in it can have")
        if number >= most:
            raise DataError(f"it has more than {most:,} files")
        file = tar.extractfile(member) if member.isreg() else None
        if file is not None:
            yield member.name, member.size, file


def contents(archive: Path, names: Collection[str], limit: int) -> dict[str, bytes]:
    """{name: content} of the files of these names, in whatever folder of the archive.

    Raises DataError, naming the archive, if one is missing, if any file has more than `limit` bytes, or if the archive
    is damaged or none.
    """
    found: dict[str, bytes] = {}
    with plain_files(archive, limit, MOST_FILES, "Delete it and download it again.") as files:
        for name, _, file in files:
            path = PurePosixPath(name)
            if path.name in names and path.name not in found and not (path.is_absolute() or ".." in path.parts):
                found[path.name] = b"".join(pieces(file))
                if len(found) == len(names):
                    return found
        missing = " and ".join(name for name in names if name not in found)
        raise DataError(f"does not hold {missing}")


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """What a file holds, in pieces."""
    while piece := file.read(CHUNK):
        yield piece


def opened(raw: IO[bytes]) -> Any:
    """The file without its packing."""
    start = raw.read(8)
    raw.seek(0)
    return next((unpack(raw) for magic, unpack in PACKINGS.items() if start.startswith(magic)), raw)


def damage(archive: Path, error: Exception) -> str:
    """Why an archive cannot be read."""
    with archive.open("rb") as file:
        text = in_its_place(file.read(256))
    return f"not an archive; it {text}" if text else f"a damaged archive ({str(error).partition(chr(10))[0]})"
