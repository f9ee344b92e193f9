"""The files of a report: report.txt, metrics.json, confusion.png and report.html."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidl.data import ImageDataset
from minidl.device import Device
from minidl.errors import sentence
from minidl.evaluation import Evaluation
from minidl.io import replacing
from minidl.io.json_file import write_json
from minidl.nn import Module
from minidl.report.confusion import draw_confusion
from minidl.report.facts import Facts
from minidl.report.page import page
from minidl.report.text import as_json, as_text, headline
from minidl.text import harmless
from minidl.text import write as say


def write(folder: str | Path, model: Module, dataset: ImageDataset | None, result: Evaluation | None,
          facts: Facts | None = None, device: str | Device = "cpu") -> bool:
    """Write the files of a report into a folder, each completely or not at all; returns whether all are written.

    dataset, result  what was evaluated; None for a run without test and validation images, which gets report.html only
    facts            what is said of the run (`facts.py`)
    A file that cannot be written is named on stderr, and the others are written.
    """
    facts = facts or Facts()
    makers: dict[str, Callable[[Path], Any]] = {
        "report.html": lambda path: write_text(path, page(model, dataset, result, facts, device))}
    if dataset is not None and result is not None:
        makers |= {
            "report.txt": lambda path: write_text(path, harmless(f"{as_text(result, dataset, facts)}\n")),
            "metrics.json": lambda path: write_json(path, as_json(result, dataset, facts)),
            "confusion.png": lambda path: draw_confusion(path, result.confusion, dataset.classes,
                                                         headline(result, dataset))}
    written = [made(Path(folder, name), make) for name, make in makers.items()]      # all are tried
    return all(written)


def made(path: Path, make: Callable[[Path], Any]) -> bool:
    """Make a file; if that fails, say so: the run that it describes is worth more than the description."""
    try:
        make(path)
    except Exception as error:
        if os.environ.get("MINIDL_TRACEBACK") == "1":
            raise
        if sys.stderr is not None:
            say(f"{path} is missing: {sentence(error)}", sys.stderr, flush=True)
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file; a name in it may come from a file's, and be no Unicode."""
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
