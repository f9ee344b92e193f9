"""A data set that is a folder, or still an archive of it, in the folder of data sets.

An archive is unpacked once, into the user's cache. Only plain files with safe names are taken out: nothing is written
outside of the new folder, links are left out, and the folder gets its name when it is complete.
"""

import hashlib
import shutil
import uuid
from pathlib import Path, PurePosixPath

import pooch

from minidl.data.archive import find_archive, pieces, plain_files
from minidl.data.idx import DataError
from minidl.data.root import check_root
from minidl.io.download import data_root

MOST_FILES, MOST_BYTES = 1_000_000, 1 << 36      # of what is unpacked


def folder_or_archive(name: str, root: str | Path | None = None, hint: str = "") -> Path:
    """The folder <root>/<name>/, or that of the archive <root>/<name>.tar (.tar.gz, .tgz, .tar.xz, ...), unpacked.

    root   the folder of data sets; by default $MINIDL_DATA, else the user's cache
    hint   where the data comes from, for the error message if there is neither
    Raises FileNotFoundError, which says what to do, and DataError for a damaged or dangerous archive.
    """
    place = data_root(root)
    needed = f"the data set {name} needs the folder {name}/ or the archive {name}.tar in {place}"
    check_root(root, needed)
    if (place / name).is_dir():
        return place / name
    archive = find_archive(place, name)
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
    with plain_files(archive, MOST_BYTES, MOST_FILES, "Replace it, or unpack it by hand.") as files:
        for name, size, content in files:
            room -= size
            if room < 0:
                raise DataError("its files need more room than there is")
            target = folder / safe(name)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as file:
                    file.writelines(pieces(content))
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise DataError(f"{name!r:.100} is both a file and a folder in it") from error


def safe(name: str) -> PurePosixPath:
    """The path of a member, which must stay within the folder into which it is unpacked."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name or not path.parts:
        raise DataError(f"the name {name!r:.100} leads out of the folder; nothing is unpacked")
    return path
