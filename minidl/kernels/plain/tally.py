"""The sums of a training step, as array code."""

import math

from minidl.device import array_module


def tally(sums, loss, count, logits, labels, ignore_index, scaled):
    """Add a batch to the sums of an epoch, in place: loss * count, correct labels, counted labels; and note NaN.

    sums float64 (5,): loss, correct, counted, steps, faulty; loss (), logits (N, C, ...), labels whole numbers (N, ...)
    A label counts unless it is ignore_index, and is correct if its logit is the largest; C = 1 stands for the logits
    (0, z). If the loss is not finite, `faulty` becomes min(faulty, steps); if `scaled`, it is left out instead.
    """
    xp, finite = array_module(sums), array_module(sums).isfinite(loss)
    if scaled:
        sums[0] += xp.where(finite, loss, 0) * count
    else:
        sums[0] += loss * count
        sums[4] = xp.minimum(sums[4], xp.where(finite, math.inf, sums[3]))
    decided = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    sums[1] += (decided == labels).sum()
    sums[2] += (labels != ignore_index).sum()
