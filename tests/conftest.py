"""What all tests share: Hypothesis profiles, and the array libraries that a test body runs on.

HYPOTHESIS_PROFILE=dev is for trying things, `default` for every day, `ci` (chosen where CI is set) for the last word.
"""

import importlib
import os

import pytest
from hypothesis import settings

from minidl import manual_seed
from minidl.device import Device, DeviceError

settings.register_profile("dev", max_examples=10, deadline=None)
settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


@pytest.fixture(autouse=True)
def same_seed():
    """Every test begins at the same place of the stream of random numbers, whichever ran before."""
    manual_seed(0)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none, and say why once per file."""
    try:
        Device.parse("gpu")
    except DeviceError as error:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason=str(error)))


@pytest.fixture(scope="module", params=["numpy", "strict_array", pytest.param("cupy", marks=pytest.mark.gpu)])
def xp(request):
    """An array library: NumPy, the strict stand-in for CuPy, and CuPy where there is a GPU."""
    return importlib.import_module(request.param)
