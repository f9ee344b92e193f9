"""`minidl predict IMAGE... --model FILE`: classify photographs with a model file that knows its classes.

Predictions go to stdout, progress and errors to stderr. An image that cannot be read is reported and skipped, and
the exit code is then 1.
"""

import argparse
import csv
import glob
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import zoo
from minidl.device import Device
from minidl.flags import whole
from minidl.io.image import SUFFIXES, Preprocessing
from minidl.train import predict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders, or patterns such as 'a/**/*.jpg'")
    parser.add_argument("--model", required=True, metavar="FILE",
                        help="best.safetensors of a training run, or a file that `minidl convert` wrote")
    parser.add_argument("--top", type=whole(), default=5, metavar="N",
                        help="print the N most probable classes (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu, gpu or gpu:1 (default: cpu)")
    parser.add_argument("-b", "--batch-size", type=whole(), default=32, metavar="N",
                        help="images per batch (default: 32)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a list in JSON")
    form.add_argument("--csv", action="store_true", help="print CSV, one row per image and class")


def run(args: argparse.Namespace) -> int:
    """Print the predictions; the exit code is 1 if an image could not be read."""
    device = Device.parse(args.device)
    model = zoo.load(args.model, device=args.device)
    try:
        preprocessing = Preprocessing.of(model.about)
    except ValueError as error:
        raise ValueError(f"{args.model}: {error}") from error
    write = write_json if args.json else write_csv if args.csv else write_text
    results: list[dict] = []
    try:
        with tqdm(find(args.images), unit=" images", file=sys.stderr, disable=None) as files:
            for batch in batches(files, args.batch_size):
                results += classify(model, preprocessing, batch, args.top, device)
    except KeyboardInterrupt:
        write(results)                           # the predictions made so far are not lost
        raise
    bad = [result for result in results if "error" in result]
    for result in bad:
        print(f"minidl predict: {result['error']}", file=sys.stderr)
    write(results)
    return 1 if bad else 0


def find(arguments: Iterable[str]) -> list[str]:
    """The files that the arguments name: a file itself, the images in and below a folder, or the matches of a pattern.

    An argument without any file stays in the list, and is reported when it is read.
    """
    files = []
    for argument in arguments:
        if Path(argument).is_dir():
            inside = (path for path in Path(argument).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            files += sorted(map(str, inside)) or [argument]
        else:
            matches = [argument] if Path(argument).is_file() else glob.glob(argument, recursive=True)
            files += sorted(path for path in matches if Path(path).is_file()) or [argument]
    return files


def batches(files: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of at most `size` files."""
    batch = []
    for file in files:
        batch.append(file)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def classify(model, preprocessing: Preprocessing, files: Iterable[str], top: int, device: Device) -> list[dict]:
    """For each file {"file", "predictions": [{"class", "index", "probability"}, ...]}, or {"file", "error"}."""
    results: list[dict[str, Any]] = []
    images = []
    for file in files:
        results.append({"file": file})
        try:
            images.append(preprocessing.read(file))
        except IsADirectoryError:
            results[-1]["error"] = f"{file}: there is no image in this folder"
        except OSError as error:
            results[-1]["error"] = f"{file}: {error.strerror or error}"
        except ValueError as error:
            results[-1]["error"] = str(error)
    good = [result for result in results if "error" not in result]
    if good:
        logits = predict(model, np.stack(images), device)
        if logits.ndim != 2:
            raise ValueError(f"the model's output for an image has the shape {logits.shape[1:]}, not (classes,)")
        for result, row in zip(good, logits.astype(np.float64), strict=True):
            result["predictions"] = most_probable(row, model.about.get("classes"), top)
    return results


def most_probable(logits: np.ndarray, classes: Sequence[str] | None, top: int) -> list[dict]:
    """The `top` classes with the highest probabilities, softmax(logits)."""
    names = classes or list(map(str, range(len(logits))))
    if len(names) != len(logits):
        raise ValueError(f"the model file names {len(names)} classes, but the model has {len(logits)}")
    if not np.isfinite(logits).all():
        raise ValueError("the model's output is NaN or infinity: its weights are damaged, or training diverged")
    exponentials = np.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    return [{"class": names[i], "index": int(i), "probability": float(probabilities[i])}
            for i in np.argsort(-logits, kind="stable")[:top]]


def write_text(results: list[dict]) -> None:
    """Each file, followed by one line per class."""
    for result in results:
        if "error" not in result:
            print(result["file"])
            for prediction in result["predictions"]:
                print(f"{prediction['probability']:>9.2%}  {prediction['class']}")


def write_json(results: list[dict]) -> None:
    """One list, which includes the files that could not be read."""
    print(json.dumps(results, indent=2, ensure_ascii=False))


def write_csv(results: list[dict]) -> None:
    """One row per image and class."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["file", "rank", "class", "index", "probability"])
    for result in results:
        for rank, prediction in enumerate(result.get("predictions", ()), 1):
            rows.writerow([result["file"], rank, prediction["class"], prediction["index"],
                           f"{prediction['probability']:.6f}"])
