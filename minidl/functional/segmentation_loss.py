"""Losses for images of which every pixel has a class, most of them the same one: Dice and focal loss.

Both take logits (N, C, ...) and whole numbers (N, ...), as cross_entropy does. One channel, C = 1, stands for two
classes: the logit says how much speaks for class 1 and against class 0.
"""

from minidl.device import array_module
from minidl.functional.activation import finite, sigmoid, softmax
from minidl.functional.loss import check_reduction, check_scores, check_target, cross_entropy, reduced
from minidl.functional.shape import cat
from minidl.tensor import as_array, op


def dice_loss(logits, target, /, *, smooth=1.0, ignore_index=-100, reduction="mean"):
    """1 - D for each image and class, where D = (2 * sum(p * g) + smooth) / (sum(p**2) + sum(g**2) + smooth).

    logits (N, C, ...), target whole numbers (N, ...)  ->  () or, for reduction="none", (N, C)
    p             softmax(logits) over the classes; the sigmoid if C is 1, and then D is that of class 1 alone
    g             1 where the target is the class, else 0; the sums run over the pixels of an image
    smooth        keeps the ratio defined, and calm, where a class is absent; the paper has 0
    ignore_index  pixels of this target count nowhere
    Milletari et al., "V-Net", 3DV 2016, section 3.
    """
    check_scores("dice_loss", logits)
    p = sigmoid(logits) if logits.shape[1] == 1 else softmax(logits, 1)
    return _dice_loss(p, target, smooth=smooth, ignore_index=ignore_index, reduction=reduction)


@op
def _dice_loss(p, target, /, *, smooth, ignore_index, reduction):
    """The same of probabilities.   dD/dp = 2 * (g - p * D) / (sum(p**2) + sum(g**2) + smooth)"""
    xp, classes, pixels = array_module(p), p.shape[1], tuple(range(2, p.ndim))
    check_reduction("dice_loss", reduction)
    check_target("dice_loss", (len(p), max(2, classes), *p.shape[2:]), target, ignore_index)
    smooth = finite("dice_loss", "smooth", smooth)
    if smooth < 0:
        raise ValueError(f"dice_loss: smooth={smooth} is below 0")
    numbers = xp.arange(classes) if classes > 1 else xp.ones(1, dtype=xp.int64)
    counted = (target != ignore_index)[:, None]
    g = (target[:, None] == numbers.reshape(-1, *(1,) * len(pixels))) & counted
    p = p * counted
    size = (p * p).sum(pixels, keepdims=True) + g.sum(pixels, keepdims=True, dtype=p.dtype) + smooth
    similarity = (2 * (p * g).sum(pixels, keepdims=True) + smooth) / size
    loss = 1 - similarity.reshape(len(p), classes)

    def backward(grad):
        grad = grad / loss.size if reduction == "mean" else grad
        grad = xp.broadcast_to(grad, loss.shape).reshape(size.shape)
        return (p * similarity - g) * (2 * grad / size)
    return reduced(loss, reduction), backward


def focal_loss(logits, target, /, weight=None, *, gamma=2.0, ignore_index=-100, reduction="mean"):
    """-weight[t] * (1 - p)**gamma * log(p) for each pixel, where p = softmax(logits)[t] and t is its target.

    logits (N, C, ...), target whole numbers (N, ...)  ->  () or the target's shape
    weight        (C,), or (2,) if C is 1: how much each class counts; alpha of the paper is weight = (1 - alpha, alpha)
    gamma         how little counts what is right already; 0 is cross_entropy
    ignore_index  pixels of this target count nothing; the mean divides by the number of the others
    Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 5.
    """
    check_scores("focal_loss", logits)
    check_reduction("focal_loss", reduction)
    gamma = finite("focal_loss", "gamma", gamma)
    if gamma < 0:
        raise ValueError(f"focal_loss: gamma={gamma} is below 0")
    if logits.shape[1] == 1:                                 # softmax((0, z)) = (1 - sigmoid(z), sigmoid(z))
        logits = cat([array_module(as_array(logits)).zeros_like(as_array(logits)), logits], 1)
    target = as_array(target)
    check_target("focal_loss", logits.shape, target, ignore_index)
    surprise = cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
    counted = target != ignore_index
    share = counted.astype(surprise.dtype)
    if weight is not None:
        weight = as_array(weight)
        if weight.shape != logits.shape[1:2] or weight.dtype != logits.dtype:
            raise ValueError(f"focal_loss: weight {weight.shape} of {weight.dtype} must be ({logits.shape[1]},) of "
                             f"{logits.dtype}, one number per class")
        share = share * weight[target * counted]
    return _focal_loss(surprise, share, count=int(counted.sum()), gamma=gamma, reduction=reduction)


@op
def _focal_loss(surprise, share, /, *, count, gamma, reduction):
    """share * (1 - exp(-s))**gamma * s of the cross entropy s = -log(p) of each pixel; the mean divides by `count`."""
    xp = array_module(surprise)
    miss = xp.maximum(-xp.expm1(-surprise), 0)                           # 1 - p
    factor = share * miss**gamma

    def backward(grad):
        grad = grad / max(1, count) if reduction == "mean" else grad
        return grad * factor * (1 + gamma * (1 - miss) * surprise / xp.maximum(miss, 1e-30))
    loss = factor * surprise
    if reduction == "none":
        return loss, backward
    return loss.sum() / count if reduction == "mean" else loss.sum(), backward
