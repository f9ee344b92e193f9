"""`minidl predict IMAGE... --model FILE`: what is in photographs, by a model that knows its classes.

What was told goes to stdout, progress and complaints to stderr. An image that cannot be read is told and left out, and
makes the exit code 1.
"""

import csv
import glob
import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minidl.device import Device
from minidl.io import load_model
from minidl.io.image import SUFFIXES, Preprocessing
from minidl.train import predict


def run(args):
    """Print what the model sees; the exit code tells whether all images could be read."""
    device = Device.parse(args.device)
    model = load_model(args.model, device=args.device)
    try:
        preprocessing = Preprocessing.of(model.about)
    except ValueError as error:
        raise ValueError(f"{args.model}: {error}") from error
    write = write_json if args.json else write_csv if args.csv else write_text
    results = []
    try:
        with tqdm(find(args.images), unit=" images", file=sys.stderr, disable=None) as files:
            for batch in batches(files, args.batch_size):
                results += classify(model, preprocessing, batch, args.top, device)
    except KeyboardInterrupt:
        write(results)                           # what is known so far is not lost
        raise
    bad = [result for result in results if "error" in result]
    for result in bad:
        print(f"minidl predict: {result['error']}", file=sys.stderr)
    write(results)
    return 1 if bad else 0


def find(arguments):
    """The files that arguments mean: each itself, the images in a folder and below, or what fits a pattern."""
    files = []
    for argument in arguments:
        if Path(argument).is_dir():
            inside = (path for path in Path(argument).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            files += sorted(map(str, inside)) or [argument]          # which, being no image, is complained of
        else:
            fitting = [argument] if Path(argument).is_file() else glob.glob(argument, recursive=True)
            files += sorted(path for path in fitting if Path(path).is_file()) or [argument]
    return files


def batches(files, size):
    """Lists of at most `size` files."""
    batch = []
    for file in files:
        batch.append(file)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def classify(model, preprocessing, files, top, device):
    """For each file {"file", "predictions": [{"class", "index", "probability"}, ...]}, or {"file", "error"}."""
    results, images = [], []
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
            raise ValueError(f"the model gives {logits.shape[1:]} numbers for an image, not one for each class")
        for result, row in zip(good, logits.astype(np.float64), strict=True):
            result["predictions"] = likeliest(row, model.about.get("classes"), top)
    return results


def likeliest(logits, classes, top):
    """The classes with the highest probabilities, which are exp(logits) / sum(exp(logits))."""
    names = classes or list(map(str, range(len(logits))))
    if len(names) != len(logits):
        raise ValueError(f"the model file names {len(names)} classes, but the model tells {len(logits)} apart")
    if not np.isfinite(logits).all():
        raise ValueError("the model gives NaN or infinity: its weights are damaged, or were never trained well")
    exponentials = np.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    return [{"class": names[i], "index": int(i), "probability": float(probabilities[i])}
            for i in np.argsort(-logits, kind="stable")[:top]]


def write_text(results):
    """The file, and below it a line for each class."""
    for result in results:
        if "error" not in result:
            print(result["file"])
            for told in result["predictions"]:
                print(f"{told['probability']:>9.2%}  {told['class']}")


def write_json(results):
    """One list, with the files that could not be read, too."""
    print(json.dumps(results, indent=2, ensure_ascii=False))


def write_csv(results):
    """A row for each class told."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["file", "rank", "class", "index", "probability"])
    for result in results:
        for rank, told in enumerate(result.get("predictions", ()), 1):
            rows.writerow([result["file"], rank, told["class"], told["index"], f"{told['probability']:.6f}"])
