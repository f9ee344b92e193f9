"""Losses: one number that measures how wrong the output is.

Names, settings and defaults are PyTorch's. `reduction` is "mean", "sum" or "none", which returns all losses.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minidl import faults
from minidl.capture import each_time
from minidl.device import array_module
from minidl.functional.activation import log_softmax
from minidl.functional.checks import (
    Reduction,
    check_classes,
    check_constant,
    check_indices,
    check_reduction,
    check_same_shape,
    check_scores,
    check_target,
    fraction,
    not_negative,
    placed,
)
from minidl.functional.elementwise import add, mul, neg, where
from minidl.functional.promotion import floating, promoted
from minidl.functional.reduction import mean, sum, sum_of
from minidl.kernels import backend, plain
from minidl.scalars import whole
from minidl.tensor import Operand, Tensor, as_array, op


@placed
def cross_entropy(logits: Operand, target: Operand, /, weight: Operand = None, *, ignore_index: int = -100,
                  reduction: Reduction = "mean", label_smoothing: float = 0.0) -> Tensor:
    """-log softmax(logits)[target]: the negative log-likelihood of the true class.

    logits (N, C) or (N, C, ...), target integers (N,) or (N, ...) from 0 to C - 1  ->  () or the target's shape
    The target may also be probabilities of the classes, floats of the shape of the logits, as MixUp gives; then it is
    -sum over c of target[c] * log softmax(logits)[c], and the mean divides by the number of targets.
    weight           (C,), one factor per class; the mean divides by the sum of the factors of the targets
    ignore_index     targets of this value contribute nothing, whatever their logits are; nor do classes of weight 0
    label_smoothing  s: the target distribution is 1 - s for the true class plus s / C for every class
                     (Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7)
    """
    check_constant("cross_entropy", weight=weight)
    if getattr(getattr(target, "dtype", None), "kind", "") == "f" and target.shape == logits.shape:
        return of_probabilities(logits, target, weight, reduction, label_smoothing)
    return _cross_entropy(logits, target, weight, ignore_index=ignore_index, reduction=reduction,
                          label_smoothing=label_smoothing)


@op
def _cross_entropy(logits, target, weight, /, *, ignore_index, reduction, label_smoothing):
    """The kernel computes the losses together with their derivatives, which backward multiplies by its gradient."""
    name = "cross_entropy"
    ignore_index = whole(name, "ignore_index", ignore_index, -math.inf)
    smoothing = fraction(name, "label_smoothing", label_smoothing)
    check_scores(name, logits)
    kernels = backend(logits)
    check_indices(name, logits.shape, target)
    if kernels is plain or isinstance(target, np.ndarray):               # a GPU's kernel checks the classes itself
        check = partial(check_classes, name, logits.shape[1], target, ignore_index)
        each_time(check) if isinstance(target, np.ndarray) else check()
    check_reduction(name, reduction)
    weight = class_weights(name, weight, logits)
    losses, total, dlogits = kernels.cross_entropy(logits, target, weight, ignore_index, smoothing, reduction == "mean")

    def backward(grad):
        if reduction == "none":
            grad = array_module(grad).where(target != ignore_index, grad, 0)[:, None]
        return dlogits * grad
    if reduction == "none":
        return losses, backward
    return sum_of(losses, 1 if reduction == "sum" else total), backward


def of_probabilities(logits: Operand, target: Operand, weight: Operand, reduction: Reduction,
                     label_smoothing: float) -> Tensor:
    """The cross entropy of probabilities, composed of other functions, so the target has a gradient too."""
    name = "cross_entropy"
    check_scores(name, logits)
    check_reduction(name, reduction)
    smoothing, classes = fraction(name, "label_smoothing", label_smoothing), logits.shape[1]
    factors = as_array(class_weights(name, weight, as_array(logits))).reshape(-1, *(1,) * (logits.ndim - 2))
    shares = mul(add(mul(target, 1 - smoothing), smoothing / classes), factors)
    logp = log_softmax(logits, axis=1)
    pointless = (as_array(shares) == 0) & ~array_module(logp.data).isfinite(logp.data)      # 0 * -inf counts as 0
    losses = neg(sum(mul(shares, where(pointless, 0.0, logp)), axis=1))
    return losses if reduction == "none" else sum(losses) if reduction == "sum" else mean(losses)


def nll_loss(log_probabilities: Operand, target: Operand, /, weight: Operand = None, *, ignore_index: int = -100,
             reduction: Reduction = "mean") -> Tensor:
    """-log_probabilities[target]. cross_entropy is log_softmax followed by this loss, and has the same settings."""
    check_constant("nll_loss", weight=weight)
    return _nll_loss(log_probabilities, target, weight, ignore_index=ignore_index, reduction=reduction)


@op
def _nll_loss(logp, target, weight, /, *, ignore_index, reduction):
    """-w[t] * logp[t] for class weights w and a target t, or 0 where w[t] is 0; the mean divides by the sum of w[t].

    logp (N, C, ...), target (N, ...)
    """
    name, xp, shape = "nll_loss", array_module(logp), logp.shape
    ignore_index = whole(name, "ignore_index", ignore_index, -math.inf)
    check_scores(name, logp)
    check_target(name, shape, target, ignore_index)
    check_reduction(name, reduction)
    n, length = shape[0], math.prod(shape[2:])
    counted = target != ignore_index
    target = xp.where(counted, target, 0)
    places = xp.arange(n)[:, None], target.reshape(n, length), xp.arange(length)      # indices into (N, C, length)
    picked = xp.where(counted, class_weights(name, weight, logp)[target], 0)         # w[t], 0 where ignored
    at_target = logp.reshape(n, shape[1], length)[places].reshape(target.shape)
    loss, total = -picked * xp.where(picked != 0, at_target, 0), sum_of(picked)

    def backward(grad):
        if reduction == "mean":
            grad = grad / xp.where(total == 0, 1, total)             # all ignored: no gradient, as in PyTorch
        dlogp = xp.zeros((n, shape[1], length), dtype=logp.dtype)
        dlogp[places] = (xp.where(picked != 0, -grad, 0) * picked).reshape(n, length)
        return dlogp.reshape(shape)
    if reduction == "none":
        return loss, backward
    return sum_of(loss, 1 if reduction == "sum" else total), backward


@op
def mse_loss(x: Operand, target: Operand, /, *, reduction: Reduction = "mean"):
    """(x - target)**2, elementwise, then reduced; both have the same shape."""
    return difference_loss("mse_loss", x, target, reduction, lambda d: d * d, lambda d: 2 * d)


@op
def l1_loss(x: Operand, target: Operand, /, *, reduction: Reduction = "mean"):
    """|x - target|, elementwise, then reduced; both have the same shape. Where they are equal, the gradient is 0."""
    xp = array_module(x)
    return difference_loss("l1_loss", x, target, reduction, xp.abs, xp.sign)


@op
def smooth_l1_loss(x: Operand, target: Operand, /, *, reduction: Reduction = "mean", beta: float = 1.0):
    """d**2 / (2 * beta) where |d| < beta, otherwise |d| - beta / 2, with d = x - target, then reduced; one shape.

    Girshick, "Fast R-CNN", ICCV 2015, equation 3. beta=0 is l1_loss.
    """
    xp, beta = array_module(x), not_negative("smooth_l1_loss", "beta", beta)
    if beta == 0:
        return difference_loss("smooth_l1_loss", x, target, reduction, xp.abs, xp.sign)

    def loss(d):
        near = xp.clip(d, -beta, beta)
        return near * (d - 0.5 * near) / beta                            # near = d, or beta with the sign of d
    return difference_loss("smooth_l1_loss", x, target, reduction, loss, lambda d: xp.clip(d, -beta, beta) / beta)


def difference_loss(name: str, x: Any, target: Any, reduction: str, loss: Callable[[Any], Any],
                    derivative: Callable[[Any], Any]) -> Any:
    """A loss that is an elementwise function of d = x - target, then reduced, and its backward."""
    check_elements(name, x, target, reduction)
    x, target = map(floating, promoted(x, target))
    difference = x - target

    def backward(grad):
        dx = derivative(difference) * (grad / max(1, x.size) if reduction == "mean" else grad)
        return dx, (lambda: -dx)
    return reduced(loss(difference), reduction), backward


def binary_cross_entropy_with_logits(x: Operand, target: Operand, /, weight: Operand = None,
                                     pos_weight: Operand = None, *, reduction: Reduction = "mean") -> Tensor:
    """-weight * (pos_weight * t * log(p) + (1 - t) * log(1 - p)) with p = sigmoid(x), elementwise, then reduced.

    target from 0 to 1, of the shape of x; weight and pos_weight broadcast against it. Terms with a factor of 0 are 0,
    whatever x is. Accurate for any x, because -log(1 - p) = max(x, 0) + log(1 + exp(-|x|)), and -log(p) is that of -x.
    """
    check_constant("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    return _binary_cross_entropy_with_logits(x, target, weight, pos_weight, reduction=reduction)


@op
def _binary_cross_entropy_with_logits(x, target, weight, pos_weight, /, *, reduction):
    """With n = -log(1 - p) and m = -log(p):  dL/dx = weight * (p * (pos_weight * t + 1 - t) - pos_weight * t)
    and  dL/dt = weight * (pos_weight * m - n)
    """
    name = "binary_cross_entropy_with_logits"
    check_elements(name, x, target, reduction)
    x = floating(x)
    kernels, xp = backend(x), array_module(x)
    target = target.astype(x.dtype, copy=False)
    inside = (target >= 0) & (target <= 1)
    if not isinstance(target, np.ndarray):
        faults.note(~inside, target, f"{name}: targets must be between 0 and 1; found {{:g}}")
    elif not inside.all():
        raise ValueError(f"{name}: targets must be between 0 and 1; found {target.min()} to {target.max()}")
    weight, pos_weight = (None if w is None else xp.asarray(w, dtype=x.dtype) for w in (weight, pos_weight))
    rest = xp.log1p(xp.exp(-xp.abs(x)))
    if_positive, if_negative = xp.maximum(-x, 0) + rest, xp.maximum(x, 0) + rest            # -log(p), -log(1 - p)

    def product(factor, value):
        return value if factor is None else factor * xp.where(factor != 0, value, 0)
    positive, negative = target if pos_weight is None else product(target, pos_weight), 1 - target
    loss = product(weight, product(positive, if_positive) + product(negative, if_negative))

    def backward(grad):
        p = kernels.activation("sigmoid", x)
        scale = grad / max(1, x.size) if reduction == "mean" else grad
        return (
            lambda: product(weight, scale * (p * (positive + negative) - positive)),
            lambda: product(weight, scale * (product(pos_weight, if_positive) - if_negative)),
        )
    return reduced(loss, reduction), backward


def reduced(loss: Any, reduction: str) -> Any:
    """The elementwise losses after `reduction`."""
    if reduction == "none":
        return loss
    return sum_of(loss, loss.size if reduction == "mean" else 1)


def check_elements(name: str, x: Any, target: Any, reduction: str) -> None:
    """The checks of a loss that compares x with a target element by element."""
    check_reduction(name, reduction)
    check_same_shape(name, x, target)
    if x.size == 0 and reduction == "mean":
        raise ValueError(f"{name}: no elements to average (shape {x.shape})")


def class_weights(name: str, weight: Any, scores: Any) -> Any:
    """One factor per class, (C,): `weight` after checking that it fits the scores, or ones if it is None."""
    if weight is None:
        return array_module(scores).ones(scores.shape[1], dtype=scores.dtype)
    if weight.shape != scores.shape[1:2]:
        raise ValueError(f"{name}: weight {weight.shape} must be ({scores.shape[1]},), one element per class")
    if weight.dtype != scores.dtype:
        raise TypeError(f"{name}: weight has dtype {weight.dtype} and the logits {scores.dtype}; "
                        "convert one with .astype")
    return weight
