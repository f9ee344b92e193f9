"""Group normalization with batch norm's loops: each image is a set of its own.

Those loops return sums per image and channel, and take factors per image and channel. This file only combines the
channels of each group in between, in float64.
"""

import math

import numpy as np

from minidl.kernels.cpu.normalization.batch_norm import ALL, Affine, Gate, combine, normalize, sum_products
from minidl.kernels.cpu.normalization.moments import Moments, moments
from minidl.kernels.cpu.normalization.pixel_rows import STRIP_LENGTH, as_image, as_rows, fold
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share

NO_RELU = Gate(ALL, math.inf)


def group_norm(x, groups, weight, bias, eps):
    (n, c), rows = x.shape[:2], as_rows(x, len(x))
    of_channels, of_groups = np.empty((2, n, c)), Moments(*np.empty((2, n, groups)))
    moments(as_rows(x, n, STRIP_LENGTH), of_channels)
    norm = Affine(*np.empty((3, n, c), x.dtype))
    join_moments(of_channels, weight, bias, eps, of_groups, norm)
    out = empty(rows.shape, rows.dtype)
    normalize(rows, rows, norm, False, -math.inf, math.inf, out)
    return as_image(out, x.shape), *of_groups


@kernel
def join_moments(thread, threads, of_channels, weight, bias, eps, of_groups, norm):
    """Combine the moments of channels (2, N, C) into those of groups, and compute the factors per image and channel."""
    (n, groups), c = of_groups.mean.shape, len(weight)
    size = c // groups
    for e in share(thread, threads, n):
        for g in range(groups):
            mean, var = 0.0, 0.0
            for k in range(g * size, (g + 1) * size):
                mean += of_channels[0, e, k] / size
            for k in range(g * size, (g + 1) * size):
                var += (of_channels[1, e, k] + (of_channels[0, e, k] - mean)**2) / size
            of_groups.mean[e, g], of_groups.inverse_std[e, g] = mean, 1 / math.sqrt(var + eps)
            for k in range(g * size, (g + 1) * size):
                norm.mean[e, k] = mean
                lost = norm.mean[e, k] - mean                            # digits that float32 cannot hold
                norm.scale[e, k] = weight[k] * of_groups.inverse_std[e, g]
                norm.bias[e, k] = bias[k] + lost * weight[k] * of_groups.inverse_std[e, g]


def group_norm_gradient(grad, x, weight, mean, deviation):
    (n, c), groups, rows = x.shape[:2], mean.shape[1], as_rows(x, len(x))
    grads, strips = as_rows(grad, n), as_rows(x, n, STRIP_LENGTH)
    center = mean.astype(x.dtype).repeat(c // groups, 1)
    norm = Affine(center, np.empty_like(center), center)                 # combine does not use the bias
    sums, (constant, slope) = np.empty((2, n, c)), np.empty((2, n, c), x.dtype)
    fold(sum_products(grads.reshape(strips.shape), strips, norm, NO_RELU, strips, strips), sums)
    fraction = groups / max(1, c * math.prod(x.shape[2:]))
    join_sums(sums, weight, Moments(mean, deviation), fraction, norm, constant, slope)
    dx = empty(rows.shape, rows.dtype)
    combine(grads, rows, norm, NO_RELU, True, constant, slope, dx)
    return as_image(dx, x.shape), sums[1].sum(0).astype(x.dtype), sums[0].sum(0).astype(x.dtype)


@kernel
def join_sums(thread, threads, sums, weight, of_groups, fraction, norm, constant, slope):
    """dx = norm.scale * grad - constant - slope * (x - norm.mean);  `fraction` * a sum over a group is its mean

    On return, sums[1], the sums of grad * (x - norm.mean), holds those of grad * xhat.
    """
    (n, groups), c = of_groups.mean.shape, len(weight)
    size = c // groups
    for e in share(thread, threads, n):
        for g in range(groups):
            mean, inverse_std = of_groups.mean[e, g], of_groups.inverse_std[e, g]
            mean_of_g, mean_of_products = 0.0, 0.0
            for k in range(g * size, (g + 1) * size):
                sums[1, e, k] = (sums[1, e, k] + (norm.mean[e, k] - mean) * sums[0, e, k]) * inverse_std
                mean_of_g += weight[k] * sums[0, e, k] * fraction
                mean_of_products += weight[k] * sums[1, e, k] * fraction
            for k in range(g * size, (g + 1) * size):
                norm.scale[e, k] = weight[k] * inverse_std
                constant[e, k] = mean_of_g * inverse_std
                slope[e, k] = mean_of_products * inverse_std * inverse_std
