"""Kernels cut their work by the number of threads: the full level tests them with one thread for each core."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder as `threads`, but for those of the plain kernels, which have none."""
    for item in items:
        if FOLDER in item.path.parents and not item.get_closest_marker("tiny"):
            item.add_marker(pytest.mark.threads)
