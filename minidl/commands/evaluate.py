"""`minidl evaluate RUN_OR_MODEL [DATA]`: how good a model is on images with known classes.

    minidl evaluate runs/photos                          # on the test images of the run, else on its validation images
    minidl evaluate best.safetensors cifar10 --tta
    minidl evaluate best.safetensors photos/ --report out/

`evaluation_sets.py` says what DATA may be.
"""

import argparse
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

from tqdm import tqdm

import zoo
from minidl.commands.evaluation_sets import given_set, set_of_run, trained_with
from minidl.commands.networks import add_from
from minidl.commands.training_sets import add_mask_class
from minidl.device import Device
from minidl.evaluation import evaluate, in_order
from minidl.evaluation.augmented import VIEWS
from minidl.io.checkpoint import located
from minidl.io.image import Preprocessing
from minidl.io.json_file import json_text
from minidl.report import facts_of, write
from minidl.report.text import as_json, as_text
from minidl.text import write as say
from minidl.train.folder import BEST, RunError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN_OR_MODEL", help="the folder of a run, whose best weights are taken, or a "
                        "model file")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a known data set, whose test images are taken; a "
                        "folder of photographs with one folder for each class, or of images and masks, in test/, val/ "
                        "or directly (default, and for the folder that it was trained with: the test images "
                        "of the run, else its validation images)")
    add_from(parser)
    parser.add_argument("--report", metavar="DIR", help="write report.html, report.txt, metrics.json and confusion.png "
                        "into this folder")
    parser.add_argument("--device", default="cpu", help="cpu, gpu or gpu:1 (default: cpu)")
    parser.add_argument("--tta", nargs="?", const=True, choices=VIEWS, default=False, metavar="VIEWS", help="test-time "
                        f"augmentation: {', '.join(VIEWS)} (without a name: mirror, of masks turns)")
    add_mask_class(parser.add_argument)
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of data sets (default: $MINIDL_DATA, else the "
                        "user's cache)")


def run(args: argparse.Namespace) -> int:
    """Evaluate the model, print the result, and write the report; the exit code is 1 if a file of it is missing."""
    path, device = model_file(args.model), Device.parse(args.device)
    folder = None if args.report is None else report_folder(args.report)
    model = zoo.load(path, device=device, create=args.create)
    try:
        expected = Preprocessing.of(model.about)
    except ValueError as error:
        raise located(path, error) from error
    with redirect_stdout(sys.stderr):            # what is read is told there: stdout is for the result
        names = model.about.get("classes")
        if args.data is None or trained_with(path.parent, args.data):
            chosen = set_of_run(path.parent, expected, names, args.data_dir)
        else:
            chosen = given_set(args.data, expected, names, args.data_dir, dict(args.mask_classes))
    result = evaluate(model, progress(in_order(chosen.dataset)), len(chosen.dataset.classes), device, tta=args.tta)
    facts = facts_of(path.parent, chosen.part, chosen.sets, args.tta)
    if args.json:
        say(json_text(as_json(result, chosen.dataset, facts)))
    else:
        say(as_text(result, chosen.dataset, facts))
    return 0 if folder is None or write(folder, model, chosen.dataset, result, facts, device) else 1


def report_folder(given: str) -> Path:
    """The folder for the report, made if it is not there, before the evaluation takes its time."""
    folder = Path(given).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--report {given}: there is a file of this name; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def model_file(given: str) -> Path:
    """The file of weights: that of the best epoch, if a run's folder is given."""
    path = Path(given).expanduser()
    if not path.is_dir():
        return path
    if not (path / BEST).is_file():
        raise RunError(f"{given}: there is no {BEST} in this folder, so it is no run that finished an epoch; name a "
                       "run's folder or a model file")
    return path / BEST


def progress(batches: Iterable) -> Iterable:
    """The batches, with a bar on a terminal."""
    return tqdm(batches, unit=" batches", leave=False, disable=True if sys.stderr is None else None)

