"""What a data set holds, in numbers: counts, sizes, formats, statistics, duplicates, and files that cannot be read.

Nothing of it needs the images in memory at once: each is decoded, measured and dropped, by several threads.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from minidl.data.dataset import ImageDataset
from minidl.data.decoding import Progress, each
from minidl.data.fingerprint import Fingerprint, fingerprints, groups, near_pairs
from minidl.data.layout import File, files_of
from minidl.data.statistics import histogram
from minidl.io.find import Photograph, Search
from minidl.io.image import MODES, ImageError, opened, read_image, upright
from minidl.io.mask import read_mask, shown

CHUNK = 256                                      # images of a set that are measured at a time
GREY = {"1", "L", "LA", "I", "F"}                # Pillow's modes without colours; also those that begin with I;16


class Facts(NamedTuple):
    """What is measured of one image. `histogram` is (3, 256); `pixels` counts the values of a mask."""

    width: int
    height: int
    format: str
    mode: str
    fingerprint: Fingerprint
    histogram: np.ndarray
    pixels: dict[str, int]


class Entry(NamedTuple):
    """What is kept of an image; `place` is its path, or its number in the set."""

    part: str
    label: str
    place: str
    width: int
    height: int
    fingerprint: Fingerprint
    mask: str = ""


@dataclass
class Survey:
    """The facts about a data set. `counts` are images, or pixels of masks, by (part, class)."""

    name: str
    root: str = ""                               # of the paths
    entries: list[Entry] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, np.ndarray] = field(default_factory=dict)        # of each part
    unreadable: list[Photograph] = field(default_factory=list)
    has_masks: bool = False
    picture: Callable[[str], Image.Image] = field(default=read_image)      # the image at a place
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def add(self, file: File, facts: Facts) -> None:
        """Count one image."""
        self.entries.append(Entry(file.part, file.label, file.path, facts.width, facts.height, facts.fingerprint,
                                  file.mask))
        self.formats[facts.format] += 1
        self.modes[facts.mode] += 1
        self.histograms[file.part] = self.histograms.get(file.part, 0) + facts.histogram
        if file.mask:
            self.counts.update({(file.part, value): count for value, count in facts.pixels.items()})
        else:
            self.counts[file.part, file.label] += 1

    @property
    def counted(self) -> str:
        """What `counts` counts."""
        return "pixels" if self.has_masks else "images"

    def totals(self, part: str | None = None) -> list[int]:
        """The counts of the classes, in a part or in all."""
        chosen = self.parts if part is None else [part]
        return [sum(self.counts[each, name] for each in chosen) for name in self.classes]

    def channels(self) -> np.ndarray:
        """How often each brightness occurs: (3, 256) for red, green and blue, or (1, 256) if all images are grey.

        In the training images, if some are set apart for training.
        """
        grey = all(mode in GREY or mode.startswith("I;16") for mode in self.modes)
        chosen = [self.histograms["train"]] if "train" in self.histograms else [*self.histograms.values()]
        return sum(chosen, np.zeros((3, 256), np.int64)[:len(chosen[0])])[:1 if grey else 3]

    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of the images, from few pixels to many."""
        return sorted(((e.width, e.height) for e in self.entries), key=lambda size: (size[0] * size[1], size))

    def duplicates(self) -> list[list[Entry]]:
        """Groups of images with equal pixels."""
        return [[self.entries[i] for i in group] for group in groups(e.fingerprint.digest for e in self.entries)]

    def near_duplicates(self) -> list[list[Entry]]:
        """Pairs of images that are nearly the same."""
        return [[self.entries[a], self.entries[b]] for a, b in near_pairs([e.fingerprint for e in self.entries])]


def leaks(found: Iterable[Sequence[Entry]]) -> list[Sequence[Entry]]:
    """Those groups of equal images that are in the training part and in another one."""
    return [group for group in found if "train" in (parts := {entry.part for entry in group}) and len(parts) > 1]


def contradictions(found: Iterable[Sequence[Entry]]) -> list[Sequence[Entry]]:
    """Those groups of equal images that have different classes."""
    return [group for group in found if len({entry.label for entry in group}) > 1]


def survey_folder(root: str | Path, workers: int | None = None, progress: Progress | None = None) -> Survey:
    """The survey of a folder, arranged as `layout.py` says.

    Raises FileNotFoundError or NotADirectoryError for the folder, ValueError if it has no images, DataError if images
    and masks are no pairs.
    """
    search = Search()
    files = files_of(root, search)
    folder = Path(root).expanduser()
    survey = Survey(folder.resolve().name, str(folder), has_masks=any(file.mask for file in files))
    survey.unreadable = [Photograph(path, why) for path, why in search.unreadable.items()]
    images = [file for file in files if file.path]
    if not images:
        raise ValueError(f"data: there are no images in {str(root)!r}")
    masks = {file.path: file.mask for file in images}
    results = each([file.path for file in images], lambda path: measure(path, masks[path]), workers, progress)
    for file, result in zip(images, results, strict=True):
        if isinstance(result, str):
            survey.unreadable.append(Photograph(file.path, result))
        else:
            survey.add(file, result)
    return named(survey, files)


def survey_sets(name: str, sets: dict[str, ImageDataset]) -> Survey:
    """The survey of data sets in memory, by part."""
    first = next(iter(sets.values()))
    survey = Survey(name, parts=list(sets), classes=list(first.classes))
    survey.modes[MODES[first.image_shape[0]]] = sum(map(len, sets.values()))
    for part, dataset in sets.items():
        images, labels = dataset.images, dataset.labels
        survey.counts.update({(part, name): n for name, n in zip(dataset.classes, dataset.class_counts().tolist(),
                                                                 strict=True)})
        survey.histograms[part] = histogram(images)
        height, width = dataset.image_shape[1:]
        for start in range(0, len(images), CHUNK):
            names = [dataset.classes[label] for label in labels[start:start + CHUNK]]
            prints = fingerprints(images[start:start + CHUNK])
            survey.entries += [Entry(part, name, f"{part} {start + i}", width, height, own)
                               for i, (name, own) in enumerate(zip(names, prints, strict=True))]

    def picture(place: str) -> Image.Image:
        part, number = place.split()
        pixels = sets[part].images[int(number)].transpose(1, 2, 0)
        return Image.fromarray(pixels.squeeze()).convert("RGB")

    survey.picture = picture
    return survey


def named(survey: Survey, files: Sequence[File]) -> Survey:
    """The survey with the names of its parts and classes, sorted; classes without images are there, too."""
    survey.parts = list(dict.fromkeys(file.part for file in files))
    names = {value for _, value in survey.counts} if survey.has_masks else {file.label for file in files}
    survey.classes = sorted(names, key=lambda name: (len(name), name)) if survey.has_masks else sorted(names)
    return survey


def measure(path: str, mask_path: str) -> Facts:
    """The facts of an image in a file, and of its mask, if it has one."""
    facts = opened("data", path, facts_of)
    if not mask_path:
        return facts
    try:
        mask = read_mask(mask_path)
    except ImageError as error:
        raise ImageError(f"its mask, {error}") from error
    if mask.shape != (facts.height, facts.width):
        raise ImageError(f"its mask, {mask_path}, has {mask.shape[1]} x {mask.shape[0]} pixels, not "
                         f"{facts.width} x {facts.height}")
    values, counts = np.unique(mask, return_counts=True)
    return facts._replace(pixels=dict(zip(map(shown, values.tolist()), counts.tolist(), strict=True)))


def facts_of(image: Image.Image) -> Facts:
    """The facts of an image that has just been opened."""
    kind, mode = image.format or "unknown", image.mode
    image = upright(image)
    pixels = np.asarray(image).transpose(2, 0, 1)[None]
    counts = np.array(image.histogram(), np.int64).reshape(3, 256)
    return Facts(*image.size, kind, mode, fingerprints(pixels)[0], counts, {})
