"""Gradient clipping: the norm of all gradients as one vector, and the scaled gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.device import CPU
from minidl.nn import Parameter
from minidl.optim import clip_grad_norm_
from minidl.testing.strategies import layouts, seeds


def parameters_with(*grads):
    """Parameters with these gradients, and one without."""
    parameters = [Parameter(np.zeros(g.shape, g.dtype)) for g in grads]
    for p, grad in zip(parameters, grads, strict=True):
        p.grad = grad
    return [*parameters, Parameter(np.zeros(2, np.float32))]


@given(max_norm=st.floats(0.01, 20), layout=layouts, seed=seeds)
def test_gradients_are_scaled_and_replaced(max_norm, layout, seed):
    rng = np.random.default_rng(seed)
    grads = [layout(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, 3), (4, 1, 2), (3,))]
    copies = [g.copy() for g in grads]
    *parameters, without = parameters_with(*grads)
    norm = math.sqrt(sum(float(x) ** 2 for g in grads for x in g.ravel()))
    assert clip_grad_norm_([*parameters, without], max_norm) == pytest.approx(norm, rel=1e-5)
    scale = min(1, max_norm / (norm + 1e-6))
    for p, grad, copy in zip(parameters, grads, copies, strict=True):
        np.testing.assert_array_equal(grad, copy)               # not written to
        np.testing.assert_allclose(p.grad, copy * scale, rtol=1e-5)
        assert p.grad.dtype == np.float32
        assert (p.grad is grad) == (scale == 1)
    assert without.grad is None


def test_both_libraries_agree(xp):
    p = Parameter(xp.asarray(np.zeros(2, np.float32)))
    p.grad = xp.asarray(np.array([3, 4], np.float32))
    assert clip_grad_norm_(p, 1) == 5
    np.testing.assert_allclose(CPU.put(p.grad), [0.6, 0.8], rtol=1e-5)


def test_large_gradients_do_not_overflow():
    p, _ = parameters_with(np.array([3e30, 4e30], np.float32))
    assert clip_grad_norm_([p], 1) == pytest.approx(5e30)
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_returned_and_not_scaled(bad):
    grad = np.array([1, bad], np.float32)
    p, _ = parameters_with(grad)
    assert not math.isfinite(clip_grad_norm_([p], 1))
    assert p.grad is grad


def test_without_gradients_the_norm_is_zero():
    assert clip_grad_norm_(parameters_with(), 1) == 0


@pytest.mark.parametrize("max_norm", [0, -1, math.nan])
def test_bad_max_norm(max_norm):
    with pytest.raises(ValueError, match="max_norm="):
        clip_grad_norm_([], max_norm)


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    grads = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    ours = parameters_with(*grads)
    theirs = [torch.nn.Parameter(torch.zeros(3, 4)) for _ in grads]
    for p, grad in zip(theirs, grads, strict=True):
        p.grad = torch.from_numpy(grad.copy())
    assert clip_grad_norm_(ours, 2) == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, 2).item())
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-5)
