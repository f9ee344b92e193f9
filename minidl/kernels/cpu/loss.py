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
from minidl.kernels.cpu.exponential import exp, log
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
    pixels = math.prod(inside)
    memory = logits.transpose(0, *range(2, logits.ndim), 1)          # all scores of a target side by side
    shape, strides = (1, n * pixels, c), (0, c, 1)
    planes = logits.flags.c_contiguous and not memory.flags.c_contiguous
    if planes:                                                       # all scores of a class
        memory, shape, strides = logits, (n, pixels, c), (pixels * c, 1, pixels)
    memory = np.ascontiguousarray(memory)
    gradient, losses = empty(memory.shape, memory.dtype), empty(target.shape, logits.dtype)
    total = cross_entropy_all(
        memory.reshape(-1), strides, shape, target.reshape(-1).astype(np.int64, copy=False),
        np.ascontiguousarray(weight), ignore_index, smoothing, mean, losses.reshape(-1), gradient.reshape(-1))
    if not planes:
        gradient = gradient.transpose(0, -1, *range(1, logits.ndim - 1))
    return losses, total, gradient


@kernel
def cross_entropy_all(threads, logits, strides, shape, target, weight, ignore_index, smoothing, mean, losses, gradient):
    """Fill losses and gradient, and return the total weight. Strides and shape are of images, pixels and classes."""
    images, pixels, _ = shape
    blocks = images * ((pixels + LANES - 1) // LANES)
    totals = np.zeros(PARTS)
    if len(logits) <= FEW:
        totals[0] = weigh(target, weight, ignore_index)
    else:
        for part in prange(PARTS):
            some = target[part * len(target) // PARTS:(part + 1) * len(target) // PARTS]
            totals[part] = weigh(some, weight, ignore_index)
    total = 0.0
    for part in range(PARTS):                              # .sum() would be dealt out to the threads
        total += totals[part]
    scale = 1.0
    if mean:
        scale = 0.0 if total == 0 else 1 / total
    if len(logits) <= FEW:
        some_blocks(0, blocks, logits, strides, shape, target, weight, ignore_index, smoothing, scale, losses, gradient)
    else:
        for part in prange(PARTS):
            some_blocks(part * blocks // PARTS, (part + 1) * blocks // PARTS, logits, strides, shape, target, weight,
                        ignore_index, smoothing, scale, losses, gradient)
    return total


@inner
def weigh(target, weight, ignore_index):
    """The sum of the weights of the targets that count."""
    total = 0.0
    for t in target:
        if t != ignore_index:
            total += weight[t]
    return total


@inner
def some_blocks(first, last, logits, strides, shape, target, weight, ignore_index, smoothing, scale, losses, gradient):
    """The blocks from `first` up to `last`, counted through all images.

    A block is LANES targets. Where there are fewer, the lanes left over compute the last one again.
    """
    over_images, over_pixels, over_classes = strides
    _, pixels, classes = shape
    blocks = (pixels + LANES - 1) // LANES
    real = logits.dtype.type
    zero, one, lowest, kept, scale = real(0), real(1), real(-np.inf), real(1 - smoothing), real(scale)
    even, all_weights = real(smoothing / classes), weight.sum()
    powers = np.empty((classes, LANES), logits.dtype)
    largest, sums, spread, counted, right, score, loss, of_softmax = np.empty((8, LANES), logits.dtype)
    places, labels = np.empty((2, LANES), np.int64)
    for block in range(first, last):
        image, pixel = block // blocks, block % blocks * LANES
        count, begin = min(LANES, pixels - pixel), image * pixels + pixel
        for r in range(LANES):
            places[r] = image * over_images + (pixel + min(r, count - 1)) * over_pixels
            largest[r], sums[r], spread[r] = lowest, zero, zero
        for c in range(classes):
            for r in range(LANES):
                z = logits[places[r] + c * over_classes]
                powers[c, r] = z
                largest[r] = z if z > largest[r] else largest[r]
        for r in range(LANES):
            t = target[begin + min(r, count - 1)]
            counted[r] = zero if t == ignore_index else one
            labels[r] = 0 if t == ignore_index else t
            right[r] = counted[r] * kept * weight[labels[r]]
            score[r] = powers[labels[r], r]
        for c in range(classes):
            w = weight[c]
            for r in range(LANES):
                z = powers[c, r] - largest[r]
                power = exp(z)
                powers[c, r] = power
                sums[r] += power
                spread[r] += w * z
        for r in range(LANES):
            log_sum = log(sums[r])
            some = right[r] * (log_sum - (score[r] - largest[r]))
            some += even * (all_weights * log_sum - spread[r]) if smoothing > 0 else zero
            loss[r] = some if counted[r] > zero else zero
            of_softmax[r] = scale * (right[r] + counted[r] * even * all_weights) / sums[r]
            counted[r] *= scale * even
        for c in range(classes):
            w = weight[c]
            for r in range(LANES):
                powers[c, r] = powers[c, r] * of_softmax[r] - w * counted[r]
        for r in range(count):
            losses[begin + r] = loss[r]
            powers[labels[r], r] -= scale * right[r]
        for c in range(classes):
            for r in range(count):
                gradient[places[r] + c * over_classes] = powers[c, r]
