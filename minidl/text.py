"""Text for people, on a stream that may not be able to encode all of it: a terminal or a log that is not UTF-8."""

import sys
from typing import TextIO

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def write(text: str, file: TextIO | None = None, *, end: str = "\n", flush: bool = False) -> None:
    """Write `text` and `end` to a stream, by default stdout, as `print` does; it never raises UnicodeEncodeError.

    Each character that the stream's encoding lacks, and each byte of a file name that is not UTF-8, is written as a
    backslash escape: "cr\\xe8me". So are control characters other than newlines and tabs: names of classes and files
    come from outside, and must not command the terminal. Without a stream, as in a program without a console, nothing
    is written.
    """
    file = sys.stdout if file is None else file
    if file is None:
        return
    text = text.translate(CONTROLS) + end
    try:
        file.write(text)
    except UnicodeEncodeError:
        encoding = file.encoding or "utf-8"
        file.write(text.encode(encoding, "backslashreplace").decode(encoding))
    if flush:
        file.flush()


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
