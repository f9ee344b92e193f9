"""Tests of the exercises: `python -m pytest -n 0 docs/tour/exercises/test_chapter_01.py` tells how far you are.

With `--solutions` they test the files in `solutions/` in place of yours.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--solutions", action="store_true", help="test the solutions in place of your files")


@pytest.fixture(scope="module")
def exercise(request):
    """The module with the exercises of the chapter that a test file is about."""
    name = request.module.__name__.removeprefix("test_")
    folder = HERE / "solutions" if request.config.getoption("--solutions") else HERE
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module                       # dataclasses and Numba look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A gap that is still open is one line, not a traceback."""
    report = (yield).get_result()
    if call.excinfo and call.excinfo.type is NotImplementedError:
        report.longrepr = f"still open: {call.excinfo.value}"


def pytest_terminal_summary(terminalreporter):
    passed, failed = (len(terminalreporter.stats.get(key, [])) for key in ("passed", "failed"))
    if passed + failed:
        terminalreporter.write_line(f"{passed} of {passed + failed} tests of the exercises pass")
