"""The images that `minidl train` trains with: a known data set, a folder for each class, or images with masks."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

import zoo
from minidl import data
from minidl.data import ImageDataset, SegmentationDataset, Splits
from minidl.data.image_masks import IMAGES, MASKS
from minidl.data.streamed import Streamed
from minidl.text import write

HELD_OUT = 0.1                                   # of a known training set, for validation
HELD_OUT_OF_FOLDERS = 0.2
MOST = 4 << 30                                   # bytes of resized images in memory
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)      # of red, green and blue, as in PIL


def add_mask_class(add: Callable[..., object]) -> None:
    """Add the flag --mask-class by `add`, the `add_argument` of a parser or of a group."""
    add("--mask-class", type=mask_class, action="append", default=[], metavar="VALUE=NAME", dest="mask_classes",
        help="the class that a value in masks stands for, such as 255=cell; given once for each class (default: "
        "classes are called like their values)")


def mask_class(text: str) -> tuple[int, str]:
    """(255, "cell") from "255=cell"."""
    value, _, name = text.partition("=")
    if not value.isascii() or not value.isdecimal() or not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be VALUE=NAME, such as 255=cell")
    return int(value), name


def kind_of(source: str) -> str:
    """What DATA is: the name of a known set, or "masks" or "photographs" for a folder."""
    if source in data.NAMES:
        return source
    root = Path(source).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"{source!r} is missing; it must be a folder of images, or one of "
                                f"{', '.join(data.NAMES)}")
    places = (root, root / "train")
    masked = any(any((place / name).is_dir() for name in IMAGES) and any((place / name).is_dir() for name in MASKS)
                 for place in places)
    return "masks" if masked else "photographs"


def sets_for(args: argparse.Namespace, kind: str) -> Splits:
    """The parts of the data, of which --limit leaves some training images."""
    sets = {"masks": mask_sets, "photographs": folder_sets}.get(kind, known_sets)(args)
    if args.limit and args.limit < len(sets.train):
        sets = sets._replace(train=limited(sets.train, args.limit, args.seed))
    return sets


def limited(dataset: ImageDataset, count: int, seed: int) -> ImageDataset:
    """So many images of a set, of each class in proportion."""
    if isinstance(dataset.labels, np.ndarray) and dataset.labels.ndim > 1:
        return dataset.split(count, seed=seed)[0]
    return dataset.stratified_split(count / len(dataset), seed=seed)[0]


def known_sets(args: argparse.Namespace) -> Splits:
    """The parts of a data set that minidl knows by name."""
    whole_set, test_set = (data.load(args.data, part, args.data_dir) for part in ("train", "test"))
    held_out = round(HELD_OUT * len(whole_set)) if args.validation is None else args.validation
    rest, validation_set = whole_set.stratified_split(1 - min(held_out / len(whole_set), 1.0), seed=args.seed)
    return Splits(rest, validation_set if len(validation_set) else None, test_set)


def folder_sets(args: argparse.Namespace) -> Splits:
    """The parts of a folder of photographs. Images that cannot be read are reported and left out."""
    if args.create and not args.size:
        raise ValueError(f"--from {args.create}: add --size N, the height and width of the images for the network")
    size = args.size or zoo.image_size(args.model)
    sets = read(args, lambda **settings: data.image_splits(args.data, size, stream=args.stream, **settings))
    if args.validation and sets.validation is None:
        rest, chosen = sets.train.stratified_split(1 - min(args.validation / len(sets.train), 1.0), seed=args.seed)
        sets = sets._replace(train=rest, validation=chosen)
    return described(sets, f"{len(sets.train.classes)} classes")


def mask_sets(args: argparse.Namespace) -> Splits:
    """The parts of a folder of images and masks."""
    sets = read(args, lambda **settings: data.mask_splits(
        args.data, args.size, classes=dict(args.mask_classes) or None, **settings))
    if args.validation and sets.validation is None:
        chosen, rest = sets.train.split(min(args.validation, len(sets.train) - 1), seed=args.seed)
        sets = sets._replace(train=rest, validation=chosen)
    return described(sets, f"{len(sets.train.classes)} classes of pixels")


def read(args: argparse.Namespace, splits: Callable[..., Splits]) -> Splits:
    """The parts of a folder, read with a bar of progress; tells which images cannot be read."""
    with tqdm(unit=" images", desc="reading images", leave=False, disable=None) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
        sets = splits(validation=HELD_OUT_OF_FOLDERS if args.validation is None else 0.0, seed=args.seed,
                      cache=args.cache, progress=advance)
    texts = [getattr(part, "problems", str)() for part in sets if part is not None]
    for text in filter(None, dict.fromkeys(texts)):          # parts that were split here share it
        write(text)
    return sets


def described(sets: Splits, classes: str) -> Splits:
    """The parts, after a line that says how large they are."""
    write(f"{len(sets.train):,} training images of {classes}, {len(sets.validation or ()):,} for validation, "
          f"{len(sets.test or ()):,} for the test")
    return sets


def adapted(dataset: ImageDataset, channels: int, size: int | None) -> ImageDataset:
    """The images with so many channels, and of size x size pixels; None for the size that they have.

    Grey images become three equal channels, and coloured ones grey. Raises ValueError if that takes too much memory.
    """
    have, height, width = dataset.image_shape
    size = None if (height, width) == (size, size) else size
    if have == channels and size is None:
        return dataset
    if isinstance(dataset.labels, np.ndarray) and dataset.labels.ndim > 1 and size is not None:
        raise ValueError(f"images with masks are brought to {size} x {size} pixels by --size {size}")
    shape = (channels, height, width) if size is None else (channels, size, size)
    images = dataset.images
    if isinstance(images, Streamed):
        images = images.changed(lambda image: resized(with_channels(image[None], channels), size)[0], shape)
    elif len(dataset) * math.prod(shape) > MOST:
        raise ValueError(f"{len(dataset):,} images of {' x '.join(map(str, shape))} pixels take more than "
                         f"{MOST >> 30} GiB; use fewer images, --limit N, or a network for {height} x {width} pixels")
    else:
        images = resized(with_channels(images, channels), size)
    mean, std = (spread(values, channels) for values in (dataset.mean, dataset.std))
    kind = SegmentationDataset if isinstance(dataset.labels, np.ndarray) and dataset.labels.ndim > 1 else ImageDataset
    return kind(images, dataset.labels, dataset.classes, dataset.name, mean, std)


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images uint8 (N, C, H, W) with 1 or 3 channels in place of 3 or 1."""
    if images.shape[1] == channels:
        return images
    if images.shape[1] == 1:
        return np.repeat(images, channels, axis=1)
    if (images.shape[1], channels) != (3, 1):
        raise ValueError(f"images with {images.shape[1]} channels cannot be given {channels}")
    grey = [np.rint(np.tensordot(LUMINANCE, image.astype(np.float32), 1)) for image in images]
    return np.stack(grey).astype(np.uint8)[:, None]


def resized(images: np.ndarray, size: int | None) -> np.ndarray:
    """Images uint8 (N, C, H, W) of size x size pixels, interpolated."""
    if size is None:
        return images
    out = np.empty((*images.shape[:2], size, size), np.uint8)
    for image, into in zip(images.reshape(-1, *images.shape[2:]), out.reshape(-1, size, size), strict=True):
        into[...] = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return out


def spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """The mean or the deviation of each channel, for another number of channels."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels
