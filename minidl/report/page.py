"""`report.html`: one page that holds all it shows, and loads nothing.

Its only script sorts tables. The page forbids every other one, by the hash of this one, whatever a class or a file is
called.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from minidl.data import ImageDataset
from minidl.device import Device
from minidl.evaluation import Evaluation, Images
from minidl.nn import Module
from minidl.report import images, sections
from minidl.report.facts import Facts
from minidl.report.html import Html, anchor, element, joined
from minidl.version import __version__

SCRIPT, STYLE = (Html(Path(__file__).with_name(name).read_text(encoding="utf-8")) for name in ("page.js", "page.css"))
ALLOWED = ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
           + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode() + "'")


def page(model: Module, dataset: ImageDataset | None, result: Evaluation | None, facts: Facts,
         device: str | Device = "cpu") -> str:
    """The whole page. Without a data set and its Evaluation it has the learning curves and the settings only."""
    title = facts.name or getattr(dataset, "name", "") or type(model).__name__
    parts: list[Html | None] = [sections.curves(facts)]
    if dataset is not None and result is not None:
        parts += results(model, dataset, result, facts, device)
    parts += sections.about(model, facts)
    if result is not None:
        parts.append(sections.meaning(result))
    shown = [part for part in parts if part is not None]
    top = [element("h1", title), element("p", lead(dataset, result, facts), class_="lead")]
    return document(title, [*top, result and sections.headline(result), contents(shown), *shown])


def results(model: Module, dataset: ImageDataset, result: Evaluation, facts: Facts,
            device: str | Device) -> list[Html | None]:
    """The sections about the predictions."""
    names, counted = dataset.classes, "pixels" if result.of_pixels else "images"
    counts = {**facts.counts, facts.part: result.confusion.sum(1)}
    parts: list[Html | None] = [sections.confusion(result, names, counted)]
    if isinstance(result.each, Images):
        parts += [images.mistakes(dataset, result.each), images.uncertain(dataset, result.each),
                  images.maps(model, dataset, result.each)]
    elif result.each is not None:
        parts += images.masks(model, dataset, result, device)
    return [*parts, sections.of_classes(result, names, counted), sections.distribution(counts, names, counted),
            sections.calibration(result, counted)]


def lead(dataset: ImageDataset | None, result: Evaluation | None, facts: Facts) -> str:
    """What the report is of, in a sentence."""
    if dataset is None or result is None:
        return "There was neither a test set nor a validation set, so there are no results."
    name = getattr(dataset, "name", "")
    of = f"{len(dataset):,} {facts.part} images{f' of {name}' if name else ''}, {len(dataset.classes):,} classes."
    if facts.part == "validation":
        of += " There was no test set: these images also chose the best epoch, so the results are somewhat too good."
    return of


def contents(parts: Sequence[Html]) -> Html:
    """Links to the sections."""
    titles = [part.partition("<h2>")[2].partition("</h2>")[0] for part in parts]
    return element("nav", [element("a", Html(title), href=f"#{anchor(title)}") for title in titles],
                   aria_label="contents")


def document(title: str, body: list) -> str:
    """A complete HTML document."""
    head = [element("meta", charset="utf-8"), element("meta", http_equiv="Content-Security-Policy", content=ALLOWED),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="generator", content=f"minidl {__version__}"), element("title", title),
            element("style", STYLE)]
    page = element("html", element("head", head), element("body", element("main", body), element("script", SCRIPT)),
                   lang="en")
    return f"<!doctype html>\n{joined([page])}\n"
