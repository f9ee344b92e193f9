"""Optimizer steps on the GPU: memory orders, many and large arrays, and numbers that are read from the device."""

import emulator
import numpy as np
import pytest
import strict_array as xp
import strict_cuda
from agreement import kernels
from hypothesis import given
from hypothesis import strategies as st
from strict_array import asarray
from updates import UPDATES

from minidl.kernels import Arrays, gpu, plain
from minidl.kernels.gpu.optimizers import ARRAYS, STRETCH
from minidl.testing.strategies import layouts, seeds, shapes

HYPER = st.floats(0.01, 0.9)


def after(backend, name, some_shapes, dtype, layout, grad_layout, seed, a=0.3, b=0.5):
    """Parameters and state after an update; both are drawn from the seed."""
    rng = np.random.default_rng(seed)
    xs, grads, *slots = ([lay_out(np.asarray(rng.standard_normal(shape)).astype(dtype)) for shape in some_shapes]
                         for lay_out in (layout, grad_layout, layout, layout, layout))
    slots[1] = [np.asarray(np.square(x)) for x in slots[1]]              # a mean of squares, always positive
    slots[1] = [layout(x) for x in slots[1]]
    UPDATES[name](backend, Arrays(xs), grads, [Arrays(slot) for slot in slots], a, b)
    return [array for arrays in (xs, *slots) for array in arrays]


def assert_agree(name, *case):
    with emulator.twice():
        ours = after(kernels, name, *case)
    for one, other in zip(ours, after(plain, name, *case), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5 if one.dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("name", UPDATES)
@given(some_shapes=st.lists(shapes(), min_size=1, max_size=4), dtype=st.sampled_from(["float32", "float64"]),
       layout=layouts, grad_layout=layouts, seed=seeds, a=HYPER, b=HYPER)
def test_gpu_and_plain_agree(name, some_shapes, dtype, layout, grad_layout, seed, a, b):
    assert_agree(name, some_shapes, dtype, layout, grad_layout, seed, a, b)


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("some_shapes", [
    [(STRETCH + 5,), (0,), (3, 7), (2 * STRETCH,), (1,)], [(3,)] * (ARRAYS + 2), [(0,)],
], ids=["large", "many", "empty"])
def test_more_than_one_block_and_one_launch(name, some_shapes):
    assert_agree(name, some_shapes, "float32", np.copy, np.copy, 0)


def test_one_launch_updates_all_parameters(monkeypatch):
    launches = []
    monkeypatch.setattr(emulator.Kernel, "__call__", lambda *args, **kwargs: launches.append(args))
    xs = Arrays(asarray(np.zeros(n, np.float32)) for n in range(ARRAYS))
    gpu.sgd(xs, list(xs), Arrays(xs), 0.1, 0.9, 0.0, False)
    assert len(launches) == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("some_shapes", "launches"), [
    ([(STRETCH + 5,), (0,), (3, 7), (2 * STRETCH,), (1,)], 2), ([(3,)] * (ARRAYS + 2), 4),
], ids=["large", "many"])
@pytest.mark.parametrize("most", [1.0, 1e4])
def test_clipping_takes_two_launches(some_shapes, launches, dtype, most):
    """One for all norms and one for all gradients; the last block to finish adds the squares in their order."""
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal(shape).astype(dtype) for shape in some_shapes]
    strict_cuda.launches.clear()
    ours, norm = kernels.clip(grads, most, 1e-6)
    assert strict_cuda.launches["grad_norm"] == strict_cuda.launches["clip"] == launches / 2
    theirs, length = plain.clip([g.astype(np.float64) for g in grads], most, 1e-6)
    assert norm == pytest.approx(length, rel=1e-12)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3 if dtype == "float16" else 1e-6, atol=1e-7)
    with emulator.twice():
        kernels.clip(grads, most, 1e-6)


def test_gradients_that_are_not_finite_are_not_scaled():
    for bad in (np.nan, np.inf):
        (grad,), norm = kernels.clip([np.array([3, bad, 4], np.float32)], 1, 1e-6)
        np.testing.assert_array_equal(grad, np.array([3, bad, 4], np.float32))
        assert not np.isfinite(norm)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_rate_and_steps_are_read_from_the_device(name):
    """A captured launch obeys a schedule, and has the bits of an eager one."""
    x, grad, *state = (np.random.default_rng(i).random(50).astype(np.float32) for i in range(4))
    rate, steps = xp.asarray(np.array(0.0)), xp.asarray(np.array(0.0))

    def updated(lr, t):
        mine, moments = Arrays([xp.asarray(x)]), [Arrays([xp.asarray(v)]) for v in state]
        if name == "sgd":
            gpu.sgd(mine, [xp.asarray(grad)], moments[0], lr, 0.9, 0.1, True)
        elif name == "adam":
            gpu.adam(mine, [xp.asarray(grad)], *moments, t, lr, (0.9, 0.99), 1e-8, 0.1, True)
        else:
            gpu.rmsprop(mine, [xp.asarray(grad)], moments[0], moments[1], None, lr, 0.9, 1e-8, 0.1, 0.5)
        return mine[0].get()
    for lr, t in ((0.5, 1), (0.1, 7)):
        rate.fill(lr)
        steps.fill(t)
        np.testing.assert_array_equal(updated(rate, steps), updated(lr, t))


def test_arrays_with_gaps_are_updated_by_array_code():
    x = np.arange(12, dtype=np.float32)
    there = xp.asarray(x)[::2]
    gpu.sgd(Arrays([there]), [xp.asarray(np.ones(6, np.float32))], None, 1.0, 0.0, 0.0, False)
    np.testing.assert_array_equal(there.get(), x[::2] - 1)
