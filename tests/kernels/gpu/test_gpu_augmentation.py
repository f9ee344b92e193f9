"""Augmentation on the GPU: bytes as on the CPU, floats up to rounding; numbers from the CPU or from the device."""

import emulator
import numpy as np
import strict_array as xp
from agreement import kernels
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import Taps, gpu, plain
from minidl.testing.strategies import seeds

sizes = st.tuples(st.integers(0, 3), st.sampled_from([1, 3, 4]), st.integers(1, 9), st.integers(1, 9))
outs = st.tuples(st.integers(1, 9), st.integers(1, 9))
dtypes = st.sampled_from([np.uint8, np.float32])
borders = st.integers(0, 2)


def images_of(rng, shape, dtype=np.uint8):
    return rng.integers(0, 256, shape).astype(dtype)


def assert_agree(name, *inputs, off=0):
    """`off`: by how much bytes may differ, where NumPy adds in another order."""
    with emulator.twice():
        ours = getattr(kernels, name)(*inputs)
    theirs = getattr(plain, name)(*inputs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == inputs[0].dtype
    if ours.dtype == np.uint8:
        assert np.abs(ours.astype(int) - theirs).max(initial=0) <= off
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-3)


@given(shape=sizes, out=outs, dtype=dtypes, seed=seeds)
def test_gather(shape, out, dtype, seed):
    rng = np.random.default_rng(seed)
    n, _, h, w = shape
    rows, columns = rng.integers(-1, h, (n, out[0])), rng.integers(-1, w, (n, out[1]))
    assert_agree("gather", images_of(rng, shape, dtype), rows, columns, 7)


@given(shape=sizes, out=outs, border=borders, bilinear=st.booleans(), dtype=dtypes, seed=seeds)
def test_warp_and_displace(shape, out, border, bilinear, dtype, seed):
    rng = np.random.default_rng(seed)
    matrices, fields = rng.normal(0, 1, (shape[0], 2, 3)) * [1, 1, 9], rng.normal(0, 3, (shape[0], 2, *shape[2:]))
    images = images_of(rng, shape, dtype)
    assert_agree("warp", images, matrices, out, bilinear, border, 9, off=1)
    assert_agree("displace", images, fields, bilinear, border, 9)


@given(shape=sizes, out=outs, taps=st.integers(1, 4), dtype=dtypes, seed=seeds)
def test_blend_each(shape, out, taps, dtype, seed):
    rng = np.random.default_rng(seed)
    axes = [Taps(rng.integers(0, n, (shape[0], m, taps)), rng.random((shape[0], m, taps)) / taps)
            for n, m in zip(shape[2:], out, strict=True)]
    assert_agree("blend_each", images_of(rng, shape, dtype), *axes, off=1)


@given(shape=sizes, seed=seeds, reach=st.integers(0, 3), dtype=dtypes)
def test_blur(shape, seed, reach, dtype):
    rng = np.random.default_rng(seed)
    weights = rng.random((shape[0], 2 * reach + 1)) + 0.1
    assert_agree("blur", images_of(rng, shape, dtype), weights / weights.sum(1, keepdims=True))


@given(shape=sizes, seed=seeds)
def test_colours_and_noise(shape, seed):
    rng = np.random.default_rng(seed)
    (n, c), images = shape[:2], images_of(rng, shape)
    assert_agree("look_up", images, images_of(rng, (n, c, 256)))
    assert_agree("mix_channels", images, rng.normal(0, 1, (n, c, c)), off=1)
    assert_agree("mix_channels", images, rng.normal(0, 1, (n, c, c)), rng.normal(0, 1, (n, c, c)), off=1)
    keys = rng.integers(0, 2**63, n).astype(np.uint64)
    assert_agree("add_noise", images, keys, np.full(n, 25.0), off=1)


@given(shape=sizes, seed=seeds, dtype=dtypes)
def test_sharpen_erase_and_mix(shape, seed, dtype):
    rng = np.random.default_rng(seed)
    (n, _, h, w), images = shape, images_of(rng, shape, dtype)
    assert_agree("sharpen", images, rng.normal(1, 1, n))
    boxes = rng.integers(0, [[h, w, h + 1, w + 1]], (n, 4))
    assert_agree("erase", images, boxes, 9)
    assert_agree("mix_pairs", images, rng.random(), (rng.integers(h), rng.integers(w), h, w))
    assert_agree("mix_pairs", images, 0, (0, 0, h, w))


@given(shape=sizes, seed=seeds)
def test_level_tables(shape, seed):
    """Of all bytes, of a few, and of a single one."""
    rng = np.random.default_rng(seed)
    for low, high in ((0, 256), (50, 60), (7, 8)):
        images = np.asarray(rng.integers(low, high, shape), np.uint8)
        assert_agree("level_tables", images, rng.integers(0, 3, len(images)))


@given(shape=sizes, seed=seeds)
def test_fields_of_noise_have_the_bits_of_numpy(shape, seed):
    keys = np.random.default_rng(seed).integers(0, 2**64, shape[0], np.uint64)
    with emulator.twice():
        ours = kernels.noise_fields(np.empty(shape, np.uint8), keys, 50.0)
    np.testing.assert_array_equal(ours, plain.noise_fields(np.empty(shape, np.uint8), keys, 50.0))


def test_numbers_may_be_on_the_cpu():
    """A loader draws them there; the images are on the device."""
    rng = np.random.default_rng(0)
    images, matrices = images_of(rng, (2, 3, 5, 6)), rng.normal(0, 1, (2, 2, 3))
    there = gpu.warp(xp.asarray(images), matrices, (4, 4), True, 0, 0)
    np.testing.assert_array_equal(there.get(), kernels.warp(images, matrices, (4, 4), True, 0, 0))
