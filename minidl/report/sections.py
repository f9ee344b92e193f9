"""The sections of the page with numbers."""

import os
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.evaluation import Evaluation, dice, iou, precision_recall_f1
from minidl.evaluation.metrics import mean_over_classes
from minidl.nn import Module
from minidl.report import matrix, plots
from minidl.report.facts import Facts
from minidl.report.html import Html, element, number, section, table
from minidl.report.meaning import MEANING, shown
from minidl.report.tables import occurring

BARS = 30                                        # no more classes get a bar each
LONGEST = 300                                    # characters of a setting


def headline(result: Evaluation) -> Html:
    """The metrics that are one number, without those that repeat another."""
    summary = result.summary()
    for key, same in (("balanced_accuracy", "macro_recall"), ("log_loss", "loss")):
        if abs(summary[key] - summary[same]) < 1e-5:
            del summary[key]
    first = "mean_dice" if result.of_pixels else "accuracy"
    keys = [first, *(key for key in summary if key != first)]
    return element("dl", [element("div", element("dt", MEANING[key][0]), element("dd", shown(key, summary[key])),
                                  class_="main" if key == first else None) for key in keys], class_="cards")


def meaning(result: Evaluation) -> Html:
    """What the metrics are."""
    return section("What the numbers mean", element("dl", [
        [element("dt", MEANING[key][0]), element("dd", MEANING[key][1])] for key in result.summary()], class_="words"))


def of_classes(result: Evaluation, names: Sequence[str], counted: str) -> Html:
    """A row for each class."""
    confusion = result.confusion
    heads: list[str] = ["class", counted, "precision", "recall"]
    values = [*precision_recall_f1(confusion)[:2]]
    if result.of_pixels:
        heads, values = [*heads, "IoU", "Dice"], [*values, iou(confusion), dice(confusion)]
    else:
        heads, values = [*heads, "F1", "most often taken for"], [*values, dice(confusion)]
    others = confusion.copy()
    np.fill_diagonal(others, 0)
    worst, counts = others.argmax(1), confusion.sum(1)
    rows: list[list[Any]] = []
    occur, missing = occurring(confusion, names)
    for c in occur:
        cells = [names[c], number(counts[c]), *(number(value[c], ".1%") for value in values)]
        if not result.of_pixels:
            cells.append(f"{names[worst[c]]} ({others[c, worst[c]]:,})" if others[c].any() else "")
        rows.append(cells)
    means = [f"{mean_over_classes(value, confusion):.1%}" for value in values]
    sentence = f"Means: precision {means[0]}, recall {means[1]}, " + (
        f"IoU {means[2]}, Dice {means[3]}." if result.of_pixels else f"F1 {means[2]}.")
    return section("Classes", table(heads, rows, "The results of each class", "sortable"),
                   element("p", f"{missing[0].upper()}{missing[1:]}.", class_="note") if missing else None,
                   note=f"{sentence} A click on the head of a column sorts by it.")


def distribution(counts: dict[str, np.ndarray], names: Sequence[str], counted: str) -> Html | None:
    """How many images, or pixels, of each class the parts of the data have."""
    counts = {part: values for part, values in counts.items() if len(values) == len(names) and values.any()}
    if not counts:
        return None
    note = "; ".join(f"{part}: {values.sum():,} {counted}" for part, values in counts.items())
    if len(names) > BARS:
        return section("Distribution of the classes", element("div", [
            plots.columns(values, names, part, counted) for part, values in counts.items()], class_="plots"), note=note)
    largest = {part: int(values.max()) for part, values in counts.items()}
    rows = [[name, *(bar(int(values[c]), largest[part]) for part, values in counts.items())]
            for c, name in enumerate(names)]
    return section("Distribution of the classes", table(["class", *counts], rows, f"{counted} of each class", "bars"),
                   note=note)


def bar(count: int, largest: int) -> Html:
    """A number, and a bar as long as its part of the largest one."""
    return element("span", f"{count:,}", class_="bar", style=f"--v:{count / max(1, largest):.3f}")


def confusion(result: Evaluation, names: Sequence[str], counted: str) -> Html:
    """The confusion matrix."""
    return section("Confusion matrix", matrix.confusion(result.confusion, names, counted),
                   note="Blue pairs are correct, the others are mistakes. A pointer, or a finger, shows the pair.")


def curves(facts: Facts) -> Html | None:
    """The learning curves."""
    if not facts.rows:
        return None
    note = f"The best of {len(facts.rows)} epochs is epoch {facts.best}; its weights are reported on."
    return section("Learning curves", plots.curves(facts.rows, facts.best),
                   note=note if facts.best and len(facts.rows) > 1 else None)


def calibration(result: Evaluation, counted: str) -> Html | None:
    """The reliability diagram."""
    if result.diagram is None or not result.diagram[0].any():
        return None
    count, confidence, correct = result.diagram.sum(1)
    sure, right = confidence / count, correct / count
    verdict = "as confident as it is accurate" if abs(sure - right) < 0.005 else (
        "overconfident" if sure > right else "underconfident")
    return section("Calibration", plots.reliability(result.diagram, counted),
                   note=f"Mean confidence {sure:.1%}, accuracy {right:.1%}: on the whole the model is {verdict}. "
                        f"Expected calibration error {result.calibration_error:.2%}.")


def about(model: Module | None, facts: Facts) -> list[Html]:
    """How the run was made: the network, time, settings, versions and the command."""
    sections = [section("The run", words(run_facts(model, facts)))]
    if facts.recipe:
        sections.append(section("Settings", words(facts.recipe)))
    if command := command_line(facts.args.get("command")):
        sections.append(section("Command", element("pre", element("code", command)),
                                note="This command, in the folder in which it was given, makes the run again."))
    return sections


def run_facts(model: Module | None, facts: Facts) -> dict[str, Any]:
    """Facts about a run that are not settings."""
    found: dict[str, Any] = {}
    if model is not None:
        network = getattr(model, "architecture", None)
        found["network"] = network["name"] if isinstance(network, dict) else type(model).__name__
        found["parameters"] = f"{sum(p.numel() for p in model.parameters()):,}"
    if facts.rows:
        found["epochs"] = len(facts.rows)
        found["training time"] = duration(facts.seconds)
        images = facts.recipe.get("train_images")
        if isinstance(images, int) and facts.seconds > 0:
            found["training images per second"] = f"{images * len(facts.rows) / facts.seconds:,.0f}, with validation"
    if isinstance(facts.args.get("date"), str):
        found["started"] = facts.args["date"]
    versions = facts.args.get("versions")
    if isinstance(versions, dict):
        found["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    if facts.tta:
        how = f": {facts.tta}" if isinstance(facts.tta, str) else ""
        found["test-time augmentation"] = f"the mean of the logits of several views of each image{how}"
    return found


def words(values: dict[str, Any]) -> Html:
    """Names with their values."""
    return element("dl", [[element("dt", key.replace("_", " ")), element("dd", setting(value))]
                          for key, value in values.items()], class_="words")


def setting(value: Any) -> str:
    """The value of a setting as people write it."""
    text = "yes" if value is True else "no" if value is False else "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as people say them."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def command_line(command: Any) -> str:
    """The command that started the run; empty if it is not known, as in a notebook."""
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        return ""
    program = os.path.basename(command[0])
    if program in ("", "-c", "-m", "__main__.py", "ipykernel_launcher.py"):
        return shlex.join(["python", "-m", "minidl", *command[1:]]) if command[0].endswith(
            os.path.join("minidl", "__main__.py")) else ""
    return shlex.join(["python", *command] if program.endswith(".py") else [program, *command[1:]])
