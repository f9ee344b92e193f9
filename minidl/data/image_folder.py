"""Data sets from folders of photographs: the name of a folder is the class of the images in and below it.

    photos/cat/1.jpg                       photos/train/cat/1.jpg
    photos/dog/more/2.png        or        photos/val/cat/7.jpg, photos/test/dog/9.png

Each image is decoded once, by several threads, and kept as bytes of the size that the network takes: in memory, or in
a file that later runs find again (`folder_cache.py`). A set that fits into neither is decoded for each batch anew
(`streamed.py`). Images that cannot be read are left out and reported.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from minidl.augment.crop import size_pair
from minidl.data.dataset import ImageDataset, Subset
from minidl.data.decoding import decoded
from minidl.data.parts import Splits
from minidl.data.statistics import statistics
from minidl.data.streamed import streamed
from minidl.io.checks import is_whole
from minidl.io.find import Photograph, Search, is_visible
from minidl.io.image import MODES, centre_crop, read_image, resized
from minidl.scalars import flag

PARTS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
SHOWN = 8                                        # images that cannot be read, named one by one in `problems`


class FromFiles:
    """What sets of files have in common: the `paths` of their images, and `skipped`, those that cannot be read."""

    name: str
    paths: list[str]
    skipped: list[Photograph]

    def problems(self) -> str:
        """A summary of the images that were left out, for people; empty if there are none."""
        if not self.skipped:
            return ""
        lines = [f"  {path}: {error}" for path, error in self.skipped[:SHOWN]]
        more = len(self.skipped) - len(lines)
        total = len(self.paths) + len(self.skipped)
        return "\n".join([f"{self.name}: {len(self.skipped)} of {total} images cannot be read and are left out:",
                          *lines, *([f"  and {more} more"] if more else [])])


class ImageFolder(FromFiles, ImageDataset):
    """Images from files: an ImageDataset with the `paths` of its images, and `skipped`, those that cannot be read.

    `resize` is the length to which the shorter side of each was resized.
    """

    resize: int


def image_folder(root: str | Path, size: int | Sequence[int], *, resize: int | None = None, channels: int = 3,
                 classes: Sequence[str] | None = None, cache: str | Path | None = None,
                 stream: bool = False, workers: int | None = None,
                 progress: Callable[[int, int], None] | None = None) -> ImageFolder:
    """The images in <root>/<class>/, with the mean and standard deviation of their channels.

    size      (height, width) of the images in the set, or one number for both: the centre of each image
    resize    the length to which the shorter side is resized first; by default the larger of `size`
    channels  3 for colour, 1 for grey
    classes   the names of the classes; by default the folders, sorted
    cache     a folder for the decoded images, which are then read from disk as they are needed, also by later runs;
              without it they are in memory
    stream    decode the images of each batch when it is made, and keep none; the batches are the same. Each image is
              decoded once before, for mean and standard deviation, and to find those that cannot be read
    workers   the number of threads that decode; by default one for each core
    progress  called with (images done, images in all) from time to time
    Raises FileNotFoundError or NotADirectoryError for the root, ValueError if it has no images in folders of classes,
    if a class has none, or if there is a single class; MemoryError if the images do not fit.
    """
    root = Path(root).expanduser()
    height, width = size_pair("image_folder", size)
    shorter = max(height, width) if resize is None else resize
    if not is_whole(shorter, max(height, width)):
        raise ValueError(f"image_folder: resize={resize!r} must be a whole number of at least {max(height, width)}, "
                         "the larger of `size`")
    if channels not in MODES:
        raise ValueError(f"image_folder: channels={channels!r} must be 1 (grey) or 3 (red, green, blue)")
    search = Search()
    names = class_names(root, search) if classes is None else list(map(str, classes))
    files = [(path, label) for label, name in enumerate(names) for path in images_below(search, root / name)]
    skipped = [Photograph(path, reason) for path, reason in search.unreadable.items()]
    check_classes(root, names, [label for _, label in files], skipped)
    shape = (channels, height, width)
    decode = functools.partial(read_centre, shape=shape, shorter=int(shorter))
    paths = [path for path, _ in files]
    if flag("image_folder", "stream", stream):
        if cache is not None:
            raise ValueError("image_folder: stream=True keeps no images, and needs no cache; leave out one of them")
        images, faults = streamed(paths, shape, decode, workers, progress)
    else:
        images, faults = decoded(paths, shape, f"{shorter}", decode, cache, workers, progress)
    good = [i for i in range(len(files)) if i not in faults]
    labels = np.array([files[i][1] for i in good], np.int64)
    skipped += [Photograph(paths[i], fault) for i, fault in faults.items()]
    check_classes(root, names, labels.tolist(), skipped)
    mean, std = statistics(images)
    dataset = ImageFolder(images, labels, names, set_name(root), mean, std)
    dataset.paths, dataset.skipped, dataset.resize = [paths[i] for i in good], skipped, int(shorter)
    return dataset


def read_centre(path: str, shape: tuple[int, int, int], shorter: int) -> np.ndarray:
    """The centre of an image, whose shorter side is resized first: bytes of `shape` (C, H, W)."""
    channels, height, width = shape
    image = centre_crop(resized(read_image(path, channels), shorter), height, width)
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def image_splits(root: str | Path, size: int | Sequence[int], *, validation: float = 0.2, seed: int = 0,
                 **settings: object) -> Splits:
    """The parts of a folder: <root>/train, val (or valid, validation) and test where they exist, else split here.

    validation   the part of each class that is set apart for validation where there is no folder for it; 0 for none
    seed         determines which images these are
    settings     of `image_folder`. Mean and standard deviation are those of the training images, for all parts
    """
    root = Path(root).expanduser()
    if not 0 <= validation < 1:
        raise ValueError(f"image_splits: validation={validation!r} must be from 0 to 1, a part of the images")
    if not (root / "train").is_dir():
        return Splits(*split(image_folder(root, size, **settings), validation, seed), None)  # type: ignore[arg-type]
    train = image_folder(root / "train", size, **settings)  # type: ignore[arg-type]
    others: dict[str, ImageDataset | None] = {}
    for part in ("validation", "test"):
        folder = part_folder(root, part)
        others[part] = None if folder is None else image_folder(
            folder, size, **{**settings, "classes": train.classes}).normalized(train.mean, train.std)  # type: ignore[arg-type]
    if others["validation"] is None:
        return Splits(*split(train, validation, seed), others["test"])
    return Splits(train, others["validation"], others["test"])


def part_folder(root: Path, part: str) -> Path | None:
    """The folder of a part, under one of its names; None if there is none."""
    return next((root / name for name in PARTS[part] if (root / name).is_dir()), None)


def set_name(root: Path) -> str:
    """What a set is called after its folder: "photos", and a part of it "photos/test"."""
    root = root.resolve()
    part = any(root.name in names for names in PARTS.values())
    return f"{root.parent.name}/{root.name}" if part else root.name


def split(dataset: ImageDataset, validation: float, seed: int) -> tuple[ImageDataset, Subset | None]:
    """(training, validation): the same part of each class, at least one image of it, goes to validation."""
    if validation == 0:
        return dataset, None
    rest, chosen = dataset.stratified_split(1 - validation, seed)
    return rest, chosen


def class_names(root: Path, search: Search) -> list[str]:
    """The names of the visible folders in `root`, sorted; a link that leads back to `root`, or above it, is none."""
    root = existing_folder("image_folder", root, "it must hold one folder of images for each class")
    above = {str(folder) for folder in (root.resolve(), *root.resolve().parents)}
    return sorted(entry.name for entry in search.entries(str(root)) if is_visible(entry.name)
                  and os.path.isdir(entry.path) and not (entry.is_symlink() and os.path.realpath(entry.path) in above))


def existing_folder(owner: str, path: str | Path, what: str) -> Path:
    """The path of a folder; raises FileNotFoundError or NotADirectoryError, with what it must hold."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"{owner}: {str(folder)!r} is {'not a folder' if folder.exists() else 'missing'}; {what}")
    return folder


def images_below(search: Search, folder: Path) -> Iterator[str]:
    """The images in and below the folder of a class, sorted, each once."""
    return iter(search.once(search.below(str(folder)))) if folder.is_dir() else iter(())


def check_classes(root: Path, names: Sequence[str], labels: Sequence[int], skipped: Sequence[Photograph]) -> None:
    """Raise ValueError unless there are at least two classes, and images of each."""
    because = "".join(f"\n  {path}: {error}" for path, error in skipped[:SHOWN])
    if len(names) < 2:
        found = f"only the class {names[0]!r}" if names else "no folders"
        raise ValueError(f"image_folder: {str(root)!r} has {found}; a classifier needs at least two folders, one for "
                         f"each class, with images in them{because}")
    empty = [name for label, name in enumerate(names) if label not in set(labels)]
    if empty:
        raise ValueError(f"image_folder: {str(root)!r} has no readable images of the class{'es' * (len(empty) > 1)} "
                         f"{', '.join(map(repr, empty[:SHOWN]))}; remove the empty folder, or add images{because}")
