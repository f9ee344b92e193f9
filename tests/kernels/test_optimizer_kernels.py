"""One pass over all parameters, against plain array by array: sizes, memory orders, dtypes, threads."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from updates import UPDATES

from minidl.kernels import Arrays, plain
from minidl.testing.strategies import layouts, seeds, shapes

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu import optimizers
from minidl.kernels.cpu.runtime import data_pointer

HYPER = st.floats(0.01, 0.9)


def result(kernels, name, shapes, dtype, layout, grad_layout, seed, a=0.3, b=0.5):
    """Parameters and slots after an update; both are drawn from the seed."""
    rng = np.random.default_rng(seed)
    xs, grads, *slots = ([lay_out(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
                         for lay_out in (layout, grad_layout, layout, layout, layout))
    slots[1] = [layout(np.asarray(np.square(x))) for x in slots[1]]      # a mean of squares
    copies = [grad.copy() for grad in grads]
    UPDATES[name](kernels, Arrays(xs), grads, [Arrays(slot) for slot in slots], a, b)
    for grad, copy in zip(grads, copies, strict=True):
        np.testing.assert_array_equal(grad, copy)                        # not written to
    return [array for arrays in (xs, *slots) for array in arrays]


@pytest.mark.parametrize("name", UPDATES)
@given(shapes=st.lists(shapes(), min_size=1, max_size=4), dtype=st.sampled_from(["float32", "float64"]), layout=layouts,
       grad_layout=layouts, seed=seeds, a=HYPER, b=HYPER)
def test_cpu_and_plain_agree(name, shapes, dtype, layout, grad_layout, seed, a, b):
    both = [result(kernels, name, shapes, dtype, layout, grad_layout, seed, a, b) for kernels in (plain, cpu)]
    for expected, ours in zip(*both, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, expected, rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-6)


@pytest.mark.parametrize("name", UPDATES)
def test_many_and_large_parameters(name):
    """Boundaries between threads lie inside arrays, at their ends, and beside empty ones."""
    shapes = [(1000,), (0,), (3, 7), (40_000,), (1,), (123, 45)]
    both = [result(kernels, name, shapes, "float32", np.copy, np.copy, 0) for kernels in (plain, cpu)]
    for expected, ours in zip(*both, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=1e-6)


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), threads=st.integers(1, 7))
def test_every_element_belongs_to_one_thread(lengths, threads):
    starts = np.cumsum([0, *lengths])
    for i, length in enumerate(lengths):
        done = []
        for thread in range(threads):
            first, stop = optimizers.share_of_array.py_func(thread, threads, starts, i)
            done += range(first, stop)
        assert done == list(range(length))


def test_arrays_in_unlike_memory_orders_use_plain():
    """Gaps, reversed axes, parameters in another memory order than their state; read-only parameters raise."""
    x = np.arange(12, dtype=np.float32)
    for view in (x[::2], x[::-1][:6], x.reshape(3, 4)[:, 1:3].reshape(3, 2)):
        before, grad = view.copy(), np.ones(view.shape, np.float32)
        cpu.sgd(Arrays([view]), [grad], None, 1.0, 0.0, 0.0, False)
        np.testing.assert_array_equal(view, before - 1)
    a, b = np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32).T
    grad = np.arange(6, dtype=np.float32).reshape(2, 3)
    cpu.sgd(Arrays([a]), [grad], Arrays([b]), 1.0, 0.5, 0.0, False)
    np.testing.assert_array_equal(b, grad)
    a.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        cpu.sgd(Arrays([a]), [grad], None, 1.0, 0.0, 0.0, False)


def test_gradients_of_any_kind():
    """NumPy scalars, float64 arrays, subclasses and Python numbers are converted to arrays like the parameter."""
    class Own(np.ndarray):
        pass

    for grad in (np.float32(2), np.array(2.0), np.array(2, np.float32).view(Own), 2.0):
        x = np.zeros((), np.float32)
        cpu.sgd(Arrays([x]), [grad], None, 1.0, 0.0, 0.0, False)
        assert x == -2


def test_ids_lead_to_data_here():
    """On the interpreters and NumPy versions that we test, optimizers find arrays by their ids."""
    assert data_pointer.IDS_LEAD_TO_DATA


@pytest.mark.parametrize("change", [("HEADER", object.__basicsize__ + 8), ("sys", SimpleNamespace(
    implementation=SimpleNamespace(name="another")))], ids=["another array layout", "another interpreter"])
def test_without_data_pointers_plain_kernels_do_the_step(monkeypatch, change):
    monkeypatch.setattr(data_pointer, *change)
    monkeypatch.setattr(optimizers, "IDS_LEAD_TO_DATA", data_pointer.ids_lead_to_data())
    assert not optimizers.IDS_LEAD_TO_DATA
    monkeypatch.setattr(optimizers, "ids", None)                         # which the compiled kernels would call
    for name in UPDATES:
        both = [result(kernels, name, [(3, 4), (5,)], "float32", np.copy, np.copy, 0) for kernels in (plain, cpu)]
        for expected, ours in zip(*both, strict=True):
            np.testing.assert_array_equal(ours, expected)
