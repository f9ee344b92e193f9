"""How a folder of images is arranged: which files are in which part, and of which class.

    <root>/<class>/*                     classes; with train/, val/ and test/ above them, parts, too
    <root>/images/*, <root>/masks/*      images with masks; with parts, too
    <root>/*                             images without classes
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from minidl.data.image_folder import class_names, existing_folder, images_below, part_folder
from minidl.data.image_masks import IMAGES, MASKS, paired
from minidl.io.find import Search

PARTS = ("train", "validation", "test")
NO_CLASS = "(no class)"                          # of images that are not in the folder of one


class File(NamedTuple):
    """An image: its part, its class, its path, and the path of its mask, or none."""

    part: str
    label: str
    path: str
    mask: str = ""


def files_of(root: str | Path, search: Search) -> list[File]:
    """The images of a folder in any of the arrangements."""
    folder = existing_folder("data", root, "it must hold images, in a folder for each class, or with masks")
    parts = {part: place for part in PARTS if (place := part_folder(folder, part)) is not None}
    return [file for part, place in (parts or {"": folder}).items() for file in files_of_part(place, part, search)]


def files_of_part(folder: Path, part: str, search: Search) -> Iterator[File]:
    """The images of one part. A class without images gives one File without a path."""
    images, masks = (first_folder(folder, names) for names in (IMAGES, MASKS))
    if images and masks:
        yield from (File(part, "", pair.image, pair.mask) for pair in paired(search, images, masks))
        return
    for name in class_names(folder, search):
        paths = list(images_below(search, folder / name))
        yield from (File(part, name, path) for path in paths or [""])
    loose = Search().once(path for path in search.below(str(folder)) if Path(path).parent == folder)
    yield from (File(part, NO_CLASS, path) for path in loose)


def first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of these folders that exists."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)
