"""`minidl tour FOLDER`: the chapters of the tour, docs/tour, as notebooks, with their pictures and exercises.

What the pages show of printed output is left out: the cells print it. Links lead to the files beside the notebooks, or
to those of the repository.
"""

import argparse
import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

import minidl
from minidl.io.imports import needed
from minidl.text import write

SOURCE = Path(minidl.__file__).parents[1] / "docs" / "tour"
CHAPTERS = "[0-9][0-9]_*.md"
COPIED = ("pictures", "exercises", "tour.mplstyle")
OUTPUT = re.compile(r"^(```python\n.*?^```\n)\n```(?:text|text measured)\n.*?^```\n", re.M | re.S)
CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.M | re.S)
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")
STYLE = 'import matplotlib.pyplot as plt\n\nplt.style.use("tour.mplstyle")'
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a new or empty folder for the notebooks, the pictures and "
                        "the exercises")


def run(args: argparse.Namespace) -> None:
    """Write the folder."""
    chapters = sorted(SOURCE.glob(CHAPTERS))
    if not chapters:
        raise FileNotFoundError("the chapters are not installed with minidl: they are in docs/tour of its repository; "
                                "clone it, and install it from there with `pip install -e .`")
    needed("jupytext", "tour", "tour")
    folder = Path(args.folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(errno.EEXIST, "this is a file, not a folder for notebooks", args.folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(errno.EEXIST, "the folder is not empty; name a new one", args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        copy(SOURCE / name, folder / name)
    (folder / "pictures").mkdir(exist_ok=True)
    if (contents := SOURCE / "README.md").exists():
        (folder / "README.md").write_text(moved(contents.read_text(encoding="utf-8"), folder), encoding="utf-8")
    for chapter in chapters:
        path = (folder / chapter.name).with_suffix(".ipynb")
        save(notebook(moved(chapter.read_text(encoding="utf-8"), folder)), path)
        write(str(path))


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what Python leaves in it."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    elif source.exists():
        shutil.copyfile(source, target)


def moved(text: str, folder: Path) -> str:
    """A page whose links lead to the same things from a folder elsewhere."""
    def target(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(SOURCE / match[1]))
        if path.parent == SOURCE and path.suffix == ".md":
            return path.name if path.stem == "README" else path.with_suffix(".ipynb").name
        if path.is_relative_to(SOURCE) and path.relative_to(SOURCE).parts[0] in COPIED:
            return match[1]
        return os.path.relpath(path, folder)
    text = text.replace("docs/tour/exercises/", "exercises/")
    parts = CODE.split(text)
    return "".join(part if i % 2 else LINK.sub(target, part) for i, part in enumerate(parts))


def notebook(text: str) -> Any:
    """A page as a notebook, without the output that it shows."""
    import jupytext
    import nbformat

    made = jupytext.reads(OUTPUT.sub(r"\1", text), fmt="md")
    cells = [nbformat.v4.new_code_cell(STYLE)]
    for cell in made.cells:
        if magic := re.match(r"%%(\w+)\n", cell.source):             # of ```sh and the like, which are only shown
            cell = nbformat.v4.new_markdown_cell(f"```{magic[1]}\n{cell.source[magic.end():]}\n```")
        cells.append(cell)
    cells[:2] = cells[1::-1]                     # the title first
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number:02}"
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def save(made: Any, path: Path) -> None:
    """Write a notebook."""
    import nbformat

    nbformat.validate(made)
    nbformat.write(made, path)
