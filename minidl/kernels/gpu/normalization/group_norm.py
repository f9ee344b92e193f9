"""Group norm, channels last: a group of channels in all pixels of an image is a set."""

from minidl.kernels.gpu.layout import channels_last, contiguous, logical
from minidl.kernels.gpu.normalization.batch_norm import numbers
from minidl.kernels.gpu.normalization.sets import gradients, normalize, sets


def group_norm(x, groups, weight, bias, eps):
    x = channels_last(x)
    out, mean, deviation = normalize(x, *numbers(x, weight, bias), eps, sets_of(x, groups))
    return logical(out), mean.reshape(len(x), groups), deviation.reshape(len(x), groups)


def group_norm_gradient(grad, x, weight, mean, deviation):
    grad, x, groups = channels_last(grad.astype(x.dtype, copy=False)), channels_last(x), mean.shape[1]
    n, h, w, c = x.shape
    mean, deviation = (contiguous(v).reshape(-1) for v in (mean, deviation))
    dx, dweight, dbias = gradients(grad, x, *numbers(x, weight), mean, deviation, sets_of(x, groups), (n * h * w, c),
                                   h * w, c // groups)
    return logical(dx), dweight, dbias


def sets_of(x, groups):
    """A run of a set in each pixel."""
    n, h, w, c = x.shape
    return sets(n * groups, groups, h * w * c, c, h * w, c // groups)
