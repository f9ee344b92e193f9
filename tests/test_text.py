"""Text that a stream cannot encode is escaped, never refused: what a run has computed must not be lost over a name."""

import io
import sys

import pytest

from minidl.text import columns, on_terminal, padded, shortened, write

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize(("encoding", "expected"), [
    ("ascii", b"cr\\xe8me \\u65e5 \\U0001f600 \\udcff\n"), ("latin-1", b"cr\xe8me \\u65e5 \\U0001f600 \\udcff\n"),
    ("utf-8", "crème 日 😀 \\udcff\n".encode()), ("utf-16-le", "crème 日 😀 \\udcff\n".encode("utf-16-le"))])
def test_what_the_stream_cannot_encode_is_escaped(encoding, expected):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    write("crème 日 😀 \udcff", file, flush=True)
    assert file.buffer.getvalue() == expected


def test_names_cannot_command_the_terminal():
    file = io.StringIO()
    write("cat\x1b[2J\x9b31m\r\x00\x7f\tdog\n", file)
    assert file.getvalue() == "cat\\x1b[2J\\x9b31m\\x0d\\x00\\x7f\tdog\n\n"


def test_names_cannot_reverse_what_follows():
    file = io.StringIO()
    write("cat\u202egpj.exe\u2066", file)
    assert file.getvalue() == "cat\\u202egpj.exe\\u2066\n"


@pytest.mark.parametrize(("text", "width"), [("", 0), ("cat", 3), ("猫が", 4), ("e\u0301", 1), ("قطة", 3)])
def test_columns_of_a_terminal(text, width):
    assert columns(text) == width
    assert columns(padded(text, 9)) == 9
    assert shortened(text, 4) == text


def test_long_text_is_shortened():
    assert shortened("a long\nname  in two lines", 12) == "a long na..."
    assert shortened("とても長い日本語", 12) == "とても長..."


def test_stdout_is_the_default_and_may_be_missing(capsys, monkeypatch):
    write("one")
    write("two", end="")
    assert capsys.readouterr().out == "one\ntwo"
    monkeypatch.setattr(sys, "stdout", None)
    write("three")


class Cell:
    """The output of a notebook, for example."""

    def write(self, text):
        return len(text)

    def flush(self):
        pass


@pytest.mark.parametrize("stream", [None, Cell(), io.StringIO()])
def test_what_is_no_terminal(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    assert not on_terminal()
