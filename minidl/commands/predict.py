"""`minidl predict IMAGE... --model FILE`: classify photographs with a model file that knows its classes.

Predictions go to stdout, progress and errors to stderr. An image that cannot be read is reported and skipped, and
the exit code is then 1.
"""

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from tqdm import tqdm

import zoo
from minidl.commands.networks import add_from
from minidl.device import Device
from minidl.evaluation.decisions import both_logits
from minidl.evaluation.probable import class_names, most_probable
from minidl.flags import whole
from minidl.io.find import Photograph, photographs
from minidl.io.image import Preprocessing
from minidl.tensor import Tensor
from minidl.text import write, write_bytes
from minidl.train import predict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders, or patterns such as 'a/**/*.jpg'")
    parser.add_argument("--model", required=True, metavar="FILE",
                        help="best.safetensors of a training run, or a file that `minidl convert` wrote")
    add_from(parser)
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
    model = zoo.load(args.model, device=args.device, create=args.create)
    preprocessing = Preprocessing.of_model(args.model, model)
    show = show_json if args.json else show_csv if args.csv else show_text
    results: list[dict] = []
    try:
        with tqdm(photographs(args.images), unit=" images", file=sys.stderr, disable=quiet()) as files:
            for batch in batches(files, args.batch_size):
                results += classify(model, preprocessing, batch, args.top, device)
    except BaseException:
        if results:
            show(results)                        # the predictions made so far are not lost
        raise
    bad = [result for result in results if "error" in result]
    for result in bad:
        complain(f"minidl predict: {result['error']}")
    show(results)
    return 1 if bad else 0


def quiet() -> bool | None:
    """Whether no progress is shown: without a stderr, or if it is no terminal (None lets tqdm find out)."""
    return True if sys.stderr is None else None


def batches(files: Iterable[Photograph], size: int) -> Iterator[list[Photograph]]:
    """Lists of at most `size` files."""
    batch = []
    for file in files:
        batch.append(file)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def classify(model, preprocessing: Preprocessing, files: Iterable[Photograph], top: int, device: Device) -> list[dict]:
    """For each file {"file", "predictions": [{"class", "index", "probability"}, ...]}, or {"file", "error"}."""
    results: list[dict[str, Any]] = []
    images = []
    for file, unreachable in files:
        results.append({"file": file})
        try:
            if unreachable:
                raise OSError(None, unreachable)
            images.append(preprocessing.read(file))
        except (OSError, ValueError, MemoryError) as error:
            results[-1]["error"] = failure(file, error)
    good = [result for result in results if "error" not in result]
    if good:
        logits = predict(model, np.stack(images), device)
        if logits.ndim != 2:
            raise ValueError(f"the model's output for an image has the shape {logits.shape[1:]}, not (classes,)")
        logits = both_logits(Tensor(logits)).numpy()
        names = class_names(model, logits.shape[1])
        finite = np.isfinite(logits).all(1)
        if not finite.any():
            raise ValueError("the model's output is NaN or infinity: its weights are damaged, or training diverged")
        for result, row, fine in zip(good, logits.astype(np.float64), finite, strict=True):
            if fine:
                result["predictions"] = most_probable(row, names, top)
            else:
                result["error"] = f"{result['file']}: the model's output for this image is NaN or infinity"
    return results


def failure(file: str, error: Exception) -> str:
    """What went wrong with a file, beginning with its name."""
    if isinstance(error, IsADirectoryError):
        return f"{file}: there is no image in this folder"
    if isinstance(error, OSError):
        return f"{file}: {error.strerror or error}"
    text = str(error) or "out of memory"
    return text if text.startswith((file, repr(file))) and text != file else f"{file}: {text}"


def complain(text: str) -> None:
    """Write a line to stderr, if that is possible."""
    if sys.stderr is not None:
        with suppress(OSError):                  # a full disk must not cost the predictions
            write(text, sys.stderr)


def show_text(results: list[dict]) -> None:
    """Each file, followed by one line per class."""
    for result in results:
        if "error" not in result:
            write(result["file"])
            for prediction in result["predictions"]:
                write(f"{prediction['probability']:>9.2%}  {prediction['class']}")


def shown(file: str) -> str:
    """A file's name in UTF-8, also where names have another encoding; bytes that are no text stay escaped."""
    return os.fsencode(file).decode("utf-8", "surrogateescape")


def show_json(results: list[dict]) -> None:
    """One list, which includes the files that could not be read; JSON's own escapes make it ASCII."""
    write(json.dumps([{**result, "file": shown(result["file"])} for result in results], indent=2, allow_nan=False))


def show_csv(results: list[dict]) -> None:
    """One row per image and class, in UTF-8."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "rank", "class", "index", "probability"])
    for result in results:
        for rank, prediction in enumerate(result.get("predictions", ()), 1):
            rows.writerow([shown(result["file"]), rank, prediction["class"], prediction["index"],
                           f"{prediction['probability']:.6f}"])
    write_bytes(text.getvalue().encode("utf-8", "backslashreplace"))
