"""The launcher refuses what a kernel would misread, and sources hold their headers."""

import re

import numpy as np
import pytest
import strict_array as xp

from minidl import kernels
from minidl.kernels import gpu, plain
from minidl.kernels.gpu.runtime import source
from minidl.kernels.gpu.runtime.launcher import capability, checked, launch


def parameter(text):
    return source.parameter(text)


def test_numbers_are_cast_to_the_type_of_their_parameter():
    assert type(checked(parameter("float lr"), 1)) is np.float32
    assert type(checked(parameter("long long size"), 3)) is np.int64
    with pytest.raises(OverflowError):
        checked(parameter("int size"), 2**31)
    assert checked(parameter("const float* x"), None) is None
    structure = np.zeros(1, [("a", "i4")])
    assert checked(parameter("Geometry g"), structure) is structure


@pytest.mark.parametrize(("declaration", "array", "message"), [
    ("const double* __restrict__ x", xp.ones(3, dtype="f"), "x holds float32, and the kernel takes double"),
    ("float* out", xp.ones((4, 4), dtype="f").T, None),
    ("float* out", xp.ones((4, 3), dtype="f").T, r"out must be C-contiguous; strides \(4, 12\) of \(3, 4\) are not"),
])
def test_arrays_are_checked(declaration, array, message):
    if message is None:
        array = array[:1, :1]
        assert checked(parameter(declaration), array) is array
        return
    with pytest.raises((TypeError, ValueError), match=message):
        checked(parameter(declaration), array)


def test_too_few_arguments_are_refused():
    x = xp.ones(3, dtype=np.float32)
    with pytest.raises(TypeError, match=r"add takes \d+ arguments, not 1"):
        launch(x, "add.cu", "add", (1,), (32,), x)


def test_parameters_are_read_from_the_source():
    code = """
        #define REAL float
        #define ARGUMENTS const REAL* __restrict__ x, int n
        extern "C" __global__ void __launch_bounds__(64, 2) k(ARGUMENTS,   // a comment, with a comma
            unsigned long long* out, Geometry g) {}
    """.replace("        ", "")
    assert [tuple(p)[:5] for p in source.signatures(code, ("-DREAL=double",))["k"]] == [
        ("x", "double", np.dtype(np.float64), True, True), ("n", "int", np.dtype(np.int32), False, False),
        ("out", "unsigned long long", np.dtype(np.uint64), True, False), ("g", "Geometry", None, False, False)]


def test_a_header_is_in_a_source_once():
    text = source.source("convolution/conv2d.cu")
    assert text.count("struct half { unsigned short bits; }") == 1
    assert not re.search(r'^#include "', text, re.MULTILINE)
    assert '#line 1 "gemm/tile.cuh"' in text


def test_the_backend_of_arrays_on_a_gpu():
    x = xp.ones(3, dtype=np.float32)
    assert kernels.backend(x) is gpu
    assert kernels.backend(x.astype(np.float16)) is gpu
    assert kernels.backend(x.astype(np.int32)) is plain
    with kernels.using("plain"):
        assert kernels.backend(x) is plain
    assert capability(x) >= 75
