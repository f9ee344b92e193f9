"""The pages of docs/networks and docs/howto run, show what their code prints, and cover the whole zoo."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import emulator
import pytest

import zoo
from minidl.train.recipes import recipe_for

DOCS = Path(__file__).parents[2] / "docs"
NETWORKS = sorted(DOCS.glob("networks/[a-z]*.md"))
HOWTO = sorted(DOCS.glob("howto/[a-z]*.md"))
QUICK = ("vgg", "zfnet", "own_op", "own_layer")               # the others run at the full level
spec = importlib.util.spec_from_file_location("network_pages", DOCS / "tour" / "pages.py")
pages = sys.modules["network_pages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)


@pytest.mark.parametrize("page", [pytest.param(page, id=f"{page.parent.name}/{page.stem}",
                                               marks=() if page.stem in QUICK else pytest.mark.slow)
                                  for page in NETWORKS + HOWTO])
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setattr(sys, "path", list(sys.path))          # one page adds to it
    text = page.read_text(encoding="utf-8")
    if "import emulator" in text and (emulator.missing() or os.environ.get("NUMBA_DISABLE_JIT", "0") == "1"):
        pytest.skip(emulator.missing() or "it needs Numba's compiler")
    printed = pages.run(page, tmp_path)
    for block, output in zip(pages.blocks(text), printed, strict=True):
        assert pages.same(block, output), f"line {block.line} of {page.name}: the code prints\n{output}"
    shown = pages.pictures(text)
    assert {f"pictures/{file.name}" for file in (tmp_path / "pictures").iterdir()} == shown
    assert [name for name in shown if not (page.parent / name).exists()] == []


def test_every_network_is_on_a_page():
    named = {name for page in NETWORKS for name in re.findall(r"`(\w+)`", row(page, "networks"))}
    assert named == set(zoo.names())


@pytest.mark.parametrize("page", NETWORKS, ids=lambda page: page.stem)
def test_a_page_says_what_a_reader_looks_for(page):
    text = page.read_text(encoding="utf-8")
    for part in ("paper", "idea", "source"):
        assert row(page, part)
    assert f"zoo/{page.stem}.py" in row(page, "source")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    for heading in ("## Layers", "## What to notice in the source", "## Recipe, and what it reached", "## Experiment"):
        assert any(line.startswith(heading) for line in headings), heading


@pytest.mark.parametrize("page", NETWORKS, ids=lambda page: page.stem)
def test_the_source_has_the_functions_that_a_page_names(page):
    notice = page.read_text(encoding="utf-8").partition("## What to notice in the source")[2].partition("\n## ")[0]
    source = (DOCS.parent / "zoo" / f"{page.stem}.py").read_text(encoding="utf-8")
    names = {(name, method) for name, method in re.findall(r"`([A-Z]\w+)\.(\w+)`", notice)}
    assert names
    for name in re.findall(r"`(\w+)`", notice):
        assert re.search(rf"\b{name}\b", source), name
    for name, method in names:
        assert re.search(rf"^class {name}\b", source, re.M), name
        assert re.search(rf"^    def {method}\(", source, re.M), f"{name}.{method}"


@pytest.mark.parametrize("page", NETWORKS, ids=lambda page: page.stem)
def test_recipes_and_results_are_those_of_the_project(page):
    section = page.read_text(encoding="utf-8").partition("## Recipe, and what it reached")[2].partition("\n## ")[0]
    words = set(re.findall(r"[\w.-]*\w", section))
    for name in re.findall(r"`(\w+)`", row(page, "networks")):
        recipe = recipe_for(name)
        decay = {0.0: "without weight decay|no weight decay"}.get(recipe.weight_decay, f"{recipe.weight_decay:.0e}")
        assert re.search(decay.replace("e-0", "e-"), section), name
        assert {f"{recipe.lr:g}", str(recipe.batch_size)} <= words, name
    for run in re.findall(r"`(\w+)`", section):
        if (file := DOCS.parent / "benchmarks" / "results" / "runs" / run / "run.json").exists():
            assert f"{json.loads(file.read_text())['test']['accuracy']:.2%}".rstrip("%") in words, run


def test_every_run_is_on_a_page():
    pages = "".join(page.read_text(encoding="utf-8") for page in NETWORKS)
    for run in (DOCS.parent / "benchmarks" / "results" / "runs").iterdir():
        assert f"`{run.name}`" in pages, f"{run.name}: say on the network's page what it reached"


@pytest.mark.parametrize("folder", ["networks", "howto"])
def test_an_index_lists_every_page(folder):
    index = (DOCS / folder / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in DOCS.glob(f"{folder}/[a-z]*.md")} <= set(re.findall(r"\]\((\w+\.md)\)", index))


def row(page, name):
    """The cell beside `name`, or its plural, in the table at the top of a page."""
    return re.search(rf"^\| \*\*{name}s?\*\* \| (.+) \|$", page.read_text(encoding="utf-8"), re.M)[1]
