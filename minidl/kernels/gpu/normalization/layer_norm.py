"""Layer norm: the elements of each example, in the memory order of the weight, are a set."""

from minidl.kernels.gpu.elements import math_dtype
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.normalization.sets import gradients, normalize, sets
from minidl.kernels.memory_order import axes_by_stride


def layer_norm(x, weight, bias, eps):
    order, examples = order_of(x, weight), x.shape[:x.ndim - weight.ndim]
    rows, (weight, bias) = contiguous(x.transpose(order)), in_order(order, x, weight, bias)
    out, mean, deviation = normalize(rows, weight, bias, eps, sets_of(rows, weight))
    return out.transpose(back(order)), mean.reshape(examples), deviation.reshape(examples)


def layer_norm_gradient(grad, x, weight, mean, deviation):
    order, shape = order_of(x, weight), weight.shape
    grad, x = (contiguous(v.transpose(order)) for v in (grad.astype(x.dtype, copy=False), x))
    weight, = in_order(order, x, weight)
    mean, deviation = (contiguous(v).reshape(-1) for v in (mean, deviation))
    matrix = mean.size, weight.size
    dx, *sums = gradients(grad, x, weight, mean, deviation, sets_of(x, weight), matrix, 1, weight.size)
    first = len(order) - len(shape)
    inner = [axis - first for axis in order[first:]]
    return dx.transpose(back(order)), *(v.reshape([shape[i] for i in inner]).transpose(back(inner)) for v in sums)


def order_of(x, weight):
    """The axes of x, with those of an example in the order in which they lie in memory."""
    first = x.ndim - weight.ndim
    return [*range(first), *(first + axis for axis in axes_by_stride(x.strides[first:]))]


def in_order(order, x, *weights):
    """Arrays of the shape of an example in the order of x in memory, C-contiguous."""
    inner = [axis - (x.ndim - weights[0].ndim) for axis in order[x.ndim - weights[0].ndim:]]
    return [contiguous(w.astype(math_dtype(x.dtype), copy=False).transpose(inner)) for w in weights]


def back(order):
    """The axes by which a transpose undoes one by `order`."""
    return sorted(range(len(order)), key=order.__getitem__)


def sets_of(x, weight):
    """Each example is a set of one run."""
    size = weight.size
    return sets(x.size // size, 1, size, size, 1, size)
