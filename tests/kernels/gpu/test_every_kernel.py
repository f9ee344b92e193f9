"""Every kernel in the sizes of every_kernel.py, emulated: the results are those of the CPU."""

import os

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("it compares with the cpu backend, which needs Numba's compiler", allow_module_level=True)

import every_kernel
from agreement import kernels

from minidl.kernels import using

TOLERANCES = {"float32": 1e-4, "float64": 1e-11}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_every_kernel(dtype):
    with using(winograd=False):
        expected = every_kernel.results(dtype)
    compare(every_kernel.results(dtype, kernels), expected, dtype)


def test_every_kernel_of_augmentation():
    compare(every_kernel.augmented("float32", kernels), every_kernel.augmented("float32"), "float32")


def compare(found, expected, dtype):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if not name.startswith("dropped"):                       # by another generator
            difference = np.linalg.norm(np.asarray(found[name], np.float64) - array)
            assert difference <= TOLERANCES[dtype] * max(1, np.linalg.norm(array)), name
