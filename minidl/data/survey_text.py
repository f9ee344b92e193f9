"""The facts that a survey found, as a dictionary for programs and as text of 80 columns for people."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from minidl.data.image_folder import SHOWN
from minidl.data.statistics import moments
from minidl.data.survey import Entry, Survey, contradictions, leaks
from minidl.text import columns as width_of
from minidl.text import padded, shortened

WIDTH = 80
NAME, BAR = 24, 20                               # columns, at most
MOST_ROWS, LARGEST, SMALLEST = 40, 25, 5         # classes in the table; if there are more, the largest and the smallest
UNEVEN = 1.5                                     # times as many images as another class has
REMEDIES = {"images": "DataLoader(balanced=True) and dataset.class_weights()", "pixels": "dataset.class_weights()"}


def facts(survey: Survey) -> dict[str, Any]:
    """Everything as numbers, text, lists and dictionaries."""
    mean, std = moments(survey.channels())
    same, near = survey.duplicates(), survey.near_duplicates()
    images = {part: sum(entry.part == part for entry in survey.entries) for part in survey.parts}
    totals, sizes = survey.totals(), survey.sizes()
    return {
        "name": survey.name, "root": survey.root, "images": len(survey.entries), "parts": images,
        "counted": survey.counted,
        "classes": [{"name": name, "total": total, "parts": {part: survey.counts[part, name] for part in survey.parts}}
                    for name, total in zip(survey.classes, totals, strict=True)],
        "sizes": {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1],
                  "different": len(set(sizes))} if sizes else {},
        "formats": dict(survey.formats.most_common()), "modes": dict(survey.modes.most_common()),
        "channels": len(mean), "mean": mean, "std": std,
        "unreadable": [{"path": path, "reason": error} for path, error in survey.unreadable],
        "duplicates": places(same), "near_duplicates": places(near),
        "leaks": places(leaks(same)), "near_leaks": places(leaks(near)),
        "contradictions": [] if survey.has_masks else places(contradictions(same)),
    }


def places(found: Sequence[Sequence[Entry]]) -> list[list[str]]:
    """Where the images of each group are."""
    return [[entry.place for entry in group] for group in found]


def text(found: dict[str, Any]) -> str:
    """The facts as text."""
    about_classes = list(remarks(found))
    return "\n".join([*heading(found), *table(found), *about_classes, *[""] * bool(about_classes), *pixels(found),
                      *trouble(found)])


def heading(found: dict[str, Any]) -> Iterator[str]:
    """What the set is, and the loudest fact about it."""
    parts = ", ".join(f"{count:,} for {part}" for part, count in found["parts"].items() if part)
    yield f"{found['name']}: {found['images']:,} images, {number(len(found['classes']), 'class', 'classes')}" + (
        f" ({parts})" if parts else "")
    if found["leaks"]:
        yield from filled(f"LEAK: {number(len(found['leaks']), 'image is', 'images are')} in the training part and in "
                          "another part, too. What is measured on them says nothing about new images. See below.")
    yield ""


def table(found: dict[str, Any]) -> Iterator[str]:
    """A row for each class, with counts; for masks with the shares of the pixels."""
    classes, parts = found["classes"], list(found["parts"])
    whole, most = sum(row["total"] for row in classes) or 1, max(row["total"] for row in classes) or 1
    sums = {part: sum(row["parts"][part] for row in classes) or 1 for part in parts}

    def cell(count: int, part: str) -> str:
        return f"{100 * count / sums[part]:.1f} %" if found["counted"] == "pixels" else short(count)

    columns = [part for part in parts if part] if len(parts) > 1 else []
    lines = [["", *columns, found["counted"], "share"]]
    rows = classes if len(classes) <= MOST_ROWS else sorted(classes, key=lambda row: -row["total"])
    for row in rows:
        lines.append([shortened(row["name"], NAME), *[cell(row["parts"][part], part) for part in columns],
                      short(row["total"]), f"{100 * row['total'] / whole:.1f} %"])
    widths = [max(map(width_of, column)) for column in zip(*lines, strict=True)]
    for i, line in enumerate(lines):
        if len(classes) > MOST_ROWS and LARGEST < i <= len(rows) - SMALLEST:
            if i == LARGEST + 1:
                yield f"  {len(rows) - LARGEST - SMALLEST:,} classes between the largest and the smallest"
            continue
        text = padded(line[0], widths[0]) + "".join(value.rjust(width + 3) for value, width in
                                                  zip(line[1:], widths[1:], strict=True))
        room = min(BAR, WIDTH - 3 - width_of(text))
        count = rows[i - 1]["total"] if i else 0
        yield f"{text}   {'#' * max(round(room * count / most), count > 0)}".rstrip()
    yield ""


def remarks(found: dict[str, Any]) -> Iterator[str]:
    """What is unusual about the classes."""
    classes = found["classes"]
    totals = [row["total"] for row in classes if row["total"]]
    if len(classes) == 1:
        yield from filled("There is a single class; a classifier needs at least two.")
    elif totals and max(totals) >= UNEVEN * min(totals):
        yield from filled(f"The largest class has {max(totals) / min(totals):,.1f} times as many {found['counted']} as "
                          f"the smallest: see {REMEDIES[found['counted']]}.")
    for part in found["parts"]:
        missing = [row["name"] for row in classes if not row["parts"][part]]
        if missing:
            where = f" in the part for {part}" if part else ""
            yield from filled(f"{number(len(missing), 'class', 'classes')} without {found['counted']}{where}: "
                              f"{', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''}")


def pixels(found: dict[str, Any]) -> Iterator[str]:
    """Sizes, formats, and the statistics of the pixels."""
    sizes = found["sizes"]
    if sizes:
        smallest, median, largest = (f"{w:,} x {h:,}" for w, h in (sizes[k] for k in ("smallest", "median", "largest")))
        yield f"sizes     all {smallest}" if sizes["different"] == 1 else (
            f"sizes     {smallest} (smallest), {median} (median), {largest} (largest)")
    if found["formats"]:
        yield f"formats   {listed(found['formats'])}"
    yield f"modes     {listed(found['modes'])}"
    colours = "red, green, blue" if found["channels"] == 3 else "grey"
    yield f"mean      {'  '.join(f'{value:.4f}' for value in found['mean'])}   ({colours}; pixels from 0 to 1)"
    yield f"std       {'  '.join(f'{value:.4f}' for value in found['std'])}"


def trouble(found: dict[str, Any]) -> Iterator[str]:
    """Files that cannot be read, and images that occur more than once."""
    def inside(path: str) -> str:
        return path.removeprefix(found["root"]).lstrip("/\\") or path

    if unreadable := found["unreadable"]:
        yield f"\n{number(len(unreadable), 'file', 'files')} cannot be read:"
        yield from some([f"{inside(fact['path'])}: {fact['reason']}" for fact in unreadable])
    told: list[list[str]] = []
    for key, one, many, about in (
            ("leaks", "image is", "images are", "in the training part and in another one"),
            ("contradictions", "image is", "images are", "in several classes"),
            ("near_leaks", "image is", "images are", "in the training part and, nearly the same, in another one"),
            ("duplicates", "image occurs", "images occur", "more than once"),
            ("near_duplicates", "pair of images is", "pairs of images are", "nearly the same")):
        groups = [group for group in found[key] if group not in told]
        told += groups
        if groups:
            loud = "LEAK: " if key == "leaks" else ""
            yield f"\n{loud}{number(len(groups), one, many)} {about}:"
            sign = " ~ " if key.startswith("near") else " = "
            yield from some([sign.join(map(inside, group)) for group in groups])


def some(lines: Sequence[str]) -> Iterator[str]:
    """The first lines, indented, and how many more there are."""
    yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN:,} more"


def filled(sentence: str) -> list[str]:
    """A sentence in lines of 80 columns."""
    return textwrap.wrap(sentence, WIDTH, subsequent_indent="  ")


def number(count: int, one: str, many: str) -> str:
    """"1 class", "2 classes"."""
    return f"{count:,} {one if count == 1 else many}"


def short(count: int) -> str:
    """A number of at most 9 characters: "7,864,320", "12.3 G"."""
    return f"{count:,}" if count < 10**7 else f"{count / 10**6:,.1f} M" if count < 10**10 else f"{count / 10**9:,.1f} G"


def listed(counts: dict[str, int]) -> str:
    """"RGB 790, L 10"."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
