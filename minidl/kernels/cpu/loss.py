"""Softmax and cross entropy together: one pass over the scores gives the losses and the gradient.

For a target t with softmax p, class weights w and smoothing s,

    loss = -(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c]
    gradient[c] = p[c] * ((1 - s) * w[t] + s / C * sum(w)) - s / C * w[c] - (1 - s) * w[t] where c = t

Sums over classes are vector code because LANES targets are worked on side by side, whatever the number of classes.
"""

import math

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.exponential import exp
from minidl.kernels.cpu.layout import channels_last
from minidl.kernels.cpu.memory import empty

LANES = 16         # targets side by side
PARTS = 32         # into which the blocks of LANES targets are dealt, for the threads to take
FEW = 4096         # so many scores one thread has done before the others are under way


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    """-(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c] for each target t, with p = softmax(logits).

    logits (N, C, ...), target (N, ...) all of them legal, weight (C,), s = smoothing, mean: whether to divide by total
    ->  losses (N, ...), total = the sum of w[t], gradient (N, C, ...) of sum(losses) or of sum(losses) / total
    Targets that are ignore_index count nothing; without any others the gradient is 0.
    """
    n, c, *inside = logits.shape
    shape = (n, math.prod(inside), c)
    if logits.ndim > 2 and logits.flags.c_contiguous:                # planes: one class's scores side by side
        memory, strides = logits.reshape(-1), (shape[1] * c, 1, shape[1])
        gradient = empty(logits.shape, logits.dtype)
        flat = gradient.reshape(-1)
    else:
        rows = np.moveaxis(logits, 1, -1)
        rows = rows if rows.flags.c_contiguous else rows.copy()
        memory, strides, shape = rows.reshape(-1), (0, c, 1), (1, n * shape[1], c)
        gradient = empty(rows.shape, rows.dtype)
        flat = gradient.reshape(-1)
        gradient = np.moveaxis(gradient, -1, 1)
    losses = empty(target.shape, logits.dtype)
    total = cross_entropy_all(memory, strides, shape, target.reshape(-1).astype(np.int64), weight, ignore_index,
                              smoothing, mean, losses.reshape(-1), flat)
    return losses, total, gradient


@kernel
def cross_entropy_all(threads, logits, strides, shape, target, weight, ignore_index, smoothing, mean, losses, gradient):
    """Fill losses and gradient, and return the total weight. Strides and shape are of images, pixels and classes."""
    images, pixels, _ = shape
    blocks = (pixels + LANES - 1) // LANES
    total = 0.0
    for t in target:
        if t != ignore_index:
            total += weight[t]
    scale = 1.0
    if mean:
        scale = 0.0 if total == 0 else 1 / total
    if len(logits) <= FEW:
        some_blocks(0, images * blocks, logits, strides, shape, target, weight, ignore_index, smoothing, scale, losses,
                    gradient)
    else:
        for part in prange(PARTS):
            some_blocks(part * images * blocks // PARTS, (part + 1) * images * blocks // PARTS, logits, strides, shape,
                        target, weight, ignore_index, smoothing, scale, losses, gradient)
    return total


@inner
def some_blocks(first, last, logits, strides, shape, target, weight, ignore_index, smoothing, scale, losses, gradient):
    """The blocks from `first` up to `last`, counted through all images."""
    over_images, over_pixels, over_classes = strides
    _, pixels, classes = shape
    blocks = (pixels + LANES - 1) // LANES
    powers = np.empty((classes, LANES), logits.dtype)
    for block in range(first, last):
        image, pixel = block // blocks, block % blocks * LANES
        count = min(LANES, pixels - pixel)
        start = image * over_images + pixel * over_pixels
        one_block(logits[start:], over_pixels, over_classes, count, target[image * pixels + pixel:], weight,
                  ignore_index, smoothing, scale, powers, losses[image * pixels + pixel:], gradient[start:])


@inner
def one_block(logits, over_pixels, over_classes, count, target, weight, ignore_index, smoothing, scale, powers, losses,
              gradient):
    """Up to LANES targets; where there are fewer, the last one is computed again in the lanes left over."""
    real = logits.dtype.type
    classes = len(powers)
    largest, total, spread = np.empty(LANES, logits.dtype), np.empty(LANES, logits.dtype), np.empty(LANES, logits.dtype)
    largest[:], total[:], spread[:] = -np.inf, 0, 0
    for c in range(classes):
        for r in range(LANES):
            z = logits[min(r, count - 1) * over_pixels + c * over_classes]
            powers[c, r] = z
            largest[r] = z if z > largest[r] else largest[r]
    for c in range(classes):
        w = weight[c]
        for r in range(LANES):
            z = powers[c, r] - largest[r]
            power = exp(z)
            powers[c, r] = power
            total[r] += power
            spread[r] += w * z
    even = smoothing / classes
    of_softmax, of_even = np.zeros(LANES, logits.dtype), np.zeros(LANES, logits.dtype)
    all_weights = weight.sum()
    for r in range(count):
        t = target[r]
        losses[r] = 0
        if t != ignore_index:
            right, log_total = (1 - smoothing) * weight[t], math.log(total[r])
            loss = right * (log_total - (logits[r * over_pixels + t * over_classes] - largest[r]))
            if smoothing > 0:
                loss += even * (all_weights * log_total - spread[r])
            losses[r] = loss
            of_softmax[r] = scale * (right + even * all_weights) / total[r]
            of_even[r] = scale * even
    for c in range(classes):
        w = weight[c]
        for r in range(LANES):
            powers[c, r] = powers[c, r] * of_softmax[r] - w * of_even[r]
        for r in range(count):
            gradient[r * over_pixels + c * over_classes] = powers[c, r]
    for r in range(count):
        t = target[r]
        if t != ignore_index:
            gradient[r * over_pixels + t * over_classes] -= real(scale * (1 - smoothing) * weight[t])
