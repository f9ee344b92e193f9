"""Group normalization, with batch norm's loops: each image is a set of its own, and channels share their moments.

The loops give sums for each channel of each image; a group's are made of those of its channels, which are few numbers:
array code in doubles. The loops take moments and slopes for each channel of each image again.
"""

import math

import numpy as np

from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.moments import moments
from minidl.kernels.cpu.normalization import combine, normalize, sum_products
from minidl.kernels.cpu.passed import marks_for
from minidl.kernels.cpu.rows import as_image, as_rows


def group_norm(x, groups, weight, bias, eps):
    """(x - mean) / sqrt(var + eps) * weight + bias, with the moments of each example's groups of channels.

    x (N, C, H, W), weight and bias (C,)  ->  (N, C, H, W), mean and 1 / sqrt(var + eps) of the groups (N, groups)
    """
    (n, c), rows = x.shape[:2], as_rows(x, len(x))
    means, variances = np.empty((2, n, c))
    moments(rows, means, variances)
    means, variances = (v.reshape(n, groups, c // groups) for v in (means, variances))
    mean = means.mean(2)
    var = (variances + (means - mean[..., None]) ** 2).mean(2)
    middle, deviation = mean.astype(x.dtype), 1 / np.sqrt(var + eps)
    scale = weight * spread(deviation, c)
    shift = bias + spread(middle - mean, c) * scale                  # `mean` has more digits than `middle`
    out = empty(rows.shape, rows.dtype)
    normalize(rows, rows, spread(middle, c), scale.astype(x.dtype), shift.astype(x.dtype), False, False, math.inf,
              math.inf, out, marks_for(rows[:0]))
    return as_image(out, x.shape), mean, deviation


def group_norm_gradient(grad, x, weight, mean, deviation):
    """The gradients of group_norm by x, weight and bias.

    xhat = (x - mean) * deviation,  dweight = sum(grad * xhat)  and  dbias = sum(grad), for each channel; with
    g = grad * weight,  dx = deviation * (g - mean of g - xhat * mean of g * xhat), the means over a group.
    """
    (n, c), groups, rows = x.shape[:2], mean.shape[1], as_rows(x, len(x))
    middle, slope = spread(mean.astype(x.dtype), c), spread(deviation, c)
    grads, nothing = as_rows(grad, n), marks_for(rows[:0])
    sums, products = sum_products(grads, nothing, rows, middle, False)
    products = (products + sums * (middle - spread(mean, c))) * slope
    size = c // groups * math.prod(x.shape[2:])
    mean_of_g, mean_of_products = (spread((v * weight).reshape(n, groups, -1).sum(2) / size, c)
                                   for v in (sums, products))
    dx = empty(rows.shape, rows.dtype)
    slopes = slope * weight, slope * mean_of_g, slope**2 * mean_of_products
    combine(grads, nothing, rows, middle, *(v.astype(x.dtype) for v in slopes), False, False, dx, dx)
    return as_image(dx, x.shape), products.sum(0).astype(x.dtype), sums.sum(0).astype(x.dtype)


def spread(v, c):
    """Numbers for each group, given to its channels.   (N, groups)  ->  (N, C)"""
    return v.repeat(c // v.shape[1], 1)
