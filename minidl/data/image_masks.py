"""Data sets from folders of images and masks: the mask of an image has its name, whatever the endings of both are.

    membrane/image/0.png  1.png  ...       scans/train/images/a.jpg      scans/val/images/...
    membrane/label/0.png  1.png  ...  or   scans/train/masks/a.png       scans/test/...

A pixel's value in a mask file is a grey, the index of a palette, or a colour (`minidl/io/mask.py`); its class is the
position of the value among those given or found. Images and masks are decoded once, as those of `image_folder`.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from minidl.augment.crop import size_pair
from minidl.data.decoding import decoded
from minidl.data.idx import DataError
from minidl.data.image_folder import SHOWN, FromFiles, existing_folder, part_folder, set_name
from minidl.data.mask_classes import Classes, MaskClasses, Pair
from minidl.data.parts import Splits
from minidl.data.segmentation import SegmentationDataset
from minidl.data.statistics import statistics
from minidl.io.checks import is_whole
from minidl.io.find import Photograph, Search
from minidl.io.image import MODES, ImageError, centre_crop, read_image, resized
from minidl.io.mask import as_given, read_mask
from minidl.scalars import plain

IMAGES, MASKS = ("images", "image", "imgs", "img"), ("masks", "mask", "labels", "label")

class ImageMasks(FromFiles, SegmentationDataset):
    """Images and masks from files: the `mask_paths` belong to the `paths`, and `values` maps values to class names."""

    mask_paths: list[str]
    values: dict[Any, str]


def image_masks(images_folder: str | Path, masks_folder: str | Path | None = None,
                size: int | Sequence[int] | None = None, *, resize: int | None = None, channels: int = 3,
                classes: Classes | None = None, ignore: Any = None, cache: str | Path | None = None,
                workers: int | None = None, progress: Callable[[int, int], None] | None = None) -> ImageMasks:
    """The images in a folder with their masks in another, in the order of their names (9 comes before 10).

    masks_folder  by default `images_folder` holds both: images (or image) and masks (or mask, label, labels)
    size          (height, width) of the images in the set, or one number for both: the centre of each image. By default
                  all have their own size, and must have the same
    resize        the length to which the shorter side is resized first; by default the larger of `size`. Masks take the
                  value of the nearest pixel
    classes       {value in the masks: name}, in the order of the classes, such as {0: "membrane", 255: "cell"} or
                  {(255, 0, 0): "road", ...}; or names for the values 0, 1, 2, ...; by default all values that occur
    ignore        a value, or a list of values, of pixels that training and evaluation leave out
    channels, cache, workers, progress   as for `image_folder`
    Pairs of which a file cannot be read are left out, as `skipped` and `problems()` say. Raises FileNotFoundError or
    NotADirectoryError for folders, DataError, naming the files, for an image without a mask, a mask without an image,
    another size, or a value that is no class; ValueError if no image can be read, or for other wrong arguments.
    """
    folders = both_folders(images_folder, masks_folder)
    if channels not in MODES:
        raise ValueError(f"image_masks: channels={channels!r} must be 1 (grey) or 3 (red, green, blue)")
    search = Search()
    pairs = paired(search, *folders)
    skipped = [Photograph(path, reason) for path, reason in search.unreadable.items()]
    values = MaskClasses.of(pairs, classes, ignore, workers)
    crop = Crop.of(pairs, size, resize, channels)

    def decode(path: str) -> np.ndarray:
        return crop.read(Pair(path, mask_of[path]), channels, values)

    paths, mask_of = [pair.image for pair in pairs], dict(pairs)
    how = f"masks {crop.shorter} {list(values.names)} {values.ignored}"
    planes, faults = decoded(paths, (channels + 1, crop.height, crop.width), how, decode, cache, workers, progress,
                             beside=[pair.mask for pair in pairs])
    skipped += [Photograph(paths[i], fault) for i, fault in faults.items()]
    if len(planes) == 0:
        because = "".join(f"\n  {path}: {error}" for path, error in skipped[:SHOWN])
        raise ValueError(f"image_masks: no image in {str(folders[0])!r} can be read with its mask{because}")
    images, masks = planes[:, :channels], planes[:, channels]
    name = set_name(folders[0].resolve().parent)
    dataset = ImageMasks(images, masks, values.names.values(), name, *statistics(images))
    dataset.paths, dataset.skipped = [path for i, path in enumerate(paths) if i not in faults], skipped
    dataset.mask_paths = [mask_of[path] for path in dataset.paths]
    dataset.values = {as_given(value): name for value, name in values.names.items()}
    return dataset


def mask_splits(root: str | Path, size: int | Sequence[int] | None = None, *, validation: float = 0.2, seed: int = 0,
                **settings: Any) -> Splits:
    """The parts of a folder of images and masks: <root>/train, val and test where they exist, else split here.

    validation   the part of the images that is set apart for validation where there is no folder for it; 0 for none
    seed         determines which images these are
    settings     of `image_masks`. Classes, mean and standard deviation are those of the training images, for all parts
    """
    root = Path(root).expanduser()
    if not 0 <= validation < 1:
        raise ValueError(f"mask_splits: validation={validation!r} must be from 0 to 1, a part of the images")
    whole = not (root / "train").is_dir()
    train = image_masks(root if whole else root / "train", None, size, **settings)
    settings |= {"classes": train.values}
    others = {part: part_folder(root, part) for part in ("validation", "test")}
    sets: dict[str, Any] = {
        part: None if whole or folder is None else
        image_masks(folder, None, size, **settings).normalized(train.mean, train.std)
        for part, folder in others.items()}
    if sets["validation"] is None and validation:
        count = min(max(1, round(validation * len(train))), len(train) - 1)
        sets["validation"], rest = train.split(count, seed) if count else (None, train)
        return Splits(rest, sets["validation"], sets["test"])
    return Splits(train, sets["validation"], sets["test"])


# Files

def both_folders(images_folder: str | Path, masks_folder: str | Path | None) -> tuple[Path, Path]:
    """The folders of the images and of the masks."""
    what = "it must hold images with masks"
    first = existing_folder("image_masks", images_folder, what)
    if masks_folder is not None:
        return first, existing_folder("image_masks", masks_folder, what)
    found = [next((first / name for name in names if (first / name).is_dir()), None) for names in (IMAGES, MASKS)]
    if found[0] is None or found[1] is None:
        raise FileNotFoundError(f"image_masks: {str(first)!r} must hold a folder of images ({' or '.join(IMAGES)}) and "
                                f"one of masks ({' or '.join(MASKS)}); or give both folders")
    return found[0], found[1]


def paired(search: Search, images_folder: Path, masks_folder: Path) -> list[Pair]:
    """The pairs, in the order of their names; DataError if a file has no partner."""
    images, masks = by_stem(search, images_folder), by_stem(search, masks_folder)
    if not images:
        raise ValueError(f"image_masks: there are no images in {str(images_folder)!r}")
    for stem, path in images.items():
        if stem not in masks:
            raise DataError(f"{path}: has no mask; there is no image {os.path.join(masks_folder, stem)}.* "
                            f"({len(masks):,} masks for {len(images):,} images)")
    for stem, path in masks.items():
        if stem not in images:
            raise DataError(f"{path}: is the mask of no image; there is none called "
                            f"{os.path.join(images_folder, stem)}.*; remove the mask, or add the image")
    return [Pair(images[stem], masks[stem]) for stem in sorted(images, key=natural)]


def by_stem(search: Search, folder: Path) -> dict[str, str]:
    """{path in the folder, without the ending: path}"""
    found: dict[str, str] = {}
    for path in sorted(search.below(str(folder))):
        stem = os.path.splitext(os.path.relpath(path, folder))[0]
        if stem in found:
            raise DataError(f"{path}: has the same name as {found[stem]}, so it is unclear which of them is meant; "
                            "remove one")
        found[stem] = path
    return found


def natural(name: str) -> list[tuple[int, str]]:
    """What sorts names with numbers in them by the numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


# Pixels

class Crop(NamedTuple):
    """Which part of each image is in the set. `shorter` is None for whole images, all of the size of the `first`."""

    height: int
    width: int
    shorter: int | None
    first: str

    @classmethod
    def of(cls, pairs: Sequence[Pair], size: Any, resize: Any, channels: int) -> "Crop":
        """From the settings, or from the first image that can be read."""
        if size is None:
            if resize is not None:
                raise ValueError(f"image_masks: resize={resize!r} needs a size")
            image, path = first_image(pairs, channels)
            return cls(image.height, image.width, None, path)
        height, width = size_pair("image_masks", size)
        shorter = max(height, width) if resize is None else plain(resize)
        if not is_whole(shorter, max(height, width)):
            raise ValueError(f"image_masks: resize={resize!r} must be a whole number of at least "
                             f"{max(height, width)}, the larger of `size`")
        return cls(height, width, int(shorter), "")

    def read(self, pair: Pair, channels: int, values: MaskClasses) -> np.ndarray:
        """The planes of an image, and its mask as the last: bytes (C + 1, H, W)."""
        image = read_image(pair.image, channels)
        try:
            mask = read_mask(pair.mask)
        except ImageError as error:
            raise ImageError(f"its mask, {error}") from error
        except OSError as error:
            raise OSError(error.errno, f"its mask, {pair.mask}: {error.strerror}") from error
        if mask.shape != (image.height, image.width):
            raise DataError(f"{pair.mask}: a mask of {mask.shape[1]} x {mask.shape[0]} pixels for {pair.image}, an "
                            f"image of {image.width} x {image.height}; each pixel needs its class")
        of_class = Image.fromarray(values.classes_of(mask, pair))
        if self.shorter is not None:
            image = centre_crop(resized(image, self.shorter), self.height, self.width)
            of_class = centre_crop(of_class.resize(resized_size(of_class, self.shorter), Image.Resampling.NEAREST),
                                   self.height, self.width)
        elif (image.height, image.width) != (self.height, self.width):
            raise DataError(f"{pair.image}: {image.width} x {image.height} pixels, but {self.first} has "
                            f"{self.width} x {self.height}; give a `size` to which all are brought")
        pixels = np.asarray(image).reshape(self.height, self.width, channels)
        return np.concatenate([pixels.transpose(2, 0, 1), np.asarray(of_class)[None]])


def resized_size(image: Image.Image, shorter: int) -> tuple[int, int]:
    """The size that `resized` gives."""
    short = min(image.size)
    width, height = (shorter if side == short else shorter * side // short for side in image.size)
    return width, height


def first_image(pairs: Sequence[Pair], channels: int) -> tuple[Image.Image, str]:
    """The first image that can be read, and its path."""
    reason = ""
    for pair in pairs:
        try:
            return read_image(pair.image, channels), pair.image
        except (OSError, ImageError) as error:
            reason = reason or str(error)
    raise ValueError(f"image_masks: none of {len(pairs):,} images can be read: {reason}")
