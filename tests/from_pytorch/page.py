"""Writes the tables of docs/from_pytorch.md from `minidl/missing.py`, and reads the script in it.

    python tests/from_pytorch/page.py
"""

import re
from pathlib import Path

from minidl import missing

PAGE = Path(__file__).parents[2] / "docs" / "from_pytorch.md"
MARK = "<!-- written by tests/from_pytorch/page.py from minidl/missing.py -->\n"
TABLES = {
    "Tensors": missing.TENSOR, "`torch`": missing.TOP, "`torch.nn`": missing.LAYERS, "Modules": missing.MODULE,
    "`torch.nn.functional`": missing.FUNCTIONS, "`torch.optim`": missing.OPTIM, "Optimizers": missing.OPTIMIZER,
    "`torch.optim.lr_scheduler`": missing.SCHEDULES, "`torch.utils.data`": missing.DATA,
    "Arguments of functions": missing.SETTINGS,
}


def tables():
    """The tables as Markdown."""
    parts = []
    for title, table in TABLES.items():
        rows = "\n".join(f"| `{name}` | {words.replace('|', chr(92) + '|')} |" for name, words in table.items())
        parts.append(f"### {title}\n\n| missing | instead |\n|---|---|\n{rows}\n")
    return MARK + "\n" + "\n".join(parts)


def text():
    """The page with its tables anew."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + tables()


def script():
    """The script for PyTorch, and the lines that change: [(line of PyTorch's, line of minidl's)]."""
    page = PAGE.read_text(encoding="utf-8")
    source, = re.findall(r"```python\n(import argparse\n.*?)```", page, re.DOTALL)
    changes, = re.findall(r"```diff\n(.*?)```", page, re.DOTALL)
    before = re.findall(r"^-(.*)$", changes, re.MULTILINE)
    after = re.findall(r"^\+(.*)$", changes, re.MULTILINE)
    return source, list(zip(before, after, strict=True))


def changed(source, changes):
    """The script with these lines changed; each occurs once."""
    lines = source.splitlines()
    for before, after in changes:
        assert lines.count(before) == 1, before
        lines[lines.index(before)] = after
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
