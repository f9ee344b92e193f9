"""Docstrings as they are written: a sentence, and then lines and tables whose spaces matter."""

import html
import re

import griffe

CODE = re.compile(r"(`[^`\n]+`)")


class Plain(griffe.Extension):
    """The first paragraph of each docstring as text, and the rest as it stands in the source."""

    def on_object(self, *, obj, **_):
        """Called for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = shown(obj.docstring.value)


def shown(text):
    """The Markdown that shows a docstring."""
    first, _, rest = text.partition("\n\n")
    if "\n" in first.strip():                    # a formula of several lines
        first, rest = "", text
    block = f'<pre class="docstring">{html.escape(rest, quote=False)}</pre>' if rest.strip() else ""
    return "\n\n".join(filter(None, [escaped(first), block]))


def escaped(text):
    """A sentence without Markdown, except for `code`."""
    return "".join(part if CODE.fullmatch(part) else re.sub(r"([\\*_\[\]<>|{}#])", r"\\\1", part)
                   for part in CODE.split(text))
