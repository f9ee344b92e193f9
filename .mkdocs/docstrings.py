"""Docstrings as HTML: sentences, and lines `name  what it is` as a table."""

import html
import re

import griffe

ROW = re.compile(r"(?!.*\.$)(\S(?:.*?\S)?) {2,}(?!->)(\S.*)")
FULL = 88                                        # characters of a line that goes on in the next one


class Plain(griffe.Extension):
    """The docstrings of minidl are not Markdown: signs such as * and < stand for themselves."""

    def on_object(self, *, obj, **_):
        """Called for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = f'<div class="docstring">{shown(obj.docstring.value)}</div>'


def shown(text):
    """The HTML that shows a docstring; without empty lines, so that Markdown leaves it alone."""
    blocks = []                                  # ["line", text], ["row", name, text] or ["code", text]
    before = ""                                  # the line before
    for line in text.strip().splitlines():
        indented, row = line.startswith("  "), ROW.fullmatch(line)
        if not line.strip():
            pass
        elif indented and (not before.strip() or blocks[-1][0] == "code"):
            blocks = [*blocks[:-1], ["code", f"{blocks[-1][1]}\n{line}"]] if blocks[-1][0] == "code" else [
                *blocks, ["code", line]]
        elif indented or (len(before) > FULL and blocks[-1][0] == "line" and not row):
            blocks[-1][-1] += " " + line.strip()
        elif row and name_like(row[1]):
            blocks.append(["row", row[1], row[2]])
        else:
            blocks.append(["line", line])
        before = line
    parts = [part(*block) for block in blocks]
    return re.sub(r"</table><table[^>]*>", "", "".join(parts)).replace("\n", "&#10;")


def name_like(text):
    """Whether the left part of a line is a name, or several, and no sentence or formula."""
    return len(text) < 40 and not re.search(r"[.:;=]$|[=<]|->", text)


def part(kind, *texts):
    """The HTML of one block."""
    texts = [html.escape(text, quote=False) for text in texts]
    if kind == "code":
        return f"<pre>{texts[0]}</pre>"
    texts = [re.sub(r"`([^`]+)`", r"<code>\1</code>", text) for text in texts]
    if kind == "row":
        return f'<table class="settings"><tr><td><code>{texts[0]}</code></td><td>{texts[1]}</td></tr></table>'
    return f"<p>{texts[0]}</p>"
