"""Losses for segmentation with unbalanced classes: Dice and focal loss.

Both take logits (N, C, ...) and integer targets (N, ...), as cross_entropy does. One channel, C = 1, means two classes:
the logit is that of class 1 against class 0.
"""

import math
from functools import partial

import numpy as np

from minidl.device import array_module
from minidl.functional.activation import sigmoid, softmax
from minidl.functional.checks import (
    Reduction,
    check_array,
    check_constant,
    check_reduction,
    check_scores,
    check_target,
    not_negative,
    placed,
)
from minidl.functional.elementwise import where
from minidl.functional.loss import cross_entropy, reduced
from minidl.functional.reduction import sum_of
from minidl.functional.shape import cat
from minidl.kernels import backend
from minidl.scalars import whole
from minidl.tensor import Operand, Tensor, as_array, op


@placed
def dice_loss(logits: Operand, target: Operand, /, *, smooth: float = 1.0, ignore_index: int = -100,
              reduction: Reduction = "mean") -> Tensor:
    """1 - D for each image and class, where D = (2 * sum(p * g) + smooth) / (sum(p**2) + sum(g**2) + smooth).

    logits (N, C, ...), target integers (N, ...)  ->  () or, for reduction="none", (N, C)
    p             softmax(logits) over the classes; if C is 1, sigmoid(logits), and D is computed for class 1 only
    g             1 where the target is the class, otherwise 0; the sums run over the pixels of an image
    smooth        keeps the ratio defined and well-behaved if a class is absent; 0 in the paper
    ignore_index  pixels with this target are excluded from all sums
    Milletari et al., "V-Net", 3DV 2016, section 3.
    """
    name = "dice_loss"
    check_array(name, logits)
    check_scores(name, logits)
    target, ignore_index = as_array(target), whole(name, "ignore_index", ignore_index, -math.inf)
    check_target(name, (len(logits), max(2, logits.shape[1]), *logits.shape[2:]), target, ignore_index)
    ignored = target == ignore_index
    if not isinstance(ignored, np.ndarray) or ignored.any():         # a GPU is not waited for
        logits = where(ignored[:, None], 0.0, logits)                # nothing of these pixels reaches a gradient
    p = sigmoid(logits) if logits.shape[1] == 1 else softmax(logits, 1)
    return _dice_loss(p, target, smooth=smooth, ignore_index=ignore_index, reduction=reduction)


@op
def _dice_loss(p, target, /, *, smooth, ignore_index, reduction):
    """The Dice loss of probabilities.   dD/dp = 2 * (g - p * D) / (sum(p**2) + sum(g**2) + smooth)"""
    xp, classes, pixels = array_module(p), p.shape[1], tuple(range(2, p.ndim))
    check_reduction("dice_loss", reduction)
    smooth = not_negative("dice_loss", "smooth", smooth)
    indices = xp.arange(classes) if classes > 1 else xp.ones(1, dtype=xp.int64)
    counted = (target != ignore_index)[:, None]
    g = (target[:, None] == indices.reshape(-1, *(1,) * len(pixels))) & counted
    p, sums = xp.where(counted, p, 0), partial(backend(p).axis_sums, axes=pixels)
    size = (sums(p * p) + g.sum(pixels, keepdims=True) + smooth).astype(p.dtype)
    similarity = ((2 * sums(xp.where(g, p, 0)) + smooth) / size).astype(p.dtype)
    loss = 1 - similarity.reshape(len(p), classes)

    def backward(grad):
        grad = grad / loss.size if reduction == "mean" else grad
        grad = xp.broadcast_to(grad, loss.shape).reshape(size.shape)
        return (p * similarity - g) * (2 * grad / size)
    return reduced(loss, reduction), backward


@placed
def focal_loss(logits: Operand, target: Operand, /, weight: Operand = None, *, gamma: float = 2.0,
               ignore_index: int = -100, reduction: Reduction = "mean") -> Tensor:
    """-weight[t] * (1 - p)**gamma * log(p) for each pixel, where t is its target and p = softmax(logits)[t].

    logits (N, C, ...), target integers (N, ...)  ->  () or the target's shape
    weight        (C,), or (2,) if C is 1, one factor per class; the paper's alpha is weight = (1 - alpha, alpha)
    gamma         how strongly pixels that are already classified well are down-weighted; 0 is cross_entropy
    ignore_index  pixels with this target contribute nothing; the mean divides by the number of other pixels
    Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 5.
    """
    check_scores("focal_loss", logits)
    check_reduction("focal_loss", reduction)
    check_constant("focal_loss", weight=weight)
    gamma = not_negative("focal_loss", "gamma", gamma)
    ignore_index = whole("focal_loss", "ignore_index", ignore_index, -math.inf)
    if logits.shape[1] == 1:                                 # softmax((0, z)) = (1 - sigmoid(z), sigmoid(z))
        logits = cat([array_module(as_array(logits)).zeros_like(as_array(logits)), logits], 1)
    target = as_array(target)
    check_target("focal_loss", logits.shape, target, ignore_index)
    counted = target != ignore_index
    scale, count = counted.astype(logits.dtype), counted.sum()
    count = int(count) if isinstance(target, np.ndarray) else count.astype(logits.dtype)         # without waiting
    if weight is not None:
        weight, xp = as_array(weight), array_module(target)
        if weight.shape != logits.shape[1:2] or weight.dtype != logits.dtype:
            raise ValueError(f"focal_loss: weight {weight.shape} of {weight.dtype} must be ({logits.shape[1]},) of "
                             f"{logits.dtype}, one element per class")
        scale = xp.where(counted, weight[xp.where(counted, target, 0)], 0)
        target = xp.where(scale != 0, target, ignore_index)
    nll = cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
    return _focal_loss(nll, scale, count=count, gamma=gamma, reduction=reduction)


@op
def _focal_loss(nll, scale, /, *, count, gamma, reduction):
    """scale * (1 - exp(-nll))**gamma * nll, with the cross entropy nll of each pixel; the mean divides by `count`."""
    xp = array_module(nll)
    miss = xp.maximum(-xp.expm1(-nll), 0)                           # 1 - p
    factor = scale * miss**gamma

    def backward(grad):
        if reduction == "mean":
            grad = grad / (max(1, count) if isinstance(count, int) else xp.maximum(count, 1))
        rest = (1 - miss) * xp.where(miss < 1, nll, 0)                  # p * nll, which is 0 for p = 0
        return xp.where(scale != 0, grad, 0) * factor * (1 + gamma * rest / xp.maximum(miss, 1e-30))
    loss = factor * nll
    if reduction == "none":
        return loss, backward
    return sum_of(loss, count if reduction == "mean" else 1), backward
