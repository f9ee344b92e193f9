"""The reference in docs/reference: each public name has an entry with an example, which runs and prints what is shown.

The names of minidl.torch are in docs/from_pytorch.md, and the kernels of `cpu` and `gpu` are those of `plain`.
"""

import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest
from test_chapters import ROOT, pages

import minidl

ELSEWHERE = ("minidl.torch", "minidl.kernels.cpu", "minidl.kernels.gpu", "minidl.kernels.plain.")
WITHOUT_LIST = {                                              # public names of modules without `__all__`
    "zoo": "names image_size create build load pretrained replace_head",
    "minidl.nn.init": "calculate_gain fans kaiming_normal kaiming_uniform kaiming_deviation xavier_normal "
                      "xavier_uniform default_weight default_bias he uniform normal dirac whitening placeholders "
                      "placeholder at_most",
}
SLOW = {"augment", "data", "evaluation", "functional", "kernels", "plot", "report", "train", "zoo"}
ENTRY = re.compile(r"^### `?([^`\s]+)`?\n\n::: (\S+)\n(.*?)(?=^##|\Z)", re.M | re.S)
every_page = pytest.mark.parametrize("page", [
    pytest.param(page, id=page.stem, marks=pytest.mark.slow if page.stem in SLOW else ()) for page in pages.REFERENCE])


def entries():
    """(page, name, dotted name, text) of each entry."""
    return [(page.name, *found) for page in pages.REFERENCE
            for found in ENTRY.findall(page.read_text(encoding="utf-8"))]


def modules():
    """The names of all packages and modules that say what is public in them."""
    names = ["minidl", *(each.name for each in pkgutil.walk_packages(minidl.__path__, "minidl.")
                         if "__main__" not in each.name and not each.name.startswith(ELSEWHERE))]
    listing = [name for name in names if re.search(r"^__all__ = ", source(name), re.M)]
    return {name: importlib.import_module(name).__all__ for name in listing} | {
        name: listed.split() for name, listed in WITHOUT_LIST.items()}


def source(name):
    """The text of a module, which is not imported."""
    return Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")


def thing(dotted):
    """What a dotted name stands for."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_public_name_has_an_entry():
    """Of its own, or of the same object under another name: `minidl.train.report` is `minidl.report.report`."""
    there = {dotted for _, _, dotted, _ in entries()}
    things = {id(thing(dotted)) for dotted in there}
    lacking = [f"{module}.{name}" for module, names in modules().items() for name in names
               if f"{module}.{name}" not in there and id(thing(f"{module}.{name}")) not in things]
    assert lacking == []


def test_every_entry_has_an_example_that_names_it():
    lacking = [f"{page}: {name}" for page, name, dotted, text in entries()
               if dotted.rpartition(".")[2] != name
               or not any(re.search(rf"\b{name}\b", block.code) for block in pages.blocks(text))]
    assert lacking == []


def test_no_entry_names_a_file_of_the_same_name():
    """mkdocstrings would show the file: `minidl.train.fit.fit` is the function, `minidl.train.fit` the file."""
    for _, _, dotted, _ in entries():
        path = ROOT.joinpath(*dotted.split("."))
        assert isinstance(thing(dotted), ModuleType) == (path.is_dir() or path.with_suffix(".py").exists()), dotted


def test_every_heading_is_an_entry():
    for page in pages.REFERENCE:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"^### `?(.+?)`?$", text, re.M) == [name for name, _, _ in ENTRY.findall(text)], page.name


@every_page
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    printed = pages.run(page, tmp_path)
    for block, output in zip(pages.blocks(page.read_text(encoding="utf-8")), printed, strict=True):
        assert pages.same(block, output), f"line {block.line} of {page.name}: the code prints\n{output}"
