"""Files taken out of a tar archive, packed in any way, without unpacking anything to the disk.

An archive is hostile until its files are checked: sizes are compared with limits before memory is taken, whatever is
not a plain file is passed over, and so is a name that leads out of the archive.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import IO, Any

from minidl.data.idx import DataError
from minidl.io.foreign import in_its_place

ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar")
PACKINGS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
MOST_FILES = 1000                                # in an archive of a data set


class Limited:
    """A file of which no more than `limit` bytes are read at a time."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.file, self.limit = file, limit
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.limit:
            raise DataError(f"{count:,} bytes are more than a file in it can have")
        return self.file.read(count)

    def seek(self, position: int) -> int:
        """Read on to the position, so that a packed file ends where its bytes end."""
        return self.file.seek(position)


def find_archive(folder: Path, name: str) -> Path | None:
    """The archive called `name` in a folder, with one of the usual endings; None if there is none."""
    paths = [folder / f"{name}{ending}" for ending in ENDINGS]
    return next((path for path in paths if path.exists()), None)


def contents(archive: Path, names: Collection[str], limit: int) -> dict[str, bytes]:
    """{name: content} of the files of these names, in whatever folder of the archive.

    Raises DataError, naming the archive, if one is missing, if any file has more than `limit` bytes, or if the archive
    is damaged or none.
    """
    if archive.is_dir():
        raise DataError(f"{archive}: this is a folder, not a file. Put the file there in its place.")
    found: dict[str, bytes] = {}
    again = "Delete it and download it again."
    try:
        with archive.open("rb") as raw, opened(raw) as file, tarfile.open(fileobj=Limited(file, limit),  # type: ignore
                                                                          mode="r:") as tar:
            for number, member in enumerate(tar):
                check_member(number, member, limit)
                path = PurePosixPath(member.name)
                inside = not (path.is_absolute() or ".." in path.parts)
                if path.name in names and path.name not in found and inside and member.isreg():
                    found[path.name] = tar.extractfile(member).read()                              # type: ignore
                    if len(found) == len(names):
                        return found
    except DataError as error:
        raise DataError(f"{archive}: {error}. {again}") from None
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{archive}: {damage(archive, error)}. {again}") from error
    missing = " and ".join(name for name in names if name not in found)
    raise DataError(f"{archive}: does not hold {missing}. {again}")


def opened(raw: IO[bytes]) -> Any:
    """The file without its packing."""
    start = raw.read(8)
    raw.seek(0)
    return next((unpack(raw) for magic, unpack in PACKINGS.items() if start.startswith(magic)), raw)


def check_member(number: int, member: tarfile.TarInfo, limit: int) -> None:
    """Refuse what no archive of a data set has."""
    if member.size > limit:
        raise DataError(f"{member.name!r:.80} has {member.size:,} bytes, more than a file in it can have")
    if number >= MOST_FILES:
        raise DataError(f"it has more than {MOST_FILES} files")


def damage(archive: Path, error: Exception) -> str:
    """Why an archive cannot be read."""
    with archive.open("rb") as file:
        text = in_its_place(file.read(256))
    return f"not an archive; it {text}" if text else f"a damaged archive ({str(error).partition(chr(10))[0]})"
