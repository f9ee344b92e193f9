"""Group normalization, with batch norm's loops: each image is a set of its own, and channels share their moments.

Those loops give sums for each channel of each image, and take factors for each. Between, here, the channels of a group
join theirs: few numbers, in doubles.
"""

import math

import numpy as np

from minidl.kernels.cpu.normalization.batch_norm import combine, normalize, sum_products
from minidl.kernels.cpu.normalization.moments import moments
from minidl.kernels.cpu.normalization.pixel_rows import WIDTH, as_image, as_rows
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share


def group_norm(x, groups, weight, bias, eps):
    """(x - mean) / sqrt(var + eps) * weight + bias, with the moments of each example's groups of channels.

    x (N, C, H, W), weight and bias (C,)  ->  (N, C, H, W), mean and 1 / sqrt(var + eps) of the groups (N, groups)
    """
    (n, c), rows = x.shape[:2], as_rows(x, len(x))
    means, variances = np.empty((2, n, c))
    moments(as_rows(x, n, WIDTH), means, variances)
    mean, deviation = np.empty((2, n, groups))
    middle, scale, shift = np.empty((3, n, c), x.dtype)
    join_moments(means, variances, weight, bias, eps, mean, deviation, middle, scale, shift)
    out = empty(rows.shape, rows.dtype)
    normalize(rows, rows, middle, scale, shift, False, -math.inf, math.inf, out)
    return as_image(out, x.shape), mean, deviation


@kernel
def join_moments(thread, threads, means, variances, weight, bias, eps, mean, deviation, middle, scale, shift):
    """mean, deviation = those of groups, from the moments of channels;  (x - middle) * scale + shift = the output"""
    (n, groups), c = mean.shape, len(weight)
    size = c // groups
    for e in share(thread, threads, n):
        for g in range(groups):
            m, var = 0.0, 0.0
            for k in range(g * size, (g + 1) * size):
                m += means[e, k] / size
            for k in range(g * size, (g + 1) * size):
                var += (variances[e, k] + (means[e, k] - m)**2) / size
            mean[e, g], deviation[e, g] = m, 1 / math.sqrt(var + eps)
            for k in range(g * size, (g + 1) * size):
                middle[e, k] = m
                scale[e, k] = weight[k] * deviation[e, g]
                shift[e, k] = bias[k] + (middle[e, k] - m) * weight[k] * deviation[e, g]    # m has more digits


def group_norm_gradient(grad, x, weight, mean, deviation):
    """The gradients of group_norm by x, weight and bias.

    xhat = (x - mean) * deviation,  dweight = sum(grad * xhat)  and  dbias = sum(grad), for each channel; with
    g = grad * weight,  dx = deviation * (g - mean of g - xhat * mean of g * xhat), the means over a group.
    """
    (n, c), groups, rows = x.shape[:2], mean.shape[1], as_rows(x, len(x))
    grads, narrow = as_rows(grad, n), as_rows(x, n, WIDTH)
    middle = mean.astype(x.dtype).repeat(c // groups, 1)
    dx = empty(rows.shape, rows.dtype)
    sums, products = sum_products(grads.reshape(narrow.shape), narrow, narrow, middle, middle, middle, False, math.inf,
                                  False, narrow)
    scale, constant, slope = np.empty((3, n, c), x.dtype)
    share = groups / max(1, c * math.prod(x.shape[2:]))
    join_sums(sums, products, weight, mean, deviation, share, middle, scale, constant, slope)
    combine(grads, rows, middle, scale, middle, constant, slope, False, math.inf, dx)
    return as_image(dx, x.shape), products.sum(0).astype(x.dtype), sums.sum(0).astype(x.dtype)


@kernel
def join_sums(thread, threads, sums, products, weight, mean, deviation, share, middle, scale, constant, slope):
    """dx = scale * grad - constant - slope * (x - middle);  products, of grad by x - middle, become those by xhat

    `share` makes a mean over a group of a sum.
    """
    (n, groups), c = mean.shape, len(weight)
    size = c // groups
    for e in share(thread, threads, n):
        for g in range(groups):
            d, first, second = deviation[e, g], 0.0, 0.0
            for k in range(g * size, (g + 1) * size):
                products[e, k] = (products[e, k] + (middle[e, k] - mean[e, g]) * sums[e, k]) * d
                first += weight[k] * sums[e, k] * share
                second += weight[k] * products[e, k] * share
            for k in range(g * size, (g + 1) * size):
                scale[e, k], constant[e, k], slope[e, k] = weight[k] * d, first * d, second * d * d
