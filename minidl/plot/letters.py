"""Text in SVG: how wide it may be, and where it ends.

Nobody knows which font a viewer has. Widths are those of DejaVu Sans, wider than the fonts that STYLE asks for, so that
there is room in all of them; and in others, text at the left is cut off at the end of its room, so that it does not run
into the numbers at the right.
"""

from xml.sax.saxutils import escape

SIZE = 11                                        # pixels, of the font that `text_width` measures
LONGEST = 48                                     # longer texts are cut to this number of characters
BOLD = {35: " 'ijl", 40: ",./:;IJ\\|·", 45: "-f", 50: "!()[]_`rt", 55: '"*', 60: "?csz", 65: "Lvxy",
        70: "$0123456789EFTaeko", 75: "CPSYZbdghnpqu{}", 80: "ABKRVX", 85: "#+<=>DGHNOQU^~\u00d7\u2212", 90: "&",
        95: "w", 100: "%@M…", 105: "m", 110: "W"}            # {width in hundredths of the size: letters}, bold
WIDTHS = {letter: width for width, letters in BOLD.items() for letter in letters}
PLAIN = 0.9                                      # the width of plain letters, relative to bold ones


def text_width(words: str, bold: bool = True) -> float:
    """The width of a text, cut to LONGEST characters, in DejaVu Sans of SIZE pixels; other letters are squares."""
    width = sum(WIDTHS.get(letter, 100) for letter in cut(words)) * SIZE / 100
    return width if bold else PLAIN * width


def line_width(bold: str, plain: str) -> float:
    """The width of a bold and a plain text in one line."""
    return text_width(bold) + text_width(plain, bold=False) + (text_width(" ") if bold and plain else 0)


def text(x: float, y: float, room: float, bold: str, plain: str, *, end: bool = False) -> str:
    """A line of text, first the bold part, then the plain one, cut off after `room` pixels; empty if both are.

    x, y   of its beginning on the base line, or of its `end`; it is not cut off then, since it may be a number
    """
    parts = [f'<tspan class="{style}">{clean(cut(words))}</tspan>'
             for words, style in ((bold, "name"), (plain, "soft")) if words]
    if not parts:
        return ""
    left = x - room if end else x
    anchor = f' x="{room:.1f}" text-anchor="end"' if end else ""
    whole = ' overflow="visible"' if end else ""
    return (f'<svg x="{left:.1f}" y="{y - 14:.1f}" width="{room:.1f}" height="20"{whole}><text y="14"{anchor}>'
            f'{" ".join(parts)}</text></svg>')


def cut(words: str) -> str:
    """The text, shortened to LONGEST characters."""
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def clean(words: str) -> str:
    """Text escaped for XML; characters that XML does not allow become question marks."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in words))
