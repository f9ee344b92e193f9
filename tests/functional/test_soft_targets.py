"""cross_entropy of probabilities, such as MixUp and CutMix give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor, kernels
from minidl.testing import check_gradients
from minidl.testing.strategies import seeds

shapes = st.sampled_from([(3, 4), (2, 5, 3), (2, 3, 2, 2)])


def made(shape, seed):
    """Logits, and probabilities over axis 1."""
    rng = np.random.default_rng(seed)
    target = rng.random(shape) + 0.05
    return rng.standard_normal(shape), target / target.sum(1, keepdims=True)


def naive(logits, target, weight, smoothing):
    """The loss of each target, by the definition."""
    classes = logits.shape[1]
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    share = target * (1 - smoothing) + smoothing / classes
    return -(share * logp * weight.reshape(-1, *(1,) * (logits.ndim - 2))).sum(1)


@given(shape=shapes, smoothing=st.sampled_from([0.0, 0.1]), seed=seeds)
def test_the_definition(shape, smoothing, seed):
    logits, target = made(shape, seed)
    weight = np.random.default_rng(seed).random(shape[1]) + 0.5
    expected = naive(logits, target, weight, smoothing)
    for reduction, value in (("none", expected), ("sum", expected.sum()), ("mean", expected.mean())):
        out = F.cross_entropy(logits, target, weight, reduction=reduction, label_smoothing=smoothing)
        np.testing.assert_allclose(out.numpy(), value, rtol=1e-10)


@given(shape=shapes, seed=seeds)
def test_gradients(shape, seed):
    logits, target = made(shape, seed)
    check_gradients(lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), logits, target)


@pytest.mark.parametrize("backend", ["auto", "plain"])
def test_one_hot_targets_are_class_indices(backend):
    logits = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 4, 0])
    with kernels.using(backend):
        for settings in ({}, {"label_smoothing": 0.2}, {"reduction": "sum"}, {"reduction": "none"}):
            hard, soft = (Tensor(logits, requires_grad=True) for _ in range(2))
            first = F.cross_entropy(hard, labels, **settings)
            second = F.cross_entropy(soft, np.eye(5, dtype=np.float32)[labels], **settings)
            assert second.dtype == np.float32
            np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=1e-5)
            first.sum().backward()
            second.sum().backward()
            np.testing.assert_allclose(hard.grad, soft.grad, rtol=1e-4, atol=1e-6)


def test_pytorch():
    torch = pytest.importorskip("torch")
    for shape in ((4, 3), (2, 3, 4, 5)):
        x, t = (a.astype(np.float32) for a in made(shape, 1))
        weight = np.array([1, 2, 0.5], np.float32)
        ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        out = F.cross_entropy(ours, t, weight, label_smoothing=0.1)
        expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(t), torch.tensor(weight),
                                                     label_smoothing=0.1)
        out.backward()
        expected.backward()
        np.testing.assert_allclose(out.item(), expected.item(), rtol=1e-5)
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_a_class_without_a_share_may_be_impossible():
    logits = Tensor(np.array([[0.0, -np.inf, 1.0]], np.float32), requires_grad=True)
    loss = F.cross_entropy(logits, np.array([[0.5, 0, 0.5]], np.float32))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(1 + np.e) - 0.5, rtol=1e-6)
    assert np.isfinite(logits.grad).all()


def test_bad_targets():
    logits = np.zeros((2, 3), np.float32)
    with pytest.raises(TypeError, match=r"^cross_entropy: the target must hold class indices \(integers\)"):
        F.cross_entropy(logits, np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"reduction='avg'"):
        F.cross_entropy(logits, logits, reduction="avg")
    with pytest.raises(ValueError, match=r"^cross_entropy: weight \(2,\) must be \(3,\)"):
        F.cross_entropy(logits, logits, np.ones(2, np.float32))
