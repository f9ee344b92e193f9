"""The final test: how a trained model performs on images that it has never seen."""

from pathlib import Path
from typing import Any

from minidl.data import ImageDataset
from minidl.device import Device
from minidl.evaluation.evaluation import Evaluation, Loss, evaluate, in_order
from minidl.evaluation.metrics import precision_recall_f1
from minidl.io import replacing
from minidl.io.json_file import write_json
from minidl.nn import Module
from minidl.report.confusion import draw_confusion
from minidl.report.tables import class_table, confusion_table
from minidl.text import write


def report(model: Module, dataset: ImageDataset, device: str | Device = "cpu", loss: Loss | None = None,
           folder: str | Path | None = None) -> Evaluation:
    """Evaluate the model and print accuracy, each class's precision, recall and F1, and the confusion matrix.

    The same goes into report.txt, metrics.json and confusion.png of a folder, if one is given. Returns the Evaluation.
    """
    result = evaluate(model, in_order(dataset), len(dataset.classes), device, loss)
    text = as_text(result, dataset)
    write(f"\n{text}", flush=True)
    if folder is not None:
        with replacing(Path(folder, "report.txt")) as file:
            file.write(f"{text}\n".encode("utf-8", "backslashreplace"))        # a name may come from a file's
        write_json(Path(folder, "metrics.json"), as_json(result, dataset))
        draw_confusion(Path(folder, "confusion.png"), result.confusion, dataset.classes, headline(result, dataset))
    return result


def headline(result: Evaluation, dataset: ImageDataset) -> str:
    """Accuracy and loss in one line."""
    return (f"{dataset.name}: accuracy {result.accuracy:.2%} "
            f"({result.confusion.trace():,} of {len(dataset):,}), loss {result.loss:.4f}")


def as_text(result: Evaluation, dataset: ImageDataset) -> str:
    """The whole report, for people."""
    return "\n\n".join([
        headline(result, dataset),
        class_table(result.confusion, dataset.classes),
        "rows: true class; columns: predicted class\n" + confusion_table(result.confusion, dataset.classes),
    ])


def as_json(result: Evaluation, dataset: ImageDataset) -> dict[str, Any]:
    """The whole report, for programs."""
    columns = [dataset.classes, *(values.tolist() for values in precision_recall_f1(result.confusion))]
    keys = ("class", "precision", "recall", "f1")
    return {
        "dataset": dataset.name,
        "images": len(dataset),
        "accuracy": result.accuracy,
        "loss": result.loss,
        "classes": [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)],
        "confusion": result.confusion.tolist(),
    }
