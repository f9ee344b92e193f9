"""A data set that is a folder, or still an archive of it, in the folder of data sets.

An archive is unpacked once, into the user's cache. Only plain files with safe names are taken out: nothing is written
outside of the new folder, links are left out, and the folder gets its name when it is complete.
"""

import hashlib
import lzma
import os
import shutil
import tarfile
import uuid
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

import pooch

from minidl.data.idx import DataError
from minidl.data.root import check_root
from minidl.io.download import data_root

PACKINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
MOST_FILES, MOST_BYTES = 1_000_000, 1 << 36      # of what is unpacked
CHUNK = 1 << 20


def folder_or_archive(name: str, root: str | Path | None = None, hint: str = "") -> Path:
    """The folder <root>/<name>/, or that of <root>/<name>.tar (.tar.gz, .tgz, .tar.xz, .tar.bz2), unpacked.

    root   the folder of data sets; by default $MINIDL_DATA, else the user's cache
    hint   where the data comes from, for the error message if there is neither
    Raises FileNotFoundError, which says what to do, and DataError for a damaged or dangerous archive.
    """
    place = data_root(root)
    needed = f"the data set {name} needs the folder {name}/ or the archive {name}.tar in {place}"
    check_root(root, needed)
    if (place / name).is_dir():
        return place / name
    archive = next((path for packing in PACKINGS if (path := place / f"{name}{packing}").is_file()), None)
    if archive is None:
        raise FileNotFoundError(f"{needed}; put it there{', ' if hint else ''}{hint}")
    return unpacked(archive, Path(pooch.os_cache("minidl")) / "unpacked", name)


def unpacked(archive: Path, cache: Path, name: str) -> Path:
    """The folder `name` of an archive, in a folder of `cache` that belongs to this state of the archive."""
    state = archive.stat()
    key = hashlib.sha256(f"{archive.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:16]
    folder = cache / f"{name}-{key}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f".{uuid.uuid4().hex}.part"
        try:
            extract(archive, part)
            publish(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if not (folder / name).is_dir():
        raise DataError(f"{archive}: there is no folder {name}/ in this archive")
    return folder / name


def publish(part: Path, folder: Path) -> None:
    """Give a complete folder its name, unless another process was faster."""
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def extract(archive: Path, folder: Path) -> None:
    """Write the plain files of an archive into a new folder. Raises DataError if one would lie outside of it."""
    room = min(MOST_BYTES, shutil.disk_usage(folder.parent).free)
    try:
        with tarfile.open(archive) as tar:
            for number, member in enumerate(tar):
                if not member.isfile():
                    continue
                room -= member.size
                if number >= MOST_FILES or room < 0:
                    raise DataError(f"{archive}: its files need more room than there is, or are too many; unpack it "
                                    "by hand")
                target = folder / safe(archive, member.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as file:
                    copy(tar.extractfile(member), file)
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, FileExistsError, NotADirectoryError,
            IsADirectoryError) as error:
        raise DataError(f"{archive}: a damaged archive ({str(error).partition(os.linesep)[0]}); replace it, or unpack "
                        "it by hand") from error


def safe(archive: Path, name: str) -> PurePosixPath:
    """The path of a member, which must stay within the folder into which it is unpacked."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name or not path.parts:
        raise DataError(f"{archive}: the name {name!r:.100} leads out of the folder; the archive is not unpacked")
    return path


def copy(source: IO[bytes] | None, target: IO[bytes]) -> None:
    """Copy what a member holds, in pieces."""
    while source is not None and (piece := source.read(CHUNK)):
        target.write(piece)
