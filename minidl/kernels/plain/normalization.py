"""Batch, layer, group and local response normalization, as array code."""

import numpy as np

from minidl.device import array_module
from minidl.kernels.plain.reduction import axis_means, axis_sums

__all__ = [
    "batch_norm",
    "batch_norm_gradient",
    "channel_moments",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "local_response_norm",
    "local_response_norm_gradient",
    "move_moments",
]

IMAGES = (0, 2, 3)                      # the axes over which a channel of a batch is summed


def channel_moments(x):
    """Mean and (biased) variance of each channel.   x (N, C, H, W)  ->  (C,), (C,)"""
    mean = axis_means(x, IMAGES)
    return mean.reshape(-1), axis_means((x - mean) ** 2, IMAGES).reshape(-1)


def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    """(x - mean) / sqrt(var + eps) * weight + bias, per channel, + add; with `relu`, clipped to 0 ... ceiling.

    x (N, C, H, W), add the same or None; weight, bias, mean, var (C,); ceiling None: no upper bound
    ->  (N, C, H, W), passed: where the gradient passes the ReLU, 0 < out < ceiling; None without ReLU
    """
    xp = array_module(x)
    out = (x - by_channel(mean)) * by_channel(weight / xp.sqrt(var + eps)) + by_channel(bias)
    out = out if add is None else out + add
    if not relu:
        return out, None
    out = xp.maximum(out, 0)
    if ceiling is None:
        return out, out > 0
    return xp.minimum(out, ceiling), (out > 0) & (out < ceiling)


def batch_norm_gradient(grad, passed, x, weight, mean, var, eps, training, adds):
    """The gradients of batch_norm with respect to x, weight, bias and add (None unless `adds`).

    Below, grad stands for grad * passed, with batch_norm's `passed`; it is also the gradient by add. With
    xhat = (x - mean) / sqrt(var + eps),  dweight = sum(grad * xhat)  and  dbias = sum(grad). In training, mean and var
    depend on x:  dx = weight / sqrt(var + eps) * (grad - dbias / m - xhat * dweight / m),  m = N*H*W.
    In eval mode they do not:  dx = weight / sqrt(var + eps) * grad.
    """
    grad = grad if passed is None else array_module(grad).where(passed, grad, 0)
    inverse_std = 1 / array_module(x).sqrt(var + eps)
    xhat = (x - by_channel(mean)) * by_channel(inverse_std)
    dbias, dweight = channel_sums(grad), channel_sums(grad * xhat)
    dx = grad
    if training:
        m = x.size // x.shape[1]
        dx = grad - by_channel(dbias / m) - xhat * by_channel(dweight / m)
    return dx * by_channel(weight * inverse_std), dweight, dbias, grad if adds else None


def move_moments(running_mean, running_var, batches, mean, var, momentum, n, in_place=False):
    """running <- (1 - momentum) * running + momentum * moment, where the variance is the unbiased one; batches + 1.

    batches () of int64, all others (C,); n elements per channel; momentum None: 1 / batches, so all have equal weights
    ->  running mean, running variance, batches: new arrays or, `in_place`, those given
    """
    moved_batches = batches + 1
    if momentum is None:                                     # on a GPU, the number is not waited for
        host = isinstance(moved_batches, np.ndarray | np.generic)
        momentum = 1 / (int(moved_batches) if host else moved_batches.astype(mean.dtype))
    moved = (running_mean * (1 - momentum) + mean * momentum,
             running_var * (1 - momentum) + var * (momentum * n / (n - 1)), moved_batches)
    if not in_place:
        return moved
    for array, value in zip((running_mean, running_var, batches), moved, strict=True):
        array[...] = value
    return running_mean, running_var, batches


def layer_norm(x, weight, bias, eps):
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and var over the last axes, those of weight.

    x (..., *shape), weight and bias (*shape,)  ->  out like x, mean (...), 1 / sqrt(var + eps) (...)
    """
    axes = tuple(range(-weight.ndim, 0))
    mean, deviation = moments(x, axes, eps)
    out = (x - mean) * deviation * weight + bias
    examples = x.shape[:x.ndim - weight.ndim]
    return out, mean.reshape(examples), deviation.reshape(examples)


def layer_norm_gradient(grad, x, weight, mean, deviation):
    """The gradients of layer_norm with respect to x, weight and bias, from mean and deviation = 1 / sqrt(var + eps).

    With xhat = (x - mean) * deviation,  dweight = sum(grad * xhat)  and  dbias = sum(grad) over the examples; with
    g = grad * weight,  dx = deviation * (g - mean(g) - xhat * mean(g * xhat)), the means over an example.
    """
    axes, ones = tuple(range(-weight.ndim, 0)), (1,) * weight.ndim
    mean, deviation = (v.reshape(*v.shape, *ones) for v in (mean, deviation))
    xhat, examples = (x - mean) * deviation, tuple(range(x.ndim - weight.ndim))
    return standardized_gradient(grad * weight, xhat, deviation, axes), *(
        axis_sums(v, examples).reshape(weight.shape).astype(x.dtype) for v in (grad * xhat, grad))


def group_norm(x, groups, weight, bias, eps):
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and var over each group of channels of an image.

    x (N, C, H, W), weight and bias (C,)  ->  out (N, C, H, W), mean (N, groups), 1 / sqrt(var + eps) (N, groups)
    """
    grouped = in_groups(x, groups)
    mean, deviation = moments(grouped, (2, 3, 4), eps)
    xhat = ((grouped - mean) * deviation).reshape(x.shape)
    return xhat * by_channel(weight) + by_channel(bias), mean[:, :, 0, 0, 0], deviation[:, :, 0, 0, 0]


def group_norm_gradient(grad, x, weight, mean, deviation):
    """The gradients of group_norm with respect to x, weight and bias, from mean and deviation = 1 / sqrt(var + eps).

    As in layer_norm_gradient, with dweight and dbias summed per channel, and the means over a group.
    """
    groups = mean.shape[1]
    mean, deviation = (v[:, :, None, None, None] for v in (mean, deviation))
    xhat, weighted = (in_groups(x, groups) - mean) * deviation, in_groups(grad * by_channel(weight), groups)
    dx = standardized_gradient(weighted, xhat, deviation, (2, 3, 4))
    return dx.reshape(x.shape), channel_sums(grad * xhat.reshape(x.shape)), channel_sums(grad)


def in_groups(x, groups):
    """(N, C, H, W)  ->  (N, groups, C / groups, H, W)"""
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w)


def moments(x, axes, eps):
    """Mean and 1 / sqrt(var + eps) over `axes`, which are kept with length 1."""
    mean = axis_means(x, axes)
    return mean, 1 / array_module(x).sqrt(axis_means((x - mean) ** 2, axes) + eps)


def standardized_gradient(grad, xhat, deviation, axes):
    """The gradient with respect to x of  xhat = (x - mean) * deviation,  with mean and deviation over `axes`."""
    means = axis_means(grad, axes), axis_means(grad * xhat, axes)
    return deviation * (grad - means[0] - xhat * means[1])


def local_response_norm(x, size, alpha, beta, k):
    """x / s**beta,  s[c] = k + alpha / size * sum of x[d]**2 over the channels d from c - size//2 to c + (size-1)//2.

    x (N, C, H, W)  ->  (N, C, H, W); channels beyond the ends count as zeros
    """
    return x / (k + alpha / size * sum_channels(x * x, size // 2, size)) ** beta


def local_response_norm_gradient(grad, x, size, alpha, beta, k):
    """The gradient with respect to x:  grad / s**beta - 2 * alpha * beta / size * x * sum of grad * x / s**(beta + 1).

    The sum is over the channels whose windows include c: from c - (size-1)//2 to c + size//2.
    """
    s = k + alpha / size * sum_channels(x * x, size // 2, size)
    direct = grad / s**beta
    return direct - 2 * alpha * beta / size * x * sum_channels(direct * x / s, (size - 1) // 2, size)


def sum_channels(x, before, size):
    """For each channel c, the sum of `size` channels from c - before on; channels beyond the ends count as zeros."""
    n, c, h, w = x.shape
    wider = array_module(x).zeros((n, c + size - 1, h, w), dtype=np.float64)
    wider[:, before:before + c] = x
    return sum(wider[:, i:i + c] for i in range(size)).astype(x.dtype)


def channel_sums(x):
    """The sum of each channel.   x (N, C, H, W)  ->  (C,)"""
    return axis_sums(x, IMAGES).reshape(-1).astype(x.dtype)


def by_channel(v):
    """(C,)  ->  (C, 1, 1), which broadcasts over images"""
    return v[:, None, None]
