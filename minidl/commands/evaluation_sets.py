"""The images that `minidl evaluate` measures a model with.

DATA is the name of a known set, whose test images are taken, or a folder: `test/` in it, else `val/`, else the folder
itself holds a folder of photographs for each class, or images and their masks. Without DATA, and for the folder that
the model was trained with, it is the data of the run, as its args.json says: the test images, else the validation
images.
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from minidl import data
from minidl.commands.training_sets import adapted, kind_of, sets_for
from minidl.data import ImageDataset, Subset
from minidl.io.image import Preprocessing
from minidl.report.facts import read_args
from minidl.text import write

OTHER_NAMES = {"fashion_mnist": "fashion"}       # runs of examples that are not called like their data


class NamedSet(NamedTuple):
    """A data set, which part of the data it is, and all parts that are known."""

    dataset: ImageDataset
    part: str
    sets: dict[str, ImageDataset]


def given_set(source: str, expected: Preprocessing, classes: Sequence[str] | None, data_dir: str | None,
              mask_classes: dict[int, str]) -> NamedSet:
    """The images of DATA, with the classes of the model, as it expects them."""
    if source in data.NAMES:
        dataset, part = data.load(source, "test", data_dir), "test"
    else:
        dataset, part = folder_set(source, expected, mask_classes)
    dataset = prepared(matched(dataset, classes, source), expected)
    return NamedSet(dataset, part, {part: dataset})


def folder_set(source: str, expected: Preprocessing, mask_classes: dict[int, str]) -> tuple[ImageDataset, str]:
    """The images in a folder, and which part of the data they are."""
    root = Path(source).expanduser()
    parts = {"test": ("test",), "validation": ("val", "valid", "validation")}
    found = [(root / name, part) for part, names in parts.items() for name in names if (root / name).is_dir()]
    folder, part = found[0] if found else (root, "test")
    if not found and (root / "train").is_dir():
        raise ValueError(f"{source}: there are neither test/ nor val/, but train/ in this folder; evaluate the run "
                         f"that was trained with it, or {root / 'train'} itself")
    size, channels = expected.input[1:], expected.input[0]
    with tqdm(unit=" images", desc="reading images", leave=False, disable=None) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
        if kind_of(str(folder)) == "masks":
            dataset: Any = data.image_masks(folder, None, size, resize=expected.resize, channels=channels,
                                            classes=mask_classes or None, progress=advance)
        else:
            dataset = data.image_folder(folder, size, resize=expected.resize, channels=channels, progress=advance)
    if dataset.problems():
        write(dataset.problems())
    return dataset, part


def trained_with(run: Path, source: str) -> bool:
    """Whether a folder is that of the run's data, so that it also holds the training images."""
    recipe = read_args(run / "args.json").get("recipe")
    given = recipe.get("data") if isinstance(recipe, dict) else None
    return isinstance(given, str) and not {source, given} & {*data.NAMES} and (
        Path(given).expanduser().resolve() == Path(source).expanduser().resolve())


def set_of_run(run: Path, expected: Preprocessing, classes: Sequence[str] | None, data_dir: str | None) -> NamedSet:
    """The test images of a run, else its validation images, which are split off as in the run."""
    recipe = read_args(run / "args.json").get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    names = [recipe.get(key) for key in ("data", "dataset", "name")]
    known = [OTHER_NAMES.get(name, name) for name in names if isinstance(name, str)]
    source = names[0] if isinstance(names[0], str) else next((name for name in known if name in data.NAMES), None)
    if source is None:
        raise ValueError(f"{run}: it is not known what data this run was trained with; give DATA, such as cifar10 or a "
                         "folder of photographs")
    wanted = {"size": None, "validation": None, "seed": 0, "cache": None, "stream": False, "model": None, "limit": None,
              "mask_classes": [], "create": None, **recipe}
    args = argparse.Namespace(**{**wanted, "data": source, "data_dir": data_dir})
    sets = {name: prepared(matched(dataset, classes, source), expected) for name, dataset in zip(
        ("training", "validation", "test"), sets_for(args, kind_of(source)), strict=True) if dataset is not None}
    part = next((name for name in ("test", "validation") if name in sets), None)
    if part is None:
        raise ValueError(f"{run}: the run has neither test nor validation images; give DATA")
    return NamedSet(sets[part], part, sets)


def prepared(dataset: ImageDataset, expected: Preprocessing) -> ImageDataset:
    """The images of the size, with the channels and normalised as the model expects."""
    channels, height, width = expected.input
    masks = isinstance(dataset.labels, np.ndarray) and dataset.labels.ndim > 1
    size = None if masks or height != width else height
    return adapted(dataset, channels, size).normalized(expected.mean, expected.std)


def matched(dataset: ImageDataset, classes: Sequence[str] | None, source: str) -> ImageDataset:
    """The images, their labels being those of the model's classes of the same names; not all need to occur.

    Raises ValueError, naming them, for classes that the model does not know.
    """
    if classes is None or tuple(dataset.classes) == tuple(classes):
        return dataset
    unknown = [name for name in dataset.classes if list(classes).count(name) != 1]
    if unknown:
        shown = ", ".join(map(repr, classes[:10])) + (", ..." if len(classes) > 10 else "")
        raise ValueError(f"{source} has the class{'es' * (len(unknown) > 1)} {', '.join(map(repr, unknown[:10]))}"
                         f"{', ...' if len(unknown) > 10 else ''}, which the model does not know, or knows twice; it "
                         f"knows {shown}")
    if isinstance(dataset, Subset):
        return matched(dataset.dataset, classes, source).subset(dataset.indices)
    table = np.arange(max(256, len(dataset.classes)))        # masks also hold 255, for pixels to be ignored
    table[:len(dataset.classes)] = [list(classes).index(name) for name in dataset.classes]
    twin = copy.copy(dataset)
    twin.labels = table[dataset.labels].astype(dataset.labels.dtype)
    twin.classes = tuple(classes)
    return twin
