"""HTML as nested calls: element("td", "a < b", class_="name"). All text is escaped, since names come from outside."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")   # and what reverses text
VOID = {"meta", "img", "br"}                     # elements without an end tag


class Html(str):
    """Text that is HTML already, and is not escaped."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Html:
    """<name attributes>children</name>

    children    Html as it is, any other text escaped; lists of them; None for nothing
    attributes  `class_` is class, `data_pair` is data-pair; None leaves one out
    """
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(clean(str(value)))}"'
                    for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{given}>" + ("" if name in VOID else f"{joined(children)}</{name}>"))


def joined(children: Iterable[Any]) -> Html:
    """The children of an element, one after the other."""
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(str(child))
        elif isinstance(child, list | tuple):
            parts.append(str(joined(child)))
        elif child is not None:
            parts.append(escape(clean(str(child))))
    return Html("".join(parts))


def clean(text: str) -> str:
    """Text that a page can hold: bytes that are no Unicode are escaped, control characters are replaced."""
    return CONTROL.sub("\ufffd", text.encode("utf-8", "backslashreplace").decode())


def section(title: str, *children: Any, note: str | None = None) -> Html:
    """A part of the page with a heading, which the list of contents links to, and a sentence that explains it."""
    return element("section", element("h2", title), note and element("p", note, class_="note"), children,
                   id=anchor(title))


def anchor(title: str) -> str:
    """The address of a section within the page."""
    return "-".join(title.lower().split())


def table(heads: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str, class_: str | None = None) -> Html:
    """A table whose first column names the rows; numbers are (text, value) pairs, and are sorted by value."""
    head = element("tr", [element("th", text, scope="col") for text in heads])
    return element("div", element("table", element("caption", caption), element("thead", head),
                                  element("tbody", [row(cells) for cells in rows]), class_=class_), class_="scroll")


def row(cells: Sequence[Any]) -> Html:
    """A row of `table`."""
    first, *others = cells
    return element("tr", element("th", first, scope="row"), [
        element("td", cell[0], class_="number", data_value=cell[1]) if isinstance(cell, tuple) else element("td", cell)
        for cell in others])


def number(value: float, form: str = ",") -> tuple[str, Any]:
    """A cell of `table` with a number; NaN becomes a dash."""
    if value != value:
        return "-", -1
    return format(value, form), round(float(value), 6)
