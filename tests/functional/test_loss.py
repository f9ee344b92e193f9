"""Losses against their definitions, finite differences and bad input."""

import math
from functools import partial

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import broadcastable_shapes, distinct_values, layouts, seeds, shapes

reductions = st.sampled_from(["mean", "sum", "none"])
score_shapes = shapes(min_dims=2)                                        # (N, C), (N, C, H), (N, C, H, W)


@st.composite
def classifications(draw, smoothed=True):
    """The shape of the scores, and settings; ignore_index is never the last class."""
    shape = draw(score_shapes)
    settings = {"reduction": draw(reductions)}
    if draw(st.booleans()):
        settings["ignore_index"] = draw(st.integers(-1, shape[1] - 2))
    if smoothed:
        settings["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return shape, settings


def scores_and_targets(shape, settings, seed):
    """Scores, targets (some ignored, but not the first), and class weights between 0.5 and 2.5."""
    scores, weight = distinct_values(shape, shape[1:2], seed=seed)
    rng = np.random.default_rng(seed)
    target = rng.integers(shape[1], size=shape[:1] + shape[2:])
    target[rng.random(target.shape) < 0.3] = settings.get("ignore_index", -100)
    target.flat[0] = shape[1] - 1
    return scores, target, weight + 1.5


@given(case=classifications(), weighted=st.booleans(), layout=layouts, seed=seeds)
def test_cross_entropy(xp, case, weighted, layout, seed):
    shape, settings = case
    scores, target, weight = scores_and_targets(shape, settings, seed)
    weight = weight if weighted else None
    expected = reference.cross_entropy(scores, target, weight, **settings)
    ours = None if weight is None else xp.asarray(weight)
    out = F.cross_entropy(layout(xp.asarray(scores)), layout(xp.asarray(target)), ours, **settings)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-10, atol=1e-12)


@given(case=classifications(), weighted=st.booleans(), layout=layouts, seed=seeds)
def test_cross_entropy_gradients(xp, case, weighted, layout, seed):
    shape, settings = case
    scores, target, weight = scores_and_targets(shape, settings, seed)
    target, weight = layout(xp.asarray(target)), xp.asarray(weight)

    def loss(scores):
        return F.cross_entropy(scores, target, weight.astype(scores.dtype) if weighted else None, **settings)
    check_gradients(loss, layout(xp.asarray(scores)), seed=seed)


@given(case=classifications(smoothed=False), weighted=st.booleans(), layout=layouts, seed=seeds)
def test_nll_loss(xp, case, weighted, layout, seed):
    """Cross entropy is log_softmax followed by this loss."""
    shape, settings = case
    scores, target, weight = scores_and_targets(shape, settings, seed)
    logp, target = scores - np.log(np.exp(scores).sum(1, keepdims=True)), xp.asarray(target)
    expected = reference.cross_entropy(scores, Tensor(target).numpy(), weight if weighted else None, **settings)

    def loss(logp):
        return F.nll_loss(logp, target, xp.asarray(weight).astype(logp.dtype) if weighted else None, **settings)
    np.testing.assert_allclose(loss(Tensor(xp.asarray(logp))).numpy(), expected, rtol=1e-10, atol=1e-12)
    check_gradients(loss, layout(xp.asarray(logp)), seed=seed)


def test_the_gradient_is_zero_if_all_targets_are_ignored(xp):
    """The mean of no losses is NaN, as in PyTorch, but the gradient is 0 and leaves the parameters valid."""
    scores = Tensor(xp.ones((2, 3)), requires_grad=True)
    with np.errstate(invalid="ignore"):
        loss = F.cross_entropy(scores, xp.asarray(np.array([-100, -100])))
    assert math.isnan(loss.item())
    loss.backward()
    assert not scores.grad.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_targets_of_any_integer_dtype(xp, dtype):
    scores, target = xp.ones((3, 4), dtype=xp.float32), xp.asarray(np.array([0, 3, 1], dtype))
    loss = F.cross_entropy(scores, Tensor(target))
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(math.log(4))


@given(shape=shapes(), reduction=reductions, layout=layouts, seed=seeds)
def test_mse_loss(xp, shape, reduction, layout, seed):
    x, target = distinct_values(shape, shape, seed=seed)
    squares = np.vectorize(lambda a, b: (a - b) ** 2, otypes=[float])(x, target)
    expected = {"none": squares, "sum": squares.sum(), "mean": squares.sum() / squares.size}[reduction]
    ours, loss = [layout(xp.asarray(a)) for a in (x, target)], partial(F.mse_loss, reduction=reduction)
    np.testing.assert_allclose(loss(*ours).numpy(), expected, rtol=1e-12)
    check_gradients(loss, *ours, seed=seed)


@given(shape=shapes(), reduction=reductions, layout=layouts, seed=seeds)
def test_l1_loss(xp, shape, reduction, layout, seed):
    x, target = distinct_values(shape, shape, seed=seed)
    sizes = np.vectorize(lambda a, b: abs(a - b), otypes=[float])(x, target)
    expected = {"none": sizes, "sum": sizes.sum(), "mean": sizes.sum() / sizes.size}[reduction]
    ours, loss = [layout(xp.asarray(a)) for a in (x, target)], partial(F.l1_loss, reduction=reduction)
    np.testing.assert_allclose(loss(*ours).numpy(), expected, rtol=1e-12)
    check_gradients(loss, *ours, seed=seed)


@given(shape=shapes(), reduction=reductions, beta=st.floats(0.01, 2) | st.just(0), layout=layouts, seed=seeds)
def test_smooth_l1_loss(xp, shape, reduction, beta, layout, seed):
    """sqrt(0.9) keeps differences away from round values of beta, at which the derivative has a kink."""
    x, target = (math.sqrt(0.9) * a for a in distinct_values(shape, shape, seed=seed))
    smoothed = np.vectorize(lambda d: d * d / (2 * beta) if abs(d) < beta else abs(d) - beta / 2, otypes=[float])
    losses = smoothed(x - target)
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / losses.size}[reduction]
    ours, loss = [layout(xp.asarray(a)) for a in (x, target)], partial(F.smooth_l1_loss, beta=beta, reduction=reduction)
    np.testing.assert_allclose(loss(*ours).numpy(), expected, rtol=1e-12)
    check_gradients(loss, *ours, seed=seed)


def test_l1_loss_of_equal_inputs_has_zero_gradient(xp):
    x = Tensor(xp.ones(3), requires_grad=True)
    F.l1_loss(x, xp.ones(3)).backward()
    assert not x.grad.any()


@st.composite
def binary_cases(draw):
    """The shape of the scores, and shapes of weight and pos_weight that broadcast to it."""
    weight, pos_weight = draw(broadcastable_shapes())
    full = np.broadcast_shapes(weight, pos_weight)
    return full, weight, pos_weight


@given(case=binary_cases(), weighted=st.booleans(), reduction=reductions, layout=layouts, seed=seeds)
def test_binary_cross_entropy_with_logits(xp, case, weighted, reduction, layout, seed):
    x, target, weight, pos_weight = distinct_values(case[0], case[0], *case[1:], seed=seed)
    target, weight, pos_weight = abs(target), weight + 1.5, pos_weight + 1.5
    ones = np.ones(x.shape)
    losses = reference.binary_cross_entropy_with_logits(
        x, target, *((ones * weight, ones * pos_weight) if weighted else (ones, ones)))
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / losses.size}[reduction]
    constants = [layout(xp.asarray(a)) for a in (target, weight, pos_weight)[:3 if weighted else 1]]

    def loss(x):
        return F.binary_cross_entropy_with_logits(x, *(a.astype(x.dtype) for a in constants), reduction=reduction)
    ours = layout(xp.asarray(x))
    np.testing.assert_allclose(loss(Tensor(ours)).numpy(), expected, rtol=1e-10, atol=1e-12)
    check_gradients(loss, ours, seed=seed)


@given(case=binary_cases(), weighted=st.booleans(), reduction=reductions, seed=seeds)
def test_gradients_by_the_target(xp, case, weighted, reduction, seed):
    """Of every loss whose target is not a class."""
    x, target, *weights = map(xp.asarray, distinct_values(case[0], case[0], *case[1:], seed=seed))
    target = 0.5 + 0.1 * target
    constants = [w.astype(x.dtype) + 1.5 for w in weights] if weighted else []
    check_gradients(lambda x, t: F.binary_cross_entropy_with_logits(x, t, *constants, reduction=reduction), x, target,
                    seed=seed)
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss):
        check_gradients(lambda x, t, loss=loss: loss(x, t, reduction=reduction), x, target, seed=seed)


@pytest.mark.parametrize(("loss", "target"), [
    (F.cross_entropy, np.array([0, 2])),
    (F.nll_loss, np.array([0, 2])),
    (F.focal_loss, np.array([0, 2])),
    (F.binary_cross_entropy_with_logits, np.ones((2, 3))),
])
def test_weights_have_no_gradient(loss, target):
    weight = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(RuntimeError, match=rf"^{loss.__name__}: weight cannot have a gradient; give weight.detach"):
        loss(Tensor(SCORES), target, weight)
    assert math.isfinite(loss(Tensor(SCORES), target, weight.detach()).item())
    if loss is F.binary_cross_entropy_with_logits:
        with pytest.raises(RuntimeError, match=r": pos_weight cannot have a gradient"):
            loss(Tensor(SCORES), target, None, weight)


def test_binary_cross_entropy_of_large_scores(xp):
    x = Tensor(xp.asarray(np.array([1e4, -1e4, 1e4], np.float32)), requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, xp.asarray(np.array([0, 0, 1])), reduction="none")
    assert loss.numpy().tolist() == [1e4, 0, 0]
    loss.sum().backward()
    assert Tensor(x.grad).numpy().tolist() == [1, 0, 0]
    assert x.grad.dtype == np.float32


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    scores, weight = rng.standard_normal((4, 3, 5)), rng.random(3) + 0.5
    target = rng.integers(3, size=(4, 5))
    for settings in ({}, {"ignore_index": 1}, {"label_smoothing": 0.2, "ignore_index": 2}, {"reduction": "sum"}):
        theirs = torch.nn.functional.cross_entropy(*map(torch.from_numpy, (scores, target, weight)), **settings)
        assert F.cross_entropy(scores, target, weight, **settings).item() == pytest.approx(theirs.item())
    for name, settings in (("l1_loss", {}), ("smooth_l1_loss", {"beta": 0.3}), ("smooth_l1_loss", {"beta": 0.0})):
        theirs = getattr(torch.nn.functional, name)(*map(torch.from_numpy, (scores, scores[::-1].copy())), **settings)
        assert getattr(F, name)(scores, scores[::-1], **settings).item() == pytest.approx(theirs.item())
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(scores), torch.from_numpy(abs(np.tanh(scores))), pos_weight=torch.from_numpy(weight[:, None]))
    ours = F.binary_cross_entropy_with_logits(scores, abs(np.tanh(scores)), None, weight[:, None])
    assert ours.item() == pytest.approx(theirs.item())


SCORES, TARGET = np.ones((2, 3)), np.array([0, 2])
BAD_TARGETS = [
    (np.array([0.0, 2.0]), TypeError, r"the target must hold class indices \(integers\), not float64"),
    (np.array([True, False]), TypeError, r"the target must hold class indices \(integers\), not bool"),
    (1, TypeError, r"the target must hold class indices \(integers\), not int"),
    (np.array([0, 1, 2]), ValueError, r"the target \(3,\) does not fit the input \(2, 3\); it must be \(2,\)"),
    (np.array([[0], [1]]), ValueError, r"the target \(2, 1\) does not fit"),
    (np.array([0, 3]), ValueError, r"the target holds 3; classes are numbered 0 to 2"),
    (np.array([-1, 0]), ValueError, r"the target holds -1; .* and -100 is ignored"),
]


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize(("target", "error", "message"), BAD_TARGETS)
def test_bad_targets(loss, target, error, message):
    with pytest.raises(error, match=rf"^{loss.__name__}: {message}"):
        loss(SCORES, target)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_bad_scores_weights_and_reductions(loss):
    name = loss.__name__
    for shape in ((3,), (0, 3), (2, 0)):
        with pytest.raises(ValueError, match=rf"^{name}: the input must be \(N, C\) or \(N, C, \.\.\.\)"):
            loss(np.ones(shape), TARGET)
    with pytest.raises(ValueError, match=rf"^{name}: weight \(2,\) must be \(3,\)"):
        loss(SCORES, TARGET, np.ones(2))
    with pytest.raises(TypeError, match=rf"^{name}: weight has dtype float32 and the logits float64"):
        loss(SCORES, TARGET, np.ones(3, np.float32))
    with pytest.raises(ValueError, match=rf"^{name}: reduction='average' is none of mean, sum, none"):
        loss(SCORES, TARGET, reduction="average")
    with pytest.raises(TypeError, match=rf"^{name}: the input must hold floats, not int64"):
        loss(SCORES.astype(int), TARGET)


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, math.nan])
def test_bad_label_smoothing(smoothing):
    with pytest.raises(ValueError, match=rf"^cross_entropy: label_smoothing={smoothing} is not between 0 and 1"):
        F.cross_entropy(SCORES, TARGET, label_smoothing=smoothing)


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.binary_cross_entropy_with_logits])
def test_losses_of_bad_input(loss):
    with pytest.raises(ValueError, match=rf"^{loss.__name__}: the input \(2, 3\) and the target \(3,\) must"):
        loss(SCORES, np.ones(3))
    with pytest.raises(ValueError, match=rf"^{loss.__name__}: reduction='average'"):
        loss(SCORES, SCORES, reduction="average")


def test_binary_targets_outside_0_to_1():
    with pytest.raises(ValueError, match=r"^binary_cross_entropy_with_logits: targets must be between .* 2\.0"):
        F.binary_cross_entropy_with_logits(SCORES, 2 * SCORES)


@pytest.mark.parametrize("beta", [-1, math.nan, math.inf])
def test_bad_beta(beta):
    with pytest.raises(ValueError, match=rf"^smooth_l1_loss: beta={beta}"):
        F.smooth_l1_loss(SCORES, SCORES, beta=beta)
