"""The engine that the exercises of chapter 1 import is the one of the page."""

import re
from pathlib import Path

TOUR = Path(__file__).parents[2] / "docs" / "tour"


def test_the_engine_is_that_of_the_page():
    page = (TOUR / "01_number.md").read_text(encoding="utf-8")
    engine = (TOUR / "exercises" / "scalar_engine.py").read_text(encoding="utf-8")
    pieces = re.split(r"\n\n\n", engine.strip())[1:]           # without docstring and imports
    assert len(pieces) >= 8
    assert [piece for piece in pieces if piece not in page] == []
