"""Losses: one number that says how wrong the output is.

`reduction` is "mean", "sum" or "none", as in PyTorch; names, settings and defaults are PyTorch's too.
"""

import math

import numpy as np

from minidl.device import array_module
from minidl.functional.activation import finite
from minidl.kernels import backend
from minidl.tensor import op

REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(logits, target, /, weight=None, *, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-log softmax(logits)[target]: how surprised the model is by the right class.

    logits (N, C) or (N, C, ...), target whole numbers (N,) or (N, ...) from 0 to C - 1  ->  () or the target's shape
    weight           (C,): how much each class counts; the mean divides by the sum of the weights of the targets
    ignore_index     targets of this value count nothing
    label_smoothing  s: the right class is worth 1 - s, and s is spread over all classes alike
                     (Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7)
    """
    return _cross_entropy(logits, target, weight, ignore_index=ignore_index, reduction=reduction,
                          label_smoothing=label_smoothing)


@op
def _cross_entropy(logits, target, weight, /, *, ignore_index, reduction, label_smoothing):
    """The kernel gives the gradient along with the losses, as far as it is known without the gradient that comes in."""
    name = "cross_entropy"
    check_scores(name, logits)
    check_target(name, logits.shape, target, ignore_index)
    check_reduction(name, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing={label_smoothing} is not between 0 and 1")
    weight = class_weights(name, weight, logits)
    losses, total, dlogits = backend(logits).cross_entropy(
        logits, target, weight, int(ignore_index), float(label_smoothing), reduction == "mean")

    def backward(grad):
        if isinstance(grad, np.ndarray) and grad.shape == () and grad == 1:              # as from loss.backward()
            return dlogits
        return dlogits * (grad[:, None] if reduction == "none" else grad)
    if reduction == "none":
        return losses, backward
    return losses.sum() if reduction == "sum" else losses.sum() / total, backward


def nll_loss(log_probabilities, target, /, weight=None, *, ignore_index=-100, reduction="mean"):
    """-log_probabilities[target]; settings as in cross_entropy, which is this after log_softmax."""
    return _nll_loss(log_probabilities, target, weight, ignore_index=ignore_index, reduction=reduction)


@op
def _nll_loss(logp, target, weight, /, *, ignore_index, reduction):
    """-w[t] * logp[t] for class weights w and a target t; the mean divides by the sum of w[t].

    logp (N, C, ...), target (N, ...)
    """
    name, xp, shape = "nll_loss", array_module(logp), logp.shape
    check_scores(name, logp)
    check_target(name, shape, target, ignore_index)
    check_reduction(name, reduction)
    n, length = shape[0], math.prod(shape[2:])
    counted = target != ignore_index
    target = xp.where(counted, target, 0)
    places = xp.arange(n)[:, None], target.reshape(n, length), xp.arange(length)      # of the targets in (N, C, ...)
    picked = class_weights(name, weight, logp)[target] * counted         # w[t], 0 where ignored
    loss = -picked * logp.reshape(n, shape[1], length)[places].reshape(target.shape)
    total = picked.sum()

    def backward(grad):
        if reduction == "mean":
            grad = grad / xp.where(total == 0, 1, total)             # nothing counted: no gradient, as in PyTorch
        dlogp = xp.zeros((n, shape[1], length), dtype=logp.dtype)
        dlogp[places] = (-grad * picked).reshape(n, length)
        return dlogp.reshape(shape)
    if reduction == "none":
        return loss, backward
    return loss.sum() if reduction == "sum" else loss.sum() / total, backward


@op
def mse_loss(x, target, /, *, reduction="mean"):
    """(x - target)**2, elementwise, then reduced; both of one shape."""
    return of_difference("mse_loss", x, target, reduction, lambda d: d * d, lambda d: 2 * d)


@op
def l1_loss(x, target, /, *, reduction="mean"):
    """|x - target|, elementwise, then reduced; both of one shape. The gradient where they are equal is 0."""
    xp = array_module(x)
    return of_difference("l1_loss", x, target, reduction, xp.abs, xp.sign)


@op
def smooth_l1_loss(x, target, /, *, reduction="mean", beta=1.0):
    """d**2 / (2 * beta) where |d| < beta, else |d| - beta / 2, with d = x - target; then reduced; both of one shape.

    Girshick, "Fast R-CNN", ICCV 2015, equation 3. beta=0 is l1_loss.
    """
    xp, beta = array_module(x), finite("smooth_l1_loss", "beta", beta)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta={beta} is below 0")
    if beta == 0:
        return of_difference("smooth_l1_loss", x, target, reduction, xp.abs, xp.sign)

    def loss(d):
        near = xp.clip(d, -beta, beta)
        return near * (d - 0.5 * near) / beta                            # near = d, or beta with the sign of d
    return of_difference("smooth_l1_loss", x, target, reduction, loss, lambda d: xp.clip(d, -beta, beta) / beta)


def of_difference(name, x, target, reduction, loss, slope):
    """A loss that is a function of d = x - target, elementwise, then reduced; `slope` is that function's derivative."""
    check_reduction(name, reduction)
    check_same_shape(name, x, target)
    difference = x - target

    def backward(grad):
        dx = slope(difference) * (grad / max(1, x.size) if reduction == "mean" else grad)
        return dx, (lambda: -dx)
    return reduced(loss(difference), reduction), backward


@op
def binary_cross_entropy_with_logits(x, target, weight=None, pos_weight=None, /, *, reduction="mean"):
    """-weight * (pos_weight * t * log(p) + (1 - t) * log(1 - p)) with p = sigmoid(x), elementwise, then reduced.

    target (the shape of x) from 0 to 1; weight and pos_weight broadcast against it. Exact for any x, because
    -log(1 - p) = max(x, 0) + log(1 + exp(-|x|)) and -log(p) is that minus x.
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    check_same_shape(name, x, target)
    xp = array_module(x)
    target = target.astype(x.dtype, copy=False)
    if not ((target >= 0) & (target <= 1)).all():
        raise ValueError(f"{name}: targets must lie between 0 and 1; found {target.min()} to {target.max()}")
    weight = 1.0 if weight is None else weight
    positive = target if pos_weight is None else target * pos_weight
    softplus = xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))            # -log(1 - p)
    loss = weight * ((softplus - x) * positive + softplus * (1 - target))

    def backward(grad):
        p = backend(x).activation("sigmoid", x)
        scale = grad / max(1, x.size) if reduction == "mean" else grad
        return (
            lambda: scale * weight * (p * (positive + 1 - target) - positive),
            None, None, None,
        )
    return reduced(loss, reduction), backward


def reduced(loss, reduction):
    """The losses of all elements as `reduction` wants them."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def check_reduction(name, reduction):
    """Raise ValueError unless `reduction` is one of PyTorch's three."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction={reduction!r} is none of {', '.join(REDUCTIONS)}")


def check_same_shape(name, x, target):
    """Raise ValueError unless x and its target agree in shape."""
    if x.shape != target.shape:
        raise ValueError(f"{name}: the input {x.shape} and the target {target.shape} must have one shape")


def check_scores(name, x):
    """Raise unless x is (N, C, ...) with something in it, and holds floats."""
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name}: the input must be (N, C) or (N, C, ...), none of them 0, not {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: the input must hold floats, not {x.dtype}; convert with .astype(numpy.float32)")


def class_weights(name, weight, scores):
    """How much each class counts, (C,): all 1 if `weight` is None. Raises if it does not fit the scores."""
    if weight is None:
        return array_module(scores).ones(scores.shape[1], dtype=scores.dtype)
    if weight.shape != scores.shape[1:2]:
        raise ValueError(f"{name}: weight {weight.shape} must be ({scores.shape[1]},), one number per class")
    if weight.dtype != scores.dtype:
        raise TypeError(f"{name}: weight holds {weight.dtype} and the logits {scores.dtype}; convert with .astype")
    return weight


def check_target(name, shape, target, ignore_index):
    """Raise unless `target` holds whole class numbers that fit scores of `shape` (N, C, ...)."""
    if not hasattr(target, "dtype") or target.dtype.kind not in "iu":
        kind = getattr(target, "dtype", type(target).__name__)
        raise TypeError(f"{name}: the target must hold class numbers (integers), not {kind}")
    if target.shape != shape[:1] + shape[2:]:
        raise ValueError(f"{name}: the target {target.shape} does not fit the input {shape}; "
                         f"it must be {shape[:1] + shape[2:]}")
    if target.min() >= 0 and target.max() < shape[1]:                    # as a rule; the rest takes longer to tell
        return
    wrong = (target != ignore_index) & ((target < 0) | (target >= shape[1]))
    if wrong.any():
        raise ValueError(f"{name}: the target holds {int(target[wrong][0])}; classes are numbered 0 to {shape[1] - 1}"
                         + (f" and {ignore_index} is ignored" if ignore_index < 0 else ""))
