"""`minidl data DATA`: what a data set holds, as text, as a picture, or as JSON.

    minidl data photos/ -o photos.png
    minidl data cifar10 --json
"""

import argparse

import numpy as np
from PIL import Image
from tqdm import tqdm

from minidl import data, plot
from minidl.data.survey import Survey, survey_folder, survey_sets
from minidl.data.survey_text import facts, text
from minidl.io.json_file import json_text
from minidl.io.mask import read_mask, shown
from minidl.plot.samples import PER_ROW, SIDE, Sample, per_class
from minidl.text import write

MOST_CLASSES = 100                               # of which samples are shown
COLOURS = ((40, 40, 40), (250, 240, 200), (200, 60, 40), (40, 110, 180), (60, 150, 80), (230, 170, 40), (130, 80, 160),
           (90, 190, 190), (200, 120, 160), (140, 100, 60))         # of the classes in masks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=f"{', '.join(data.NAMES)}, or a folder: of classes, of images and "
                        "masks, or of such folders in train/, val/ and test/")
    parser.add_argument("-o", "--output", metavar="PNG", help="draw the classes, the sizes and samples, too")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of known data sets (default: $MINIDL_DATA, else "
                        "the user's cache)")


def run(args: argparse.Namespace) -> None:
    """Survey the data, print the facts, and draw them if asked."""
    survey = surveyed(args.data, args.data_dir)
    found = facts(survey)
    write(json_text(found) if args.json else text(found))
    if args.output:
        draw(survey).save(args.output)
        if not args.json:
            write(f"\n{args.output}")


def surveyed(name: str, root: str | None) -> Survey:
    """The survey of a known data set or of a folder."""
    if name in data.NAMES:
        return survey_sets(name, {part: data.load(name, part, root) for part in ("train", "test")})
    with tqdm(unit=" images", desc="reading images", leave=False, disable=None) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
        return survey_folder(name, progress=advance)


def draw(survey: Survey) -> plot.Picture:
    """The picture of a survey."""
    classes = f"{len(survey.classes):,} class{'es' * (len(survey.classes) != 1)}"
    title = f"{survey.name}: {len(survey.entries):,} images, {classes}"
    counts = {part: survey.totals(part) for part in survey.parts}
    samples = masks_of(survey) if survey.has_masks else samples_of(survey)
    colours = [tuple(part / 255 for part in colour) for colour in COLOURS] if survey.has_masks else []
    return plot.data_overview(title, survey.classes, counts, survey.counted, survey.sizes(), survey.channels(), samples,
                              colours)


def samples_of(survey: Survey) -> list[Sample]:
    """Pictures of each class, or of some classes if there are very many."""
    chosen = survey.classes
    if len(chosen) > MOST_CLASSES:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, MOST_CLASSES).astype(int)]
    wanted = per_class(len(chosen))
    places: dict[str, list[str]] = {name: [] for name in chosen}
    for entry in survey.entries:
        if entry.label in places and len(places[entry.label]) < wanted:
            places[entry.label].append(entry.place)
    return [Sample(name, [tile(survey.picture(place)) for place in found]) for name, found in places.items()]


def masks_of(survey: Survey) -> list[Sample]:
    """Images and, below them, their masks, with a colour for each class."""
    positions = np.unique(np.linspace(0, len(survey.entries) - 1, PER_ROW).astype(int))
    entries = [survey.entries[i] for i in positions]
    return [Sample("images", [tile(survey.picture(entry.place)) for entry in entries]),
            Sample("masks", [tile(coloured(read_mask(entry.mask), survey.classes)) for entry in entries])]


def coloured(mask: np.ndarray, classes: list[str]) -> Image.Image:
    """A mask of values as a picture."""
    values, places = np.unique(mask, return_inverse=True)
    colours = np.array([COLOURS[classes.index(shown(value)) % len(COLOURS)] for value in values.tolist()], np.uint8)
    return Image.fromarray(colours[places.reshape(mask.shape)])


def tile(image: Image.Image) -> np.ndarray:
    """An image as bytes (H, W, 3) of at most SIDE pixels in each direction."""
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)
