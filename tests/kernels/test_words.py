"""The kernels use the terms of their field: no word that docs/kernels.md has retired."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "minidl" / "kernels"


def retired_words():
    """{word: the folders of kernels/ in which it is allowed}: the block under "Retired words" in docs/kernels.md.

    A line holds one word, optionally followed by `except in` and folders: `walk except in cpu/runtime`.
    """
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    block = re.search(r"^#+ Retired words$.*?^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    entries = (line.partition(" except in ") for line in block.splitlines() if line.strip())
    return {word.strip(): tuple(folders.replace(",", " ").split()) for word, _, folders in entries}


@pytest.mark.tiny
def test_kernels_use_no_retired_word():
    """Neither in code, where `_` separates words, nor in comments."""
    found = []
    for word, allowed in retired_words().items():
        pattern = re.compile(rf"(?<![a-z]){re.escape(word)}(?![a-z])", re.IGNORECASE)
        for path in sorted(KERNELS.rglob("*.py")):
            name = path.relative_to(KERNELS).as_posix()
            if not name.startswith(allowed):
                found += [f"{name}:{number}: {word}" for number, line in
                          enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if pattern.search(line)]
    assert found == []
