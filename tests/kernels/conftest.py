"""Kernels divide their work by the number of threads: the full test level runs them with one thread for each core."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder as `threads`, except those of the plain kernels and of `gpu`, which use none."""
    for item in items:
        inside = FOLDER in item.path.parents and FOLDER / "gpu" not in item.path.parents
        if inside and not item.get_closest_marker("tiny") and not of_gpu(item):
            item.add_marker(pytest.mark.threads)


def of_gpu(item):
    """Whether a test is one of all backends, for `gpu`."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("kernels") == "gpu"
