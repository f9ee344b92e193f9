"""Kernels divide their work by the number of threads: the full test level runs them with one thread for each core."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder as `threads`, except those of the plain kernels, which use none."""
    for item in items:
        if FOLDER in item.path.parents and not item.get_closest_marker("tiny"):
            item.add_marker(pytest.mark.threads)
