"""The code of the tour's chapters runs, prints what the pages show, and draws the pictures that they show."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import emulator
import pytest

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "tour"
spec = importlib.util.spec_from_file_location("tour_pages", TOUR / "pages.py")
pages = sys.modules["tour_pages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)
QUICK = ("01", "02", "03")                                    # the others run at the full level
NEEDS = {"12": ("onnx", "onnxruntime", "starlette", "uvicorn", "python_multipart", "prometheus_client")}     # extras


def missing(number):
    """Why a chapter cannot run here, or None."""
    absent = [name for name in NEEDS.get(number, ()) if importlib.util.find_spec(name) is None]
    return emulator.missing() if number == "10" else f"no package {absent[0]}" if absent else None


def runs_here(number):
    """A mark that skips a test of a chapter that cannot run here."""
    return pytest.mark.skipif(missing(number) is not None, reason=str(missing(number)))


slow = (pytest.mark.slow,)
every_chapter = pytest.mark.parametrize("page", [
    pytest.param(page, id=page.stem, marks=(runs_here(page.name[:2]), *(() if page.name.startswith(QUICK) else slow)))
    for page in pages.CHAPTERS])
EXERCISES = sorted((TOUR / "exercises").glob("test_*.py"))


@every_chapter
def test_chapter(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    text = page.read_text(encoding="utf-8")
    printed = pages.run(page, tmp_path)
    for block, output in zip(pages.blocks(text), printed, strict=True):
        assert pages.same(block, output), f"line {block.line} of {page.name}: the code prints\n{output}"
    drawn = {f"pictures/{file.name}" for file in (tmp_path / "pictures").iterdir()}
    assert drawn == pages.pictures(text)
    assert [name for name in drawn if not (TOUR / name).exists()] == []


def test_every_chapter_has_exercises_and_solutions():
    names = {f"chapter_{page.name[:2]}.py" for page in pages.CHAPTERS}
    for folder in (TOUR / "exercises", TOUR / "exercises" / "solutions"):
        assert {file.name for file in folder.glob("chapter_*.py")} == names
    assert {file.name.removeprefix("test_") for file in EXERCISES} == names


def results(test, *options):
    """What the tests of one chapter's exercises say: a map from the name of a test to its outcome."""
    run = subprocess.run([sys.executable, "-m", "pytest", "-n", "0", "-rA", "--tb=line", "-p", "no:cacheprovider",
                          *options, str(test)], capture_output=True, text=True, cwd=ROOT,
                         env={**os.environ, "MPLBACKEND": "agg", "COLUMNS": "500"})
    found = {name: outcome for outcome, name in re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", run.stdout, re.M)}
    assert found, run.stdout + run.stderr
    return found, run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("test", [
    pytest.param(test, id=test.stem, marks=runs_here(test.stem[-2:])) for test in EXERCISES])
def test_solutions_pass_and_gaps_do_not(test):
    solved, output = results(test, "--solutions")
    assert set(solved.values()) == {"PASSED"}, output
    gaps, output = results(test)
    assert set(gaps.values()) == {"FAILED"}, output
    assert output.count("still open: ") >= len(gaps), output


def test_numbers_of_a_measured_output_may_differ():
    text = "```python\nprint(1)\n```\n\n```text measured\nim2col   12.5 ms\n```\n"
    block, = pages.blocks(text)
    assert pages.same(block, "im2col 3,000.25 ms\n")
    assert not pages.same(block, "direct 12.5 ms\n")
    assert pages.written(text, ["im2col 1 ms\n"]) == text.replace("  12.5", "1")


def test_any_other_output_may_not():
    text = "# Page\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nx = 2\n```\n"
    first, second = pages.blocks(text)
    assert pages.same(first, "1\n")
    assert not pages.same(first, "2\n")
    assert pages.same(second, "")
    assert not pages.same(second, "2\n")
    assert (first.line, second.line) == (4, 12)
    assert pages.written(text, ["1\n", ""]) == text
