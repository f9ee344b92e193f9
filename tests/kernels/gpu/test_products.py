"""Convolution and matrix products on the GPU's tiles: every tile, dtype and order, against float64."""

import emulator
import numpy as np
import pytest
import reference
import strict_array as xp
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import Window, gpu, plain, settings
from minidl.kernels.gpu.convolution import geometry
from minidl.kernels.gpu.gemm import tiles
from minidl.testing.strategies import convolutions, layouts, seeds

ROUNDING = {"float64": 1e-12, "float32": 1e-5, "tf32": 2e-3, "float16": 2e-3, "bfloat16": 1e-2}
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


@pytest.fixture(scope="module")
def kind(request):
    """The dtype of the arrays, float32 with TF32 allowed or not."""
    if request.param == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes, which comes with onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "matmul_precision", "tf32" if request.param == "tf32" else "float32")
        yield request.param


def window_of(case):
    """The Window of a drawn convolution."""
    s, kernel = case.settings, case.weight[2:]
    pads = reference.pads(s["padding"], kernel, s["dilation"])
    return Window(kernel, reference.pair(s["stride"]), pads, reference.pair(s["dilation"]))


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


def all_three(kernels, arrays, window, groups):
    """The forward pass with bias and ReLU, the gradient with respect to x with a bias, and that by the weight."""
    x, weight, bias, channel_bias, grad = arrays
    return (kernels.conv2d(x, weight, bias, window, groups, True),
            kernels.conv2d_input_gradient(grad, weight, x.shape, window, groups, channel_bias),
            kernels.conv2d_weight_gradient(grad, x, window, groups))


@pytest.fixture
def only_tile(monkeypatch):
    """only_tile(tile) leaves plans no other choice."""
    tiles.chosen.cache_clear()

    def only(tile, slices=1):
        monkeypatch.setattr(tiles, "TILES", {tile: 1.0})
        monkeypatch.setattr(tiles, "TENSOR_TILES", {tile: 1.0})
        monkeypatch.setattr(tiles, "FEWEST_ROUNDS", 1 if slices > 1 else 10**9)
        monkeypatch.setattr(tiles, "BLOCKS", slices * 10)
    yield only
    tiles.chosen.cache_clear()


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("kind", [*TENSOR_KINDS, "float32", "float64"], indirect=True)
def test_convolution(kind, case):
    check_convolution(kind, case)


def check_convolution(kind, case):
    """In two orders of threads and blocks."""
    x_shape, w_shape, window, groups = CONVOLUTIONS[case]
    rng = np.random.default_rng(0)
    host, there = zip(*(draw(rng, kind, *shape) for shape in (
        x_shape, w_shape, w_shape[:1], x_shape[1:2], (x_shape[0], w_shape[0], *window.out(x_shape[2:])))), strict=True)
    exact = all_three(plain, host, window, groups)
    with emulator.twice():
        for ours, theirs in zip(all_three(gpu, there, window, groups), exact, strict=True):
            near(ours, theirs, kind)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tile"), [
    *((kind, tile) for kind in ("tf32", "float16") for tile in tiles.TENSOR_TILES),
    *(("float32", tile) for tile in tiles.TILES)], indirect=["kind"])
@pytest.mark.parametrize("slices", [1, 7])
def test_every_tile(kind, tile, slices, only_tile):
    only_tile(tile, slices)
    for case in ("3x3", "strided, more on one side"):
        check_convolution(kind, case)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize("shapes", [
    ((70, 40), (40, 72)), ((3, 1, 9, 17), (2, 17, 5)), ((4, 8, 16), (16, 24))], ids=str)
@pytest.mark.parametrize("kind", ["float16", "float32"], indirect=True)
def test_matmul(kind, shapes, turned):
    """Matrices in both memory orders, and many at once; a broadcast one is read in place."""
    rng = np.random.default_rng(0)
    host, there = [], []
    for shape, is_turned in zip(shapes, turned, strict=True):
        order = (*shape[:-2], *shape[:-3:-1]) if is_turned else shape
        one, other = draw(rng, kind, *order)
        host.append(one.swapaxes(-1, -2) if is_turned else one)
        there.append(other.swapaxes(-1, -2) if is_turned else other)
    b, b_there = draw(rng, kind, shapes[1][-1])
    with emulator.twice():
        near(gpu.matmul(*there, b_there, True), np.maximum(host[0] @ host[1] + b, 0), kind)


def test_products_of_nothing():
    """Zeros where the inner length is 0, and a bias on top of them."""
    a, b, bias = xp.ones((3, 0), dtype="f"), xp.ones((0, 4), dtype="f"), xp.ones(4, dtype="f")
    assert (gpu.matmul(a, b, bias).get() == 1).all()
    assert gpu.matmul(xp.ones((0, 3), dtype="f"), xp.ones((3, 4), dtype="f")).shape == (0, 4)
    x, grad, window = xp.ones((0, 3, 5, 5), dtype="f"), xp.ones((0, 2, 3, 3), dtype="f"), Window((3, 3))
    assert gpu.conv2d(x, xp.ones((2, 3, 3, 3), dtype="f"), None, window).shape == (0, 2, 3, 3)
    assert (gpu.conv2d_weight_gradient(grad, x, window).get() == 0).all()


@pytest.mark.parametrize("kind", [*TENSOR_KINDS, "float32"], indirect=True)
@given(convolutions(), layouts, seeds)
@pytest.mark.examples(0.4)
def test_drawn_convolutions(kind, case, layout, seed):
    rng, window, groups = np.random.default_rng(seed), window_of(case), case.settings["groups"]
    host = [rng.standard_normal(shape).astype(dtype_of(kind)) for shape in (
        case.x, case.weight, case.weight[:1], case.x[1:2], (case.x[0], case.weight[0], *window.out(case.x[2:])))]
    there = [xp.asarray(layout(array)) for array in host]
    exact = all_three(plain, [array.astype(np.float64) for array in host], window, groups)
    for ours, theirs in zip(all_three(gpu, there, window, groups), exact, strict=True):
        near(ours, theirs, kind)


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_division_by_multiplication(d, n):
    multiplier, shift = geometry.divisor(d)
    assert multiplier < 2**32
    assert n * multiplier >> shift == n // d


def test_images_that_indexes_cannot_reach_are_refused():
    with pytest.raises(ValueError, match=r"need indexes up to .*; use smaller batches or images"):
        geometry.geometry((2**17, 3, 2**8, 2**8), 8, Window((3, 3)), 1)


@pytest.mark.parametrize(("product", "expected"), [
    ((64 * 56 * 56, 64, 576, 1), ((128, 64), 1)),             # many tiles: no slices
    ((64 * 56 * 56, 512, 576, 1), ((128, 128), 1)),
    ((128, 10, 400, 1), ((64, 64), 6)),                       # few: slices of at least 8 rounds
    ((576, 64, 64 * 56 * 56, 1), ((64, 64), 29)),
], ids=str)
def test_plans(product, expected):
    p = tiles.chosen(*product, tensor=False, wide=True, chunk=4)
    assert (p.tile, p.slices) == expected


def test_what_tensor_cores_are_for(monkeypatch):
    x = xp.ones((8, 8), dtype=np.float32)
    assert not tiles.on_tensor_cores(x)
    assert tiles.on_tensor_cores(x.astype(np.float16))
    monkeypatch.setattr(settings, "matmul_precision", "tf32")
    assert tiles.on_tensor_cores(x)
    assert not tiles.on_tensor_cores(x.astype(np.float64))
    assert tiles.plan(8, 8, 8, 1, (8, 8), (x, x)).tensor
    assert not tiles.plan(8, 8, 8, 1, (8, 6), (x, x)).tensor                     # rows that are not aligned
    monkeypatch.setattr(tiles, "capability", lambda x: 75)
    assert not tiles.on_tensor_cores(x.astype(np.float16))
