"""The report for a terminal, and the same for programs."""

from typing import Any

from minidl.data import ImageDataset
from minidl.evaluation import Evaluation, iou, precision_recall_f1
from minidl.report.facts import Facts
from minidl.report.meaning import MEANING, shown
from minidl.report.tables import MATRIX, class_table, confusion_table, mistakes_table


def headline(result: Evaluation, dataset: ImageDataset) -> str:
    """Accuracy, or mean Dice, and loss in one line."""
    name, confusion = getattr(dataset, "name", ""), result.confusion
    if result.of_pixels:
        summary = result.summary()
        return (f"{name}: mean Dice {summary['mean_dice']:.2%}, mean IoU {summary['mean_iou']:.2%}, pixel accuracy "
                f"{result.accuracy:.2%} ({len(dataset):,} images), loss {result.loss:.4f}")
    return f"{name}: accuracy {result.accuracy:.2%} ({confusion.trace():,} of {len(dataset):,}), loss {result.loss:.4f}"


def as_text(result: Evaluation, dataset: ImageDataset, facts: Facts) -> str:
    """The whole report, for people."""
    counted = "pixels" if result.of_pixels else "images"
    parts = [headline(result, dataset)]
    if facts.part == "validation":
        parts[0] += "\nThese are the validation images, which also chose the best epoch; there was no test set."
    parts += [metric_lines(result), class_table(result.confusion, dataset.classes, counted)]
    if len(dataset.classes) <= MATRIX:
        parts.append("rows: true class; columns: predicted class\n"
                     + confusion_table(result.confusion, dataset.classes))
    else:
        parts.append("the most frequent mistakes\n" + mistakes_table(result.confusion, dataset.classes))
    return "\n\n".join(parts)


def metric_lines(result: Evaluation) -> str:
    """A line for each metric that is one number, except those of the headline and of the table of classes."""
    apart = ("accuracy", "loss", "mean_iou", "mean_dice", "macro_precision", "macro_recall", "macro_f1")
    return "\n".join(f"{MEANING[key][0]:18}{shown(key, value):>10}" for key, value in result.summary().items()
                     if key not in apart)


def as_json(result: Evaluation, dataset: ImageDataset, facts: Facts) -> dict[str, Any]:
    """The whole report, for programs."""
    columns = [dataset.classes, *(values.tolist() for values in precision_recall_f1(result.confusion))]
    keys = ["class", "precision", "recall", "f1"]
    if result.of_pixels:
        keys, columns = [*keys, "iou"], [*columns, iou(result.confusion).tolist()]
    return {
        "dataset": getattr(dataset, "name", ""),
        "part": facts.part,
        "images": len(dataset),
        **result.summary(),
        "test_time_augmentation": facts.tta,
        "classes": [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)],
        "confusion": result.confusion.tolist(),
        "reliability": None if result.diagram is None else dict(zip(
            ("count", "confidence", "correct"), result.diagram.tolist(), strict=True)),
    }
