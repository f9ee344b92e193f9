"""The tests of this folder run CUDA C on the CPU, by the emulator of tests/emulator."""

from pathlib import Path

import emulator
import pytest

FOLDER = Path(__file__).parent
COMPILED_BY_NVRTC = "test_nvrtc.py"                      # needs no emulator


def pytest_collection_modifyitems(items):
    """Skip the tests of this folder where nothing can be emulated."""
    reason = emulator.missing()
    for item in items:
        if reason and FOLDER in item.path.parents and item.path.name != COMPILED_BY_NVRTC:
            item.add_marker(pytest.mark.skip(reason=reason))
