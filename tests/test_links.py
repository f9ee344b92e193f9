"""Links of the pages lead to files of the repository. In a fresh clone, as in CI, only tracked files are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")


def links(page):
    """The relative links of a Markdown page, outside of its code."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for match in LINK.finditer(text):
        target = (match[1] or match[2]).partition("#")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            yield target


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_anchors_are_headings(page):
    for target, anchor in re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def test_every_kept_run_is_in_the_table_of_results():
    """benchmarks/runs.py keeps a run's log, curves and facts, and writes the table."""
    kept = {folder.name for folder in (ROOT / "benchmarks" / "results" / "runs").iterdir()}
    listed = set(re.findall(r"results/runs/(\w+)/log.csv", (ROOT / "docs" / "results.md").read_text(encoding="utf-8")))
    assert kept == listed
    for name in kept:
        files = {file.name for file in (ROOT / "benchmarks" / "results" / "runs" / name).iterdir()}
        assert {"log.csv", "curves.png", "run.json"} <= files
