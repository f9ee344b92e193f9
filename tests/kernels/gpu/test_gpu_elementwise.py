"""Activations, sums of arrays and dropout on the GPU: dtypes, memory orders, sizes around 16 bytes, special numbers."""

import emulator
import numpy as np
import pytest
import strict_array as xp
from agreement import agree, draw, dtypes, kernels
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import gpu
from minidl.kernels.gpu.activation import NAMES
from minidl.kernels.plain.activation import ACTIVATIONS
from minidl.testing.strategies import layouts, seeds, shapes

SETTINGS = {"leaky_relu": (0.1,), "elu": (1.5,), "softplus": (2.0, 20.0)}
some_shapes = shapes() | st.integers(0, 70).map(lambda n: (n,))


def test_gpu_and_plain_have_the_same_activations():
    assert set(NAMES) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
@given(shape=some_shapes, dtype=dtypes, layout=layouts, seed=seeds)
def test_activations(name, shape, dtype, layout, seed):
    x, grad = draw(seed, dtype, shape, shape)
    settings = SETTINGS.get(name, ())
    agree_by_name("activation", name, layout(np.asarray(3 * x)), *settings)
    kept = np.asarray(np.tanh(x)) if name == "tanh" else x
    agree_by_name("activation_gradient", name, grad, layout(kept), *settings)


def agree_by_name(kernel, name, *inputs):
    """`agree`, for a kernel whose first argument is a name."""
    agree(kernel, name, *inputs, factor=4, exact=(0,))


@pytest.mark.parametrize("name", [name for name in NAMES if "gelu" not in name])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_and_nan_as_in_pytorch(name, dtype):
    torch = pytest.importorskip("torch")
    x, settings = np.array([-np.inf, np.inf, np.nan, 0.0, -0.0], dtype), SETTINGS.get(name, ())
    expected = getattr(torch.nn.functional, name)(torch.from_numpy(x), *settings).numpy()
    np.testing.assert_allclose(kernels.activation(name, x, *settings), expected, atol=1e-15, rtol=1e-6)


@given(shape=some_shapes, dtype=dtypes, layout=layouts, ceiling=st.sampled_from([None, 1.0]), seed=seeds)
def test_relu_and_its_gradient(shape, dtype, layout, ceiling, seed):
    x, grad = draw(seed, dtype, shape, shape, special=True)
    agree("relu", layout(x), ceiling)
    agree("relu_gradient", grad, layout(x), ceiling)


@given(shape=some_shapes, dtype=dtypes, layout=layouts, other=layouts, seed=seeds)
def test_add_and_select(shape, dtype, layout, other, seed):
    a, b = draw(seed, dtype, shape, shape, special=True)
    agree("add", layout(a), other(b))
    agree("select", other(np.asarray(b > 0)), layout(a), 2.0)


def test_broadcast_sums_and_masks():
    x, row = draw(0, "float32", (3, 4, 5, 6), (5, 1))
    agree("add", x, row)
    agree("select", x[:, :, :1, :1] > 0, x, 3.0)


def test_a_view_that_is_not_aligned():
    """An array from its second element on is read element by element."""
    x = xp.asarray(np.arange(20, dtype=np.float32) - 9)
    np.testing.assert_array_equal(gpu.relu(x[1:]).get(), np.maximum(np.arange(1, 20) - 9, 0))


# Dropout

def philox(key, counter):
    """Philox4x32-10 as its authors write it (Salmon et al., SC 2011)."""
    c, k = [counter % 2**32, counter >> 32, 0, 0], [key % 2**32, key >> 32]
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [second >> 32 ^ c[1] ^ k[0], second % 2**32, first >> 32 ^ c[3] ^ k[1], first % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def test_philox_has_the_bits_of_its_authors():
    """The first of their test vectors, and that dropout takes element i from counter i // 4."""
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    seed = 2**63 + 12345
    expected = [(philox(seed, i // 4)[i % 4] >> 8) * 2.0**-24 >= 0.3 for i in range(103)]
    _, kept = kernels.dropout(np.ones(103, np.float32), (103,), seed, 0.3, 1.0)
    assert kept.tolist() == expected


@given(size=st.integers(0, 50), dtype=dtypes, p=st.sampled_from([0.0, 0.25, 0.9, 1.0]), seed=seeds)
def test_dropout(size, dtype, p, seed):
    x, = draw(seed, dtype, (size,), special=True)
    with emulator.twice():
        out, kept = kernels.dropout(x, x.shape, seed, p, 2.0)
    assert kept.dtype == bool
    np.testing.assert_array_equal(out, np.where(kept, x, 0) * x.dtype.type(2))
    assert p > 0 or kept.all()
    assert p < 1 or not kept.any()
    _, again = kernels.dropout(np.zeros(size, dtype), x.shape, seed, p, 2.0)
    np.testing.assert_array_equal(kept, again)


def test_dropout_of_channels_and_of_any_memory_order():
    """The mask belongs to the elements, whatever their order in memory; one of (N, C, 1, 1) is broadcast."""
    x, = draw(0, "float32", (4, 6, 5, 3))
    last = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    for shape in (x.shape, (4, 6, 1, 1)):
        (out, kept), (other, _) = (kernels.dropout(v, shape, 7, 0.5, 2.0) for v in (x, last))
        assert kept.shape == shape
        np.testing.assert_array_equal(out, np.where(kept, 2 * x, 0))
        np.testing.assert_array_equal(other, out)


def test_dropout_reads_its_seed_from_the_device():
    """As a captured launch does, whose arguments never change."""
    x, seed = xp.asarray(np.ones(1000, np.float32)), xp.asarray(np.array(3, np.uint64))
    eager = [gpu.dropout(x, x.shape, value, 0.5, 2.0)[0].get() for value in (3, 4)]
    np.testing.assert_array_equal(gpu.dropout(x, x.shape, seed, 0.5, 2.0)[0].get(), eager[0])
    seed.fill(4)
    np.testing.assert_array_equal(gpu.dropout(x, x.shape, seed, 0.5, 2.0)[0].get(), eager[1])
    assert (eager[0] != eager[1]).any()
    assert abs(np.mean(eager[0]) - 1) < 0.2
