"""`minidl tour FOLDER`: a chapter written here, and those of the repository, as notebooks that run."""

import os
import sys
from pathlib import Path

import pytest

from minidl.cli import main
from minidl.commands import tour

ROOT = Path(__file__).parents[2]
CHAPTER = """# 1. A chapter

Read [`tensor.py`](../../minidl/tensor.py#L1), [exercises](exercises/chapter_01.py) and [chapter 2](02_next.md).

```python
import matplotlib.pyplot as plt

print(6 * 7)
```

```text
42
```

```text
shown, but printed by nothing
```

```python
plt.figure().savefig("pictures/01_empty.svg")
```

```text measured
0.1 s
```

![nothing](pictures/01_empty.svg)

```sh
python -m pytest -n 0 docs/tour/exercises/test_chapter_01.py
```
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder of the tour with one chapter."""
    folder = tmp_path / "repository" / "docs" / "tour"
    (folder / "exercises" / "__pycache__").mkdir(parents=True)
    (folder / "pictures").mkdir()
    (folder / "exercises" / "chapter_01.py").write_text("gap = NotImplemented\n")
    (folder / "pictures" / "01_empty.svg").write_text("<svg/>")
    (folder / "tour.mplstyle").write_text((ROOT / "docs" / "tour" / "tour.mplstyle").read_text(encoding="utf-8"))
    (folder / "README.md").write_text("[one](01_chapter.md), [data](../data.md)\n")
    (folder / "01_chapter.md").write_text(CHAPTER)
    monkeypatch.setattr(tour, "SOURCE", folder)
    return folder


def executed(path, monkeypatch):
    """A notebook after a kernel has run all of its cells where it lies."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MINIDL_COMPILE_AHEAD", "0")
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3",
                            resources={"metadata": {"path": str(path.parent)}}).execute()
    return notebook


@pytest.mark.filterwarnings("ignore")
def test_a_chapter_becomes_a_notebook(source, tmp_path, capsys):
    pytest.importorskip("jupytext")
    import nbformat
    folder = tmp_path / "tour"
    assert main(["tour", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "01_chapter.ipynb")]
    title, style, first, shown, second, rest, command = nbformat.read(folder / "01_chapter.ipynb", 4).cells
    assert [each.cell_type for each in (style, first, second)] == ["code"] * 3
    assert style.source == tour.STYLE
    assert first.source.endswith("print(6 * 7)")
    assert "(../repository/minidl/tensor.py#L1)" in title.source
    assert "(exercises/chapter_01.py) and [chapter 2](02_next.ipynb)" in title.source
    assert "42" not in title.source + shown.source
    assert "shown, but printed by nothing" in shown.source
    assert "0.1 s" not in rest.source
    assert command.cell_type == "markdown"
    assert command.source == "```sh\npython -m pytest -n 0 exercises/test_chapter_01.py\n```"
    assert {str(file.relative_to(folder)) for file in folder.rglob("*")} == {
        "01_chapter.ipynb", "README.md", "exercises", "exercises/chapter_01.py", "pictures", "pictures/01_empty.svg",
        "tour.mplstyle"}
    assert (folder / "README.md").read_text() == "[one](01_chapter.ipynb), [data](../repository/docs/data.md)\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(source, tmp_path, monkeypatch):
    pytest.importorskip("jupytext")
    assert main(["tour", str(tmp_path / "tour")]) == 0
    notebook = executed(tmp_path / "tour" / "01_chapter.ipynb", monkeypatch)
    assert notebook.cells[2].outputs[0].text == "42\n"
    assert (tmp_path / "tour" / "pictures" / "01_empty.svg").read_text() != "<svg/>"


def test_nothing_is_overwritten(source, tmp_path, capsys):
    pytest.importorskip("jupytext")
    (tmp_path / "notes").write_text("mine")
    assert main(["tour", str(tmp_path)]) == 2
    assert "the folder is not empty" in capsys.readouterr().err
    assert main(["tour", str(tmp_path / "notes")]) == 2
    assert "this is a file" in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine"


def test_without_jupytext_it_says_what_to_install(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    assert main(["tour", str(tmp_path / "tour")]) == 2
    assert capsys.readouterr().err == (
        "minidl tour: the package jupytext is not installed; pip install 'minidl[tour]'\n")
    assert not (tmp_path / "tour").exists()


def test_without_the_repository_it_says_where_the_chapters_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tour, "SOURCE", tmp_path / "docs" / "tour")
    assert main(["tour", str(tmp_path / "tour")]) == 2
    assert "docs/tour of its repository" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("chapter", [each.stem for each in sorted(tour.SOURCE.glob(tour.CHAPTERS))])
def test_every_chapter_runs_as_a_notebook(chapter, tmp_path, monkeypatch):
    pytest.importorskip("jupytext")
    assert main(["tour", str(tmp_path / "tour")]) == 0
    executed(tmp_path / "tour" / f"{chapter}.ipynb", monkeypatch)
