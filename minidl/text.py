"""Text for people, on a stream that may not be able to encode all of it: a terminal or a log that is not UTF-8."""

import sys
import unicodedata
from typing import TextIO

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202a, 0x202f), *range(0x2066, 0x206a))}      # reverse text


def write(text: str, file: TextIO | None = None, *, end: str = "\n", flush: bool = False) -> None:
    """Write `text` and `end` to a stream, by default stdout, as `print` does; it never raises UnicodeEncodeError.

    Each character that the stream's encoding lacks, and each byte of a file name that is not UTF-8, is written as a
    backslash escape: "cr\\xe8me". So are control characters, as `harmless` says. Without a stream, as in a program
    without a console, nothing is written.
    """
    file = sys.stdout if file is None else file
    if file is None:
        return
    text = harmless(text) + end
    try:
        file.write(text)
    except UnicodeEncodeError:
        encoding = file.encoding or "utf-8"
        file.write(text.encode(encoding, "backslashreplace").decode(encoding))
    if flush:
        file.flush()


def harmless(text: str) -> str:
    """Text whose control characters, other than newlines and tabs, are backslash escapes.

    Names of classes and files come from outside, and must not command the terminal.
    """
    return text.translate(CONTROLS)


def shortened(text: str, longest: int) -> str:
    """Text in one line, of at most `longest` columns; "..." stands for the rest."""
    text = " ".join(text.split())
    if columns(text) <= longest:
        return text
    end = len(text)
    while columns(text[:end]) > longest - 3:
        end -= 1
    return f"{text[:end]}..."


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: two for each Chinese character, none for a combining accent."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int) -> str:
    """Text with spaces behind it, as `str.ljust` pads it, that takes `width` columns of a terminal."""
    return text + " " * (width - columns(text))


def on_terminal() -> bool:
    """Whether stderr is a terminal; there may be no stderr, or a stream that has only what `print` needs."""
    return hasattr(sys.stderr, "isatty") and sys.stderr.isatty()


def write_bytes(content: bytes) -> None:
    """Write bytes to stdout, whatever its encoding."""
    if sys.stdout is None:
        return
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:                           # a stream in memory, which has no bytes
        sys.stdout.write(content.decode())
    else:
        buffer.write(content)
        buffer.flush()
