"""Convolution and matrix products on the GPU's tiles: every tile, dtype and order, against float64."""

import emulator
import numpy as np
import pytest
import strict_array as xp

from minidl.kernels import Window, gpu, plain, settings

ROUNDING = {"float64": 1e-12, "float32": 1e-5, "tf32": 2e-3, "float16": 2e-3, "bfloat16": 1.5e-2}
TENSOR_KINDS = ["tf32", "float16", "bfloat16"]
CONVOLUTIONS = {               # x, weight, window, groups
    "3x3": ((2, 16, 9, 7), (24, 16, 3, 3), Window((3, 3), padding=((1, 1), (1, 1))), 1),
    "1x1": ((3, 64, 5, 5), (72, 64, 1, 1), Window((1, 1)), 1),
    "strided, more on one side": ((1, 16, 11, 13), (136, 16, 3, 3), Window((3, 3), (2, 3), ((1, 0), (2, 1))), 1),
    "dilated": ((2, 24, 10, 9), (8, 24, 3, 3), Window((3, 3), (1, 2), ((2, 2), (2, 2)), (2, 3)), 1),
    "grouped": ((2, 32, 6, 5), (48, 16, 3, 3), Window((3, 3), (2, 2), ((1, 1), (1, 1))), 2),
    "larger stride than window": ((2, 8, 9, 9), (8, 8, 1, 2), Window((1, 2), (3, 3)), 1),
    "odd channels": ((2, 3, 9, 7), (10, 3, 5, 5), Window((5, 5), (2, 2), ((2, 2), (2, 2))), 1),
}


@pytest.fixture
def kind(request, monkeypatch):
    """The dtype of the arrays, float32 with TF32 allowed or not."""
    if request.param == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes, which comes with onnx")
    monkeypatch.setattr(settings, "matmul_precision", "tf32" if request.param == "tf32" else "float32")
    return request.param


def dtype_of(kind):
    return np.dtype("float32" if kind == "tf32" else kind)


def draw(rng, kind, *shape):
    """Numbers that the dtype holds: (of the host in float64, of the device)"""
    drawn = rng.standard_normal(shape).astype(dtype_of(kind))
    return drawn.astype(np.float64), xp.asarray(drawn)


def near(ours, exact, kind):
    """Equal up to rounding, in the norm: errors of single elements are relative to larger ones that were added."""
    assert ours.dtype == dtype_of(kind)
    error = np.linalg.norm(ours.get().astype(np.float64) - exact)
    assert error <= ROUNDING[kind] * np.linalg.norm(exact)


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("kind", [*TENSOR_KINDS, "float32", "float64"], indirect=True)
def test_convolution(kind, case):
    """Forward with bias and ReLU, and both gradients, in two orders of threads and blocks."""
    x_shape, w_shape, window, groups = CONVOLUTIONS[case]
    rng = np.random.default_rng(0)
    (x, x_there), (w, w_there), (b, b_there) = draw(rng, kind, *x_shape), draw(rng, kind, *w_shape), draw(rng, kind, len(w_shape) and w_shape[0])
    grad, grad_there = draw(rng, kind, x_shape[0], w_shape[0], *window.out(x_shape[2:]))
    c, c_there = draw(rng, kind, x_shape[1])
    with emulator.twice():
        near(gpu.conv2d(x_there, w_there, b_there, window, groups, True), plain.conv2d(x, w, b, window, groups, True), kind)
        near(gpu.conv2d_input_gradient(grad_there, w_there, x.shape, window, groups, c_there),
             plain.conv2d_input_gradient(grad, w, x.shape, window, groups, c), kind)
        near(gpu.conv2d_weight_gradient(grad_there, x_there, window, groups),
             plain.conv2d_weight_gradient(grad, x, window, groups), kind)
