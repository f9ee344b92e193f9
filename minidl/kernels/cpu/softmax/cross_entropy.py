"""Softmax and cross entropy together: one pass over the scores gives the losses and the gradient.

For a target t with softmax p, class weights w and smoothing s,

    loss = -(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c]
    gradient[c] = p[c] * ((1 - s) * w[t] + s / C * sum(w)) - s / C * w[c] - (1 - s) * w[t] where c = t

Targets are worked on side by side, as `lanes.py` tells; but where scores lie one target after another, one by one if
classes are many, since the first cache holds the scores of one, but not of many, or if scores are few: that is compiled
in a third of the time, which counts for more then.
"""

import numpy as np

from minidl.kernels.cpu.llvm.reduce_rows import largest_number, sum_distances, sum_weighted
from minidl.kernels.cpu.llvm.vector_math import exp, log
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share
from minidl.kernels.cpu.softmax.row_blocks import (
    LONG,
    are_long,
    bring,
    find_largest,
    lanes_for,
    larger,
    lines_along,
    place_of,
    take,
    to_powers,
)

PARTS = 32         # into which the blocks of targets are dealt, for the threads to take
FEW = 4096         # so many scores are one part: a thread has done them before the others are under way


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    """-(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c] for each target t, with p = softmax(logits).

    logits (N, C, ...), target (N, ...) all of them legal, weight (C,), s = smoothing, mean: whether to divide by total
    ->  losses (N, ...), total = the sum of w[t], gradient (N, C, ...) of sum(losses) or of sum(losses) / total
    Targets that are ignore_index count nothing; without any others the gradient is 0.
    """
    memory = logits.transpose(0, *range(2, logits.ndim), 1)          # all scores of a target side by side
    planes = logits.flags.c_contiguous and not memory.flags.c_contiguous
    memory = np.ascontiguousarray(logits if planes else memory)      # if planes, all scores of a class
    gradient, losses = empty(memory.shape, memory.dtype), empty(target.shape, logits.dtype)
    lines = lines_along(memory.shape, 1 if planes else memory.ndim - 1)
    fill = one_by_one if are_long(lines) or (lines[-1] == 1 and memory.size <= FEW) else side_by_side
    total = fill(memory.reshape(-1), lines, target.reshape(-1).astype(np.int64, copy=False),
                 np.ascontiguousarray(weight), ignore_index, smoothing, mean, losses.reshape(-1), gradient.reshape(-1))
    if not planes:
        gradient = gradient.transpose(0, -1, *range(1, logits.ndim - 1))
    return losses, total, gradient


@kernel
def side_by_side(thread, threads, logits, lines, target, weight, ignore_index, smoothing, mean, losses, gradient):
    """Fill losses and gradient, block by block of targets, and return the total weight."""
    groups, count, classes, _ = lines
    lanes = lanes_for(classes)
    blocks = groups * ((count + lanes - 1) // lanes)
    parts = PARTS if len(logits) > FEW else 1
    total, scale = weigh(target, weight, ignore_index, mean)
    for part in share(thread, threads, parts):
        some_blocks(part * blocks // parts, (part + 1) * blocks // parts, lanes, logits, lines, target, weight,
                    ignore_index, smoothing, scale, losses, gradient)
    return total


@kernel
def one_by_one(thread, threads, logits, lines, target, weight, ignore_index, smoothing, mean, losses, gradient):
    """The same, target by target; the scores of each lie side by side."""
    _, count, classes, _ = lines
    parts = PARTS if len(logits) > FEW else 1
    total, scale = weigh(target, weight, ignore_index, mean)
    for part in share(thread, threads, parts):
        some_targets(part * count // parts, (part + 1) * count // parts, logits, classes, target, weight, ignore_index,
                     smoothing, scale, losses, gradient)
    return total


@inner
def weigh(target, weight, ignore_index, mean):
    """The sum of the weights of the targets that count, and what their losses are multiplied by."""
    total = 0.0
    for t in target:
        if t != ignore_index:
            total += weight[t]
    if not mean:
        return total, 1.0
    return total, 0.0 if total == 0 else 1 / total


@inner
def some_blocks(first, last, lanes, logits, lines, target, weight, ignore_index, smoothing, scale, losses, gradient):
    """The blocks of targets from `first` up to `last`, counted through all groups.

    Each quantity of the lanes is an array of its own: of views of one array LLVM does not know that they lie apart, and
    makes no vector code.
    """
    _, _, classes, apart = lines
    real = logits.dtype.type
    zero, one, kept, scale = real(0), real(1), real(1 - smoothing), real(scale)
    even, all_weights = real(smoothing / classes), weight.sum()
    scores = np.zeros((classes, lanes), logits.dtype)
    largest, sums, spread = np.zeros(lanes, real), np.zeros(lanes, real), np.zeros(lanes, real)
    score, counted, right = np.zeros(lanes, real), np.zeros(lanes, real), np.zeros(lanes, real)
    labels = np.empty(lanes, np.int64)
    for block in range(first, last):
        start, begin, count = place_of(block, lanes, lines)
        bring(logits, start, apart, count, scores)
        find_largest(scores, largest)
        for r in range(count):
            t = target[begin + r]
            counted[r] = zero if t == ignore_index else one
            labels[r] = 0 if t == ignore_index else t
            right[r] = counted[r] * kept * weight[labels[r]]
            score[r] = scores[labels[r], r] - largest[r]
        spread[:] = 0
        if smoothing > 0:
            for c in range(classes):
                for r in range(lanes):
                    spread[r] += weight[c] * (scores[c, r] - largest[r])
        to_powers(scores, largest, sums)
        for r in range(count):
            log_sum = log(sums[r])
            loss = right[r] * (log_sum - score[r]) + even * (all_weights * log_sum - spread[r])
            losses[begin + r] = loss if counted[r] > zero else zero
        for r in range(lanes):
            sums[r] = scale * (right[r] + counted[r] * even * all_weights) / sums[r]
            counted[r] *= scale * even
        for c in range(classes):
            for r in range(lanes):
                scores[c, r] = scores[c, r] * sums[r] - weight[c] * counted[r]
        for r in range(count):
            scores[labels[r], r] -= scale * right[r]
        take(scores, count, gradient, start, apart)


@inner
def some_targets(first, last, logits, classes, target, weight, ignore_index, smoothing, scale, losses, gradient):
    """The targets from `first` up to `last`, one by one; the gradient is room for the powers meanwhile."""
    real, size = logits.dtype.type, logits.itemsize
    zero, one, kept, scale, even = real(0), real(1), real(1 - smoothing), real(scale), real(smoothing / classes)
    ones, weights = np.ones(classes, real), weight.ctypes.data
    for i in range(first, last):
        here = i * classes
        scores, powers = logits[here:here + classes], gradient[here:here + classes]
        if classes >= LONG:
            top = largest_number(logits, logits.ctypes.data + here * size, classes)
        else:
            top = scores[0]
            for c in range(1, classes):
                top = larger(scores[c], top)
        for c in range(classes):
            powers[c] = exp(scores[c] - top)
        total = sum_distances(gradient, gradient.ctypes.data + here * size, zero, classes)[0]
        all_weights, spread = zero, zero
        if smoothing > 0:
            all_weights, spread = sum_weighted(weight, weights, ones.ctypes.data, logits.ctypes.data + here * size,
                                               top, classes)
        counted = zero if target[i] == ignore_index else one
        label = 0 if target[i] == ignore_index else target[i]
        right, log_sum = counted * kept * weight[label], log(total)
        loss = right * (log_sum - (scores[label] - top)) + even * (all_weights * log_sum - spread)
        losses[i] = loss if counted > zero else zero
        share, own = scale * (right + counted * even * all_weights) / total, counted * scale * even
        for c in range(classes):
            powers[c] = powers[c] * share - weight[c] * own
        powers[label] -= scale * right
