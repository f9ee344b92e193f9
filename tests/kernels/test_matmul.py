"""The matrix product, in every memory order, with A and B packed or read in place, and split into blocks."""

import os

import numpy as np
import pytest

from minidl.kernels import Window, plain

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu import convolution
from minidl.kernels.cpu.convolution import pointwise

SHAPES = [                    # (M, K, N)
    (1, 1, 1),
    (100, 300, 200),          # A and B are packed
    (37, 60, 50),             # neither is
    (600, 40, 513),           # B alone, and more columns than a block has
    (700, 513, 30),           # A alone, in more than one block of rows, and K in three steps
    (16, 2100, 300),          # M is small: B is read in place, some whole rows at a time
    (20, 9000, 24),           # a long K, and few elements of C: partial sums
]


def matrix(rng, rows, columns, order, dtype):
    """Random elements, in memory row by row, column by column, or with gaps."""
    if order == "gaps":
        return rng.standard_normal((2 * rows, 3 * columns)).astype(dtype)[::2, ::3]
    return np.asarray(rng.standard_normal((rows, columns)).astype(dtype), order=order)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a_order", ["C", "F", "gaps"])
@pytest.mark.parametrize("b_order", ["C", "F", "gaps"])
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_all_memory_orders(m, k, n, a_order, b_order, dtype):
    rng = np.random.default_rng(0)
    a, b, bias = matrix(rng, m, k, a_order, dtype), matrix(rng, k, n, b_order, dtype), matrix(rng, 1, n, "C", dtype)[0]
    exact = a.astype(np.float64) @ b.astype(np.float64)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for out, expected in (
        (cpu.matmul(a, b), exact),
        (cpu.matmul(a, b, bias), exact + bias),
        (cpu.matmul(a, b, bias, relu=True), np.maximum(exact + bias, 0)),
        (cpu.matmul(a, b, relu=True), np.maximum(exact, 0)),
    ):
        assert out.dtype == dtype
        assert out.flags.c_contiguous
        np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance * (1 + abs(exact).max()))


@pytest.mark.parametrize(("m", "k", "n"), [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_empty_matrices(m, k, n):
    a, b, bias = np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.full(n, 2, np.float32)
    np.testing.assert_array_equal(cpu.matmul(a, b, bias), np.full((m, n), 2))
    assert cpu.matmul(a, b).shape == (m, n)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(2, 40, 5, 6), (1, 3, 1, 1), (3, 17, 9, 2)])
def test_a_window_of_one_pixel_is_a_product(shape, relu):
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal(shape), rng.standard_normal((9, shape[1], 1, 1)), rng.standard_normal(9)
    grad = rng.standard_normal((shape[0], 9, *shape[2:]))
    window = Window((1, 1))
    np.testing.assert_allclose(pointwise.conv2d(x, weight, bias, relu), plain.conv2d(x, weight, bias, window, 1, relu),
                               atol=1e-12)
    np.testing.assert_allclose(pointwise.conv2d_input_gradient(grad, weight),
                               plain.conv2d_input_gradient(grad, weight, x.shape, window), atol=1e-12)
    np.testing.assert_allclose(pointwise.conv2d_weight_gradient(grad, x),
                               plain.conv2d_weight_gradient(grad, x, window), atol=1e-12)


def test_which_convolutions_are_products_of_pixels():
    assert convolution.is_pointwise(Window((1, 1)), 1, 5)
    assert convolution.is_pointwise(Window((1, 1), dilation=(3, 2)), 1, 5)               # dilation of one tap
    assert not convolution.is_pointwise(Window((1, 1)), 1, 0)
    assert not convolution.is_pointwise(Window((1, 1)), 2, 5)
    for window in (Window((1, 2)), Window((1, 1), (2, 1)), Window((1, 1), padding=((0, 1), (0, 0)))):
        assert not convolution.is_pointwise(window, 1, 5)
