"""Examples run in the process of the test."""

import runpy
import sys

import pytest


def exit_code(monkeypatch, script, *flags):
    """The exit code of a script with these flags."""
    monkeypatch.setattr(sys, "argv", [script.name, *map(str, flags)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(script), run_name="__main__")
    return caught.value.code
