"""Softmax and cross entropy on the GPU, and wrong targets, which nobody waits for."""

import numpy as np
import pytest
import strict_array as xp
from agreement import agree, draw, dtypes, kernels
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl.kernels import plain
from minidl.tensor import Tensor
from minidl.testing.strategies import layouts, seeds

SHAPES = [(1, 1), (5, 3), (70, 10), (5, 33), (3, 1000), (3, 1, 7), (2, 4, 5, 9), (4, 2, 11)]


@pytest.mark.parametrize("shape", SHAPES)
@given(dtype=dtypes, layout=layouts, axis=st.integers(0, 3), special=st.booleans(), seed=seeds)
def test_softmax(shape, dtype, layout, axis, special, seed):
    x, grad = draw(seed, dtype, shape, shape, special=special)
    axis %= len(shape)
    p = agree("softmax", layout(x), axis)
    logs = agree("log_softmax", layout(x), axis)
    agree("softmax_gradient", grad, layout(p), axis, factor=4)
    agree("log_softmax_gradient", grad, layout(logs), axis, factor=20)


@pytest.mark.parametrize("shape", SHAPES)
@given(dtype=dtypes, layout=layouts, smoothing=st.sampled_from([0.0, 0.1, 1.0]), mean=st.booleans(),
       kind=st.sampled_from(["int64", "uint8", "int32", "int16"]), special=st.booleans(), seed=seeds)
def test_cross_entropy(shape, dtype, layout, smoothing, mean, kind, special, seed):
    """With ignored targets and classes of weight 0, which infinite logits do not reach."""
    rng = np.random.default_rng(seed)
    logits, weight = draw(seed, dtype, shape, shape[1:2])
    target = rng.integers(shape[1], size=shape[:1] + shape[2:]).astype(kind)
    ignored, weight = rng.random(target.shape) < 0.2, np.abs(weight)
    target[ignored], weight[0] = 100, 0
    if special:
        logits = np.where((ignored | (target == 0) & (smoothing == 0))[:, None], np.nan, logits).astype(dtype)
    agree("cross_entropy", layout(logits), layout(target), weight, 100, smoothing, mean, factor=10)


def test_all_targets_ignored():
    logits, = draw(0, "float32", (3, 4))
    agree("cross_entropy", logits, np.full(3, -100), np.ones(4, np.float32), -100, 0.0, True)


def test_empty_softmax():
    assert kernels.softmax(np.zeros((0, 4), np.float32), 1).shape == (0, 4)
    with pytest.raises(ValueError, match="zero-size"):
        plain.softmax(np.zeros((4, 0), np.float32), 1)
    with pytest.raises(ValueError, match="zero-size"):
        kernels.softmax(np.zeros((4, 0), np.float32), 1)


@pytest.mark.parametrize("value", [10, -1, 2**40])
def test_a_wrong_target_is_told_when_the_loss_is_read(value):
    """Until then its loss and its gradient are NaN, and the others' are not."""
    logits = Tensor(xp.asarray(np.zeros((3, 10), np.float32)), requires_grad=True)
    target = xp.asarray(np.array([1, value, 2]))
    losses = F.cross_entropy(logits, target, reduction="none")
    assert np.isnan(losses.data.get()).tolist() == [False, True, False]
    loss = F.cross_entropy(logits, target)
    loss.backward()
    assert np.isnan(logits.grad.get()).any(1).tolist() == [False, True, False]
    with pytest.raises(ValueError, match=f"^cross_entropy: the target holds {value}; classes are numbered 0 to 9 and"):
        loss.item()
    assert np.isnan(loss.item())                         # told once


def test_nothing_waits(monkeypatch):
    """A loss and its gradient read nothing back from the device."""
    import strict_cuda
    logits, target = Tensor(xp.asarray(np.zeros((3, 10), np.float32)), requires_grad=True), xp.asarray(np.arange(3))
    monkeypatch.setattr(strict_cuda, "read_back", lambda name: pytest.fail(f"{name} waits"))
    F.cross_entropy(logits, target, label_smoothing=0.1).backward()
