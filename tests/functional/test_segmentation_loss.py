"""Dice and focal loss against their papers' formulas pixel by pixel, finite differences and bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes

LOSSES = [F.dice_loss, F.focal_loss]
reductions = st.sampled_from(["mean", "sum", "none"])
score_shapes = shapes(min_dims=2)                                        # one channel means two classes


def targets(shape, seed, ignored=-100):
    """Class indices, about a third of them `ignored`, but not the first."""
    rng = np.random.default_rng(seed)
    target = rng.integers(max(2, shape[1]), size=shape[:1] + shape[2:])
    target[rng.random(target.shape) < 0.3] = ignored
    target.flat[0] = 0 if ignored != 0 else 1
    return target


def probabilities(logits):
    """The probabilities of all classes, (N, C or 2, ...)."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], 1)
    powers = np.vectorize(math.exp)(logits)
    return powers / powers.sum(1, keepdims=True)


def dice(logits, target, smooth, ignored):
    """The losses (N, C), by loops over images and classes."""
    p, classes = probabilities(logits), logits.shape[1]
    losses = np.zeros((len(p), classes))
    for n, c in np.ndindex(losses.shape):
        index = c if classes > 1 else 1
        overlap = size = 0.0
        for place in np.ndindex(target.shape[1:]):
            if target[n, *place] != ignored:
                probability, truth = p[n, index, *place], float(target[n, *place] == index)
                overlap += probability * truth
                size += probability**2 + truth**2
        losses[n, c] = 1 - (2 * overlap + smooth) / (size + smooth)
    return losses


def focal(logits, target, gamma, weight, ignored):
    """The losses of all pixels."""
    p, losses = probabilities(logits), np.zeros(target.shape)
    for n, *place in np.ndindex(target.shape):
        t = target[n, *place]
        if t != ignored:
            p_true = p[n, t, *place]
            losses[n, *place] = -weight[t] * (1 - p_true) ** gamma * math.log(p_true)
    return losses


@given(shape=score_shapes, smooth=st.floats(0.1, 3), ignored=st.sampled_from([-100, 255, 0]), reduction=reductions,
       layout=layouts, seed=seeds)
def test_dice_loss(xp, shape, smooth, ignored, reduction, layout, seed):
    logits, = distinct_values(shape, seed=seed)
    target = targets(shape, seed, ignored)
    losses = dice(3 * logits, target, smooth, ignored)
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.mean()}[reduction]
    ours = layout(xp.asarray(target))

    def loss(x):
        return F.dice_loss(x, ours, smooth=smooth, ignore_index=ignored, reduction=reduction)
    x = layout(xp.asarray(3 * logits))
    np.testing.assert_allclose(loss(Tensor(x)).numpy(), expected, rtol=1e-10, atol=1e-12)
    check_gradients(loss, x, seed=seed)


@given(shape=score_shapes, gamma=st.floats(0, 4), weighted=st.booleans(), ignored=st.sampled_from([-100, 255, 0]),
       reduction=reductions, layout=layouts, seed=seeds)
def test_focal_loss(xp, shape, gamma, weighted, ignored, reduction, layout, seed):
    logits, weight = distinct_values(shape, (max(2, shape[1]),), seed=seed)
    target = targets(shape, seed, ignored)
    losses = focal(3 * logits, target, gamma, weight + 1.5 if weighted else np.ones(len(weight)), ignored)
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / (target != ignored).sum()}[reduction]
    ours, weights = layout(xp.asarray(target)), xp.asarray(weight + 1.5)

    def loss(x):
        return F.focal_loss(x, ours, weights.astype(x.dtype) if weighted else None, gamma=gamma, ignore_index=ignored,
                            reduction=reduction)
    x = layout(xp.asarray(3 * logits))
    np.testing.assert_allclose(loss(Tensor(x)).numpy(), expected, rtol=1e-10, atol=1e-12)
    check_gradients(loss, x, seed=seed)


@given(shape=score_shapes, seed=seeds)
def test_focal_loss_with_gamma_zero_is_cross_entropy(xp, shape, seed):
    shape = (shape[0], shape[1] + 1, *shape[2:])
    logits, = distinct_values(shape, seed=seed)
    target = xp.asarray(targets(shape, seed))
    ours, theirs = F.focal_loss(xp.asarray(logits), target, gamma=0), F.cross_entropy(xp.asarray(logits), target)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_focal_loss_of_certainty(xp, gamma):
    """Nothing becomes NaN if p rounds to 1 or 0."""
    x = Tensor(xp.asarray(np.array([[1e4], [-1e4]], np.float32)), requires_grad=True)
    loss = F.focal_loss(x, xp.asarray(np.array([1, 1])), gamma=gamma, reduction="none")
    assert loss.numpy().tolist() == [0, 1e4]
    loss.sum().backward()
    assert Tensor(x.grad).numpy().ravel().tolist() == [0, -1]


def test_dice_loss_of_a_perfect_prediction(xp):
    target = np.array([[[0, 1], [2, 1]]])
    logits = 100.0 * (target[:, None] == np.arange(3).reshape(3, 1, 1))
    assert F.dice_loss(xp.asarray(logits), xp.asarray(target)).item() == pytest.approx(0)
    assert F.dice_loss(xp.asarray(-logits), xp.asarray(target)).item() > 0.3


def test_the_gradient_is_zero_if_all_targets_are_ignored(xp):
    target = xp.full((2, 3), -100, dtype=xp.int64)
    for loss in LOSSES:
        x = Tensor(xp.ones((2, 4, 3)), requires_grad=True)
        with np.errstate(invalid="ignore"):
            loss(x, target).backward()
        assert not x.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_bad_input(loss):
    name, scores, target = loss.__name__, np.ones((2, 3, 4)), np.zeros((2, 4), int)
    with pytest.raises(ValueError, match=rf"^{name}: the input must be \(N, C\)"):
        loss(np.ones(3), target)
    with pytest.raises(TypeError, match=rf"^{name}: the input must hold floats"):
        loss(scores.astype(int), target)
    with pytest.raises(TypeError, match=rf"^{name}: the target must hold class indices"):
        loss(scores, target.astype(float))
    with pytest.raises(ValueError, match=rf"^{name}: the target \(2, 4, 1\) does not fit"):
        loss(scores, target[..., None])
    with pytest.raises(ValueError, match=rf"^{name}: the target holds 3; classes are numbered 0 to 2"):
        loss(scores, target + 3)
    with pytest.raises(ValueError, match=rf"^{name}: the target holds 2; classes are numbered 0 to 1"):
        loss(scores[:, :1], target + 2)
    with pytest.raises(ValueError, match=rf"^{name}: reduction='average'"):
        loss(scores, target, reduction="average")


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_bad_settings(value):
    with pytest.raises(ValueError, match=rf"^dice_loss: smooth={value}"):
        F.dice_loss(np.ones((2, 3)), np.zeros(2, int), smooth=value)
    with pytest.raises(ValueError, match=rf"^focal_loss: gamma={value}"):
        F.focal_loss(np.ones((2, 3)), np.zeros(2, int), gamma=value)
    with pytest.raises(ValueError, match=r"^focal_loss: weight \(3,\) of float32 must be \(3,\) of float64"):
        F.focal_loss(np.ones((2, 3)), np.zeros(2, int), np.ones(3, np.float32))
