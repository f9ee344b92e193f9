"""The augmentation kernels against the plain functions: equal except for rounding, in any size."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import Taps, cpu, plain
from minidl.kernels.plain.augmentation import inside
from minidl.testing.strategies import seeds

sizes = st.tuples(st.integers(0, 3), st.sampled_from([1, 3, 4]), st.integers(1, 9), st.integers(1, 9))
borders = st.integers(0, 2)


def images_of(rng, shape, dtype=np.uint8):
    return rng.integers(0, 256, shape).astype(dtype)


def assert_agree(name, *inputs):
    ours, theirs = getattr(cpu, name)(*inputs), getattr(plain, name)(*inputs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == inputs[0].dtype
    assert ours.flags.c_contiguous
    assert theirs.flags.c_contiguous
    difference = np.abs(ours.astype(np.float64) - theirs)
    if ours.dtype == np.uint8:                        # a value close to a half may be rounded either way
        assert difference.max(initial=0) <= 1
        assert np.count_nonzero(difference) <= 1 + ours.size // 200
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


@given(shape=sizes, out=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=seeds)
def test_gather(shape, out, seed):
    rng = np.random.default_rng(seed)
    n, _, h, w = shape
    rows, columns = rng.integers(-1, h, (n, out[0])), rng.integers(-1, w, (n, out[1]))
    images = images_of(rng, shape)
    assert_agree("gather", images, rows, columns, 7)
    picked = cpu.gather(images, rows, columns, 7)
    for i, y, x in np.ndindex(n, *out):
        row, column = rows[i, y], columns[i, x]
        expected = images[i, :, row, column] if row >= 0 and column >= 0 else [7] * shape[1]
        assert picked[i, :, y, x].tolist() == list(expected)


@given(shape=sizes, out=st.tuples(st.integers(1, 9), st.integers(1, 9)), border=borders, bilinear=st.booleans(),
       dtype=st.sampled_from([np.uint8, np.float32]), seed=seeds)
def test_warp(shape, out, border, bilinear, dtype, seed):
    rng = np.random.default_rng(seed)
    matrices = rng.normal(0, 1, (shape[0], 2, 3)) * [1, 1, 9]
    if not bilinear:                                  # away from halves, where rounding decides which pixel it is
        matrices = np.round(matrices) + [0, 0, 0.25]
    assert_agree("warp", images_of(rng, shape, dtype), matrices, out, bilinear, border, 9)


@given(shape=sizes, border=borders, bilinear=st.booleans(), seed=seeds)
def test_displace(shape, border, bilinear, seed):
    rng = np.random.default_rng(seed)
    fields = rng.normal(0, 3, (shape[0], 2, *shape[2:]))
    fields = fields if bilinear else np.round(fields) + 0.25
    assert_agree("displace", images_of(rng, shape), fields, bilinear, border, 9)


@given(shape=sizes, seed=seeds)
def test_blend_each(shape, seed):
    rng = np.random.default_rng(seed)
    n, _, h, w = shape
    taps = [Taps(rng.integers(0, k, (n, 4, t)), rng.random((n, 4, t)) / t) for k, t in ((h, 3), (w, 2))]
    assert_agree("blend_each", images_of(rng, shape), *taps)


@given(shape=sizes, seed=seeds)
def test_colours(shape, seed):
    rng = np.random.default_rng(seed)
    images, (n, c) = images_of(rng, shape), shape[:2]
    assert_agree("look_up", images, rng.integers(0, 256, (n, c, 256)).astype(np.uint8))
    assert_agree("mix_channels", images, rng.normal(0, 1, (n, c, c)))
    assert_agree("mix_channels", images, rng.normal(0, 1, (n, c, c)), rng.normal(0, 1, (n, c, c)))
    for low, high in ((0, 256), (50, 60), (7, 8)):
        drawn = np.asarray(rng.integers(low, high, shape), np.uint8)
        np.testing.assert_array_equal(*(k.level_tables(drawn, np.arange(n) % 3) for k in (cpu, plain)))
    assert_agree("add_noise", images, rng.integers(0, 2**63, n).astype(np.uint64), rng.uniform(0, 99, n))


@given(shape=sizes, taps=st.integers(0, 3), dtype=st.sampled_from([np.uint8, np.float32]), seed=seeds)
def test_blur(shape, taps, dtype, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((shape[0], 2 * taps + 1)) + 0.1
    assert_agree("blur", images_of(rng, shape, dtype), weights / weights.sum(1, keepdims=True))


@given(shape=sizes, dtype=st.sampled_from([np.uint8, np.float32]), seed=seeds)
def test_erase_and_mix(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    (n, _, h, w), images = shape, images_of(rng, shape, dtype)
    assert_agree("erase", images, rng.integers(0, [[h, w, h + 1, w + 1]], (n, 4)), 9)
    assert_agree("mix_pairs", images, rng.random(), (rng.integers(h), rng.integers(w), h, w))
    pasted = cpu.mix_pairs(images, 0, (0, 0, h, w))
    np.testing.assert_array_equal(pasted, np.roll(images, 1, axis=0))


def test_noise_is_normal():
    images = np.full((2, 3, 64, 64), 128, np.uint8)
    out = cpu.add_noise(images, np.array([1, 2], np.uint64), np.array([10.0, 20.0])).astype(float) - 128
    np.testing.assert_allclose(out.mean((1, 2, 3)), 0, atol=1)
    np.testing.assert_allclose(out.std((1, 2, 3)), [10, 20], rtol=0.03)
    assert abs(np.corrcoef(out[0].ravel(), out[1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(("border", "mode"), [(1, "reflect"), (2, "edge")])
def test_borders_are_numpys(border, mode):
    for n in (1, 2, 5):
        padded = np.pad(np.arange(n), 12, mode)
        assert inside(np.arange(-12, n + 12), n, border).tolist() == padded.tolist()
