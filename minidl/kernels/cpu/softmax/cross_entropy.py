"""Softmax and cross entropy together: one pass over the scores gives the losses and the gradient.

For a target t with softmax p, class weights w and smoothing s,

    loss = -(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c]
    gradient[c] = p[c] * ((1 - s) * w[t] + s / C * sum(w)) - s / C * w[c] - (1 - s) * w[t] where c = t

In the code, hard_weight = (1 - s) * w[t] and smoothing_share = s / C; both are 0 for an ignored target.
Scores without weight are passed over, whatever they are, because 0 times infinity would be NaN.
Targets are processed in transposed blocks (`row_blocks.py`). If the scores of one target follow those of another, they
are processed one by one instead where classes are many (the L1 cache holds the scores of one, but not of a block), or
where scores are few (that kernel compiles in a third of the time, which matters more then).
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.llvm.reduce_rows import row_maximum
from minidl.kernels.cpu.llvm.vector_math import exp, log, maximum
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import MIN_WORK, share_of_work
from minidl.kernels.cpu.softmax.row_blocks import (
    LONG_ROW,
    are_long,
    block_count,
    block_rows,
    carry,
    exponentiate,
    find_maxima,
    load_transposed,
    locate_block,
    row_products,
    row_sum,
    rows_along,
    store_transposed,
)


class Criterion(NamedTuple):
    """What is computed from scores and targets: the losses, and the gradient of their sum, or of their mean."""

    weight: np.ndarray           # (C,)
    smoothed: np.ndarray         # the same, or zeros if there is no smoothing
    smoothed_sum: np.ndarray     # (1,)
    ignore_index: int
    smoothing: float
    mean: bool
    total: np.ndarray            # (1,), by which the mean divides


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    memory = logits.transpose(0, *range(2, logits.ndim), 1)          # the scores of one target contiguous
    planes = logits.flags.c_contiguous and not memory.flags.c_contiguous
    memory = np.ascontiguousarray(logits if planes else memory)      # if planes, the scores of one class contiguous
    gradient, losses = empty(memory.shape, memory.dtype), empty(target.shape, logits.dtype)
    target, weight, total = target.reshape(-1).astype(np.int64, copy=False), np.ascontiguousarray(weight), np.zeros(1)
    sum_weights.serial(target, weight, ignore_index, total)
    layout = rows_along(memory.shape, 1 if planes else memory.ndim - 1)
    fill = row_losses if are_long(layout) or (layout.stride == 1 and memory.size <= MIN_WORK) else block_losses
    smoothed = weight if smoothing else np.zeros_like(weight)
    smoothed_sum = smoothed.sum(dtype=np.float64, keepdims=True)
    criterion = Criterion(weight, smoothed, smoothed_sum, ignore_index, smoothing, bool(mean), total)
    (fill if memory.size > MIN_WORK else fill.serial)(memory.reshape(-1), layout, target, criterion, losses.reshape(-1),
                                                      gradient.reshape(-1))
    if not planes:
        gradient = gradient.transpose(0, -1, *range(1, logits.ndim - 1))
    return losses, total.reshape(()), gradient


@kernel
def sum_weights(thread, threads, target, weight, ignore_index, total):
    """total[0] = the sum of the weights of all targets not ignored, in float64 and in order, hence by one thread."""
    total[0] = 0
    for t in target:
        if t != ignore_index:
            total[0] += weight[t]


@inner
def scale_of(criterion):
    """The factor of the sum of the losses in what is differentiated."""
    if not criterion.mean:
        return 1.0
    return 0.0 if criterion.total[0] == 0 else 1 / criterion.total[0]


@inner
def target_loss(log_sum, score, weighted_score, hard_weight, smoothing_share, weight_sum):
    """The loss of one target that is not ignored. Scores are differences from the largest score.

    log_sum          log of the sum of exp(score)
    score            that of the target's class
    weighted_score   the sum of w[c] * score[c];  weight_sum: that of w[c]
    """
    hard_loss = hard_weight * (log_sum - score) if hard_weight != 0 else hard_weight
    smooth_loss = smoothing_share * (weight_sum * log_sum - weighted_score)
    return hard_loss + smooth_loss


@kernel
def block_losses(thread, threads, logits, layout, target, criterion, losses, gradient):
    """Fill losses and gradient, block by block of targets.

    Each quantity of the block's rows is an array of its own: LLVM cannot tell that views of one array do not overlap,
    and would not vectorize.
    """
    real, weight, classes, rows = logits.dtype.type, criterion.weight, layout.length, block_rows(layout.length)
    smoothed = criterion.smoothed
    zero, one, hard, scale = real(0), real(1), real(1 - criterion.smoothing), real(scale_of(criterion))
    smoothing_share, weight_sum = real(criterion.smoothing / classes), real(criterion.smoothed_sum[0])
    scores, labels, totals = np.zeros((classes, rows), real), np.empty(rows, np.int64), np.zeros(rows)
    largest, sums, weighted_score = np.zeros(rows, real), np.zeros(rows, real), np.zeros(rows, real)
    score, is_counted, hard_weight = np.zeros(rows, real), np.zeros(rows, real), np.zeros(rows, real)
    for block in share_of_work(thread, threads, block_count(rows, layout), len(logits)):
        start, first, count = locate_block(block, rows, layout)
        load_transposed(logits, start, layout.stride, count, scores)
        for r in range(count):
            t = target[first + r]
            is_counted[r] = zero if t == criterion.ignore_index else one
            labels[r] = 0 if t == criterion.ignore_index else t
            hard_weight[r] = zero if t == criterion.ignore_index else hard * weight[t]
            if has_no_weight(is_counted[r], hard_weight[r], smoothing_share):
                for c in range(classes):
                    scores[c, r] = zero
        find_maxima(scores, largest)
        for r in range(count):
            score[r] = scores[labels[r], r] - largest[r]
        if criterion.smoothing > 0:
            sum_weighted(scores, largest, weight, weighted_score, totals)
        exponentiate(scores, largest, sums, totals)
        for r in range(count):
            loss = target_loss(log(sums[r]), score[r], weighted_score[r], hard_weight[r], smoothing_share, weight_sum)
            losses[first + r] = loss if is_counted[r] > zero else zero
        for r in range(rows):                                # from here on, the factors of exp(score) and of weight[c]
            sums[r] = scale * (hard_weight[r] + is_counted[r] * smoothing_share * weight_sum) / sums[r]
            is_counted[r] *= scale * smoothing_share
        for c in range(classes):
            for r in range(rows):
                scores[c, r] = scores[c, r] * sums[r] - smoothed[c] * is_counted[r]
        for r in range(count):
            scores[labels[r], r] -= scale * hard_weight[r]
        store_transposed(scores, count, gradient, start, layout.stride)


@inner
def has_no_weight(is_counted, hard_weight, smoothing_share):
    """Whether no score of a target counts: it is ignored, or its class has weight 0 and there is no smoothing."""
    return (is_counted == 0) | ((hard_weight == 0) & (smoothing_share == 0))


@inner
def sum_weighted(scores, largest, weight, sums, totals):
    """The sum of weight[c] * (score - the largest of its row) over the classes with a weight, for each row."""
    classes, rows = scores.shape
    sums[:], totals[:] = 0, 0
    for c in range(classes):
        if weight[c] != 0:
            for r in range(rows):
                sums[r] += weight[c] * (scores[c, r] - largest[r])
        carry(c, classes, sums, totals)


@kernel
def row_losses(thread, threads, logits, layout, target, criterion, losses, gradient):
    """The same, target by target; the gradient's memory holds the exponentials meanwhile."""
    real, weight, classes, size = logits.dtype.type, criterion.weight, layout.length, logits.itemsize
    smoothed = criterion.smoothed
    zero, one, hard, scale = real(0), real(1), real(1 - criterion.smoothing), real(scale_of(criterion))
    smoothing_share, weight_sum = real(criterion.smoothing / classes), real(criterion.smoothed_sum[0])
    ones = np.ones(classes, real)
    for i in share_of_work(thread, threads, layout.count, len(logits)):
        begin, address = i * classes, logits.ctypes.data + i * classes * size
        scores, powers = logits[begin:begin + classes], gradient[begin:begin + classes]
        is_counted = zero if target[i] == criterion.ignore_index else one
        label = 0 if target[i] == criterion.ignore_index else target[i]
        hard_weight = hard * weight[label] if is_counted > zero else zero
        if has_no_weight(is_counted, hard_weight, smoothing_share):
            losses[i] = zero
            powers[:] = zero
            continue
        if classes >= LONG_ROW:
            largest = row_maximum(logits, address, classes)
        else:
            largest = scores[0]
            for c in range(1, classes):
                largest = maximum(scores[c], largest)
        for c in range(classes):
            powers[c] = exp(scores[c] - largest)
        total = row_sum(gradient, gradient.ctypes.data + begin * size, classes)
        weighted_score = zero
        if criterion.smoothing > 0:
            weighted_score = row_products(weight, weight.ctypes.data, ones.ctypes.data, address, largest, classes)[1]
            if weighted_score != weighted_score:             # perhaps 0 times infinity
                weighted_score = row_weighted(scores, largest, weight)
        losses[i] = target_loss(log(total), scores[label] - largest, weighted_score, hard_weight, smoothing_share,
                                weight_sum)
        factor, weight_factor = scale * (hard_weight + smoothing_share * weight_sum) / total, scale * smoothing_share
        for c in range(classes):
            powers[c] = powers[c] * factor - smoothed[c] * weight_factor
        powers[label] -= scale * hard_weight


@inner
def row_weighted(scores, largest, weight):
    """The sum of weight[c] * (score - largest) over the classes with a weight."""
    total = 0.0
    for c in range(len(scores)):
        total += weight[c] * (scores[c] - largest) if weight[c] != 0 else weight[c]
    return scores.dtype.type(total)
