"""What all tests share: levels, Hypothesis profiles, one kernel thread per process, and the array libraries.

docs/testing.md lists the levels. Each has a Hypothesis profile: `dev` for `-m tiny` and for quick attempts, `default`,
`ci`, which tries the same examples every time, and `nightly`, which tries new ones. HYPOTHESIS_PROFILE or
`--hypothesis-profile` chooses another than the level's.
"""

import importlib
import os
import sys
from collections import Counter

import pytest
from hypothesis import is_hypothesis_test, settings

settings.register_profile("dev", max_examples=10, deadline=None)
settings.register_profile("default", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=200, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

os.environ.setdefault("MINIDL_COMPILE_AHEAD", "0")       # tests compile what they need, and have no core to spare
if "PYTEST_XDIST_WORKER" in os.environ:                  # as many processes as cores: one kernel thread for each
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    os.environ.pop("OMP_PROC_BIND", None)                # it would pin all of them to the first core


def pytest_configure(config):
    """Choose array code and the profile `dev` for `-m tiny`, before any test imports minidl."""
    if config.option.markexpr == "tiny":
        os.environ["NUMBA_DISABLE_JIT"] = "1"
        if not ("HYPOTHESIS_PROFILE" in os.environ or config.getoption("--hypothesis-profile")):
            settings.load_profile("dev")


def pytest_collection_modifyitems(items):
    """Skip the tests that need a GPU where there is none."""
    from minidl.device import Device, DeviceError
    try:
        Device.parse("gpu")
    except DeviceError as error:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason=str(error)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Run a Hypothesis test marked `examples(share)` on that share of the examples, the smallest of several.

    A fixture's parameters may be marked, so one function has several counts: Hypothesis has no public name for that.
    """
    shares = [marker.args[0] for marker in item.iter_markers("examples")]
    if not (shares and is_hypothesis_test(item.obj)):
        return (yield)
    whole = item.obj._hypothesis_internal_use_settings
    item.obj._hypothesis_internal_use_settings = settings(
        whole, max_examples=max(1, round(whole.max_examples * min(shares))))
    try:
        return (yield)
    finally:
        item.obj._hypothesis_internal_use_settings = whole


def pytest_terminal_summary(terminalreporter):
    """Print each reason for a skip once, with the number of tests."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ")
                      for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5}  {reason}")
    registers = {}
    for report in terminalreporter.stats.get("passed", ()):
        for name, (file, architecture, most) in getattr(report, "user_properties", ()):
            of_file = registers.setdefault(file, {}) if name == "registers" else {}
            of_file[architecture] = max(most, of_file.get(architecture, 0))
    if registers:
        terminalreporter.section("most registers of a thread of each CUDA source; none spills")
    for file, of_file in sorted(registers.items()):
        terminalreporter.write_line(f"{file:40}" + "".join(f"{name:>8} {n:3}" for name, n in sorted(of_file.items())))


@pytest.fixture(autouse=True)
def same_seed():
    """Start every test at the same place in the stream of random numbers, whatever ran before it."""
    from minidl import manual_seed
    manual_seed(0)


@pytest.fixture(scope="module", params=[
    "numpy",
    pytest.param("strict_array", marks=pytest.mark.examples(0.2)),      # finds NumPy calls, and needs each path once
    pytest.param("cupy", marks=pytest.mark.gpu),
])
def xp(request):
    """An array library: NumPy, the strict stand-in for CuPy, and CuPy where there is a GPU."""
    return importlib.import_module(request.param)


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one GPU, on which strict_array is imported as CuPy. `gpu.runtime.devices` may be set to more."""
    import strict_array
    import strict_cuda

    from minidl import faults
    monkeypatch.setitem(sys.modules, "cupy", strict_array)
    for name in ("devices", "capability", "memory_free", "memory_total"):
        monkeypatch.setattr(strict_cuda.runtime, name, getattr(strict_cuda.runtime, name))
    faults.flags.clear()
    strict_cuda.read_backs.clear()
    strict_cuda.allocations.clear()
    return strict_cuda


@pytest.fixture
def locked_below(monkeypatch):
    """Folders called "below" cannot be read, also by root."""
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)
    monkeypatch.setattr(os, "scandir", locked)
