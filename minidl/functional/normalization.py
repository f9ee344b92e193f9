"""Normalization: elements are standardized to mean 0 and variance 1, then scaled and shifted by learned parameters.

The kinds differ in which elements share their moments: a channel of the batch (batch norm), the last axes of one
example (layer norm), or a group of channels of one example (group norm). Local response normalization, the oldest,
computes no moments.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.device import Array, array_module, at
from minidl.functional.checks import (
    above_zero,
    check_dtypes,
    check_images,
    is_whole,
    not_negative,
    unwrapped,
    wholes,
)
from minidl.kernels import backend
from minidl.scalars import number, whole
from minidl.tensor import Operand, Tensor, op


@op
def batch_norm(x: Operand, weight: Operand, bias: Operand, add: Operand = None, /, *, mean: Array | None = None,
               var: Array | None = None, training: bool = True, eps: float = 1e-5, relu: bool = False,
               ceiling: float | None = None):
    """(x - mean) / sqrt(var + eps) * weight + bias + add for each channel; then, if `relu`, limited to [0, ceiling].

    x (N, C, H, W) or (N, C); weight, bias (C,) or None for ones and zeros; add like x, or None  ->  the shape of x
    training   `mean` and `var` are the moments of this batch, computed here unless given, and the gradient includes
               their dependence on x; in eval mode they are constants, such as running statistics, and must be given
    add        the shortcut of a residual block
    relu       the result is relu(batch_norm(x, weight, bias) + add, ceiling=ceiling), in the same pass over memory
    PyTorch's function does not have `add`, `relu` and `ceiling`. Unlike PyTorch's, this function updates no running
    statistics: the layer does.
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """
    narrow, x, add = x.dtype, wide(x), wide(add)
    images = x[:, :, None, None] if x.ndim == 2 else x
    check_images("batch_norm", images)
    if images.shape[1] == 0:
        raise ValueError(f"batch_norm: x {x.shape} has no channels")
    check_dtypes("batch_norm", x, add)
    check_dtypes("batch_norm", None if narrow.itemsize == 2 else x, weight, bias, mean, var)
    if add is not None and add.shape != x.shape:
        raise ValueError(f"batch_norm: add {add.shape} must have the shape of x, {x.shape}")
    for name, v in (("weight", weight), ("bias", bias), ("mean", mean), ("var", var)):
        if v is not None and v.shape != images.shape[1:2]:
            raise ValueError(f"batch_norm: {name} {v.shape} must be ({images.shape[1]},), "
                             f"one element per channel of x {x.shape}")
    if not training and (mean is None or var is None):
        raise ValueError("batch_norm: training=False needs mean and var")
    if ceiling is not None and not relu:
        raise ValueError(f"batch_norm: ceiling={ceiling!r} needs relu=True, because it limits the ReLU")
    if training:
        check_several(images)
    ceiling = above_zero("batch_norm", ceiling)
    kernels, xp, eps = backend(x), array_module(x), not_negative("batch_norm", "eps", eps)
    if mean is None or var is None:
        mean, var = kernels.channel_moments(images)
    scale = xp.ones_like(mean) if weight is None else weight
    shift = xp.zeros_like(mean) if bias is None else bias

    shortcut, adds = None if add is None else add.reshape(images.shape), add is not None
    out, passed = kernels.batch_norm(images, scale, shift, shortcut, mean, var, eps, relu, ceiling)

    def backward(grad):
        dx, dweight, dbias, dadd = kernels.batch_norm_gradient(
            wide(grad).reshape(images.shape), passed, images, scale, mean, var, eps, training, adds)
        return dx.reshape(x.shape), dweight, dbias, dadd.reshape(x.shape) if adds else None
    return out.reshape(x.shape).astype(narrow, copy=False), backward


def wide(x: Any) -> Any:
    """x as float32 if it is half precision and array code has to do: statistics and weights of norms are float32."""
    if x is None or x.dtype.itemsize != 2 or not backend(x).__name__.endswith(".plain"):
        return x
    return x.astype(np.float32)


@op
def sync_batch_norm(x: Operand, weight: Operand, bias: Operand, add: Operand = None, /, *, mean: Array, var: Array,
                    count: int, all_reduce: Callable[[Array], None], eps: float, relu: bool = False,
                    ceiling: float | None = None):
    """`batch_norm` in training with the moments `mean` and `var` of the images of several processes.

    count       the elements per channel in all processes
    all_reduce  replaces an array, in place, by its sum over the processes
    With the sums over all processes,  dx = r * (grad - sum(grad) / count - xhat * sum(grad * xhat) / count),  where
    r = weight / sqrt(var + eps). The gradients with respect to weight and bias are those of the images here.
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    kernels, xp = backend(x), array_module(x)
    shortcut, adds = None if add is None else add.reshape(images.shape), add is not None
    out, passed = kernels.batch_norm(images, weight, bias, shortcut, mean, var, eps, relu, ceiling)

    def backward(grad):
        dx, dweight, dbias, dadd = kernels.batch_norm_gradient(
            grad.reshape(images.shape), passed, images, weight, mean, var, eps, False, adds)
        sums = xp.stack([dweight, dbias]).astype(np.float64)
        all_reduce(sums)
        scale, shift = (-weight / xp.sqrt(var + eps) * sums / count).astype(x.dtype)
        dx, _ = kernels.batch_norm(images, scale, shift, dx, mean, var, eps, False)
        return dx.reshape(x.shape), dweight, dbias, dadd.reshape(x.shape) if adds else None
    return out.reshape(x.shape), backward


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel of the array x: the moments that batch norm uses in training.

    x (N, C, H, W) or (N, C)  ->  (C,), (C,)
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    check_images("channel_moments", images)
    check_several(images)
    with at(x):
        images = wide(images)
        return backend(images).channel_moments(images)


def check_several(x: Array) -> None:
    """Raise ValueError unless every channel of the images x has at least two elements, as a variance needs."""
    count = len(x) * x.shape[2] * x.shape[3]
    if count < 2:
        raise ValueError(f"batch_norm: x {x.shape} has {count} elements per channel; training needs at least two")


def layer_norm(x: Operand, /, normalized_shape: int | Sequence[int], weight: Operand = None, bias: Operand = None,
               eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the moments of the last axes of each example.

    x (..., *normalized_shape), weight and bias of shape `normalized_shape` or None  ->  the shape of x
    Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450 (2016).
    """
    shape = unwrapped(normalized_shape)
    shape = wholes("layer_norm", "normalized_shape", shape if isinstance(shape, tuple) else (shape,))
    return _layer_norm(x, weight, bias, shape=shape, eps=not_negative("layer_norm", "eps", eps))


@op
def _layer_norm(x: Operand, weight: Operand, bias: Operand, /, *, shape: tuple[int, ...], eps: float):
    """`layer_norm` with a shape of Python's numbers."""
    if not shape or 0 in shape or x.shape[-len(shape):] != shape:
        raise ValueError(f"layer_norm: x {x.shape} must end in normalized_shape={shape}, with no axis of length 0")
    check_affine("layer_norm", x, weight, bias, shape)
    kernels, xp = backend(x), array_module(x)
    scale = xp.ones(shape, dtype=x.dtype) if weight is None else weight
    shift = xp.zeros(shape, dtype=x.dtype) if bias is None else bias
    out, mean, deviation = kernels.layer_norm(x, scale, shift, eps)

    def backward(grad):
        return kernels.layer_norm_gradient(grad, x, scale, mean, deviation)
    return out, backward


@op
def group_norm(x: Operand, num_groups: int, weight: Operand = None, bias: Operand = None, /, eps: float = 1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, with the moments of each group of channels of each example.

    x (N, C, ...), weight and bias (C,) or None  ->  the shape of x;  num_groups divides C
    Wu and He, "Group normalization", ECCV 2018.
    """
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ValueError(f"group_norm: x must be (N, C, ...), where only N may be 0, not {x.shape}")
    c, *size = x.shape[1:]
    num_groups = unwrapped(num_groups)
    if not is_whole(num_groups) or num_groups < 1 or c % num_groups:
        raise ValueError(f"group_norm: num_groups={num_groups!r} must divide the {c} channels of x {x.shape}")
    check_affine("group_norm", x, weight, bias, (c,))
    kernels, xp, eps = backend(x), array_module(x), not_negative("group_norm", "eps", eps)
    images = x if x.ndim == 4 else x.reshape(len(x), c, math.prod(size), 1)
    scale = xp.ones(c, dtype=x.dtype) if weight is None else weight
    shift = xp.zeros(c, dtype=x.dtype) if bias is None else bias
    out, mean, deviation = kernels.group_norm(images, num_groups, scale, shift, eps)

    def backward(grad):
        dx, dweight, dbias = kernels.group_norm_gradient(grad.reshape(images.shape), images, scale, mean, deviation)
        return dx.reshape(x.shape), None, dweight, dbias
    return out.reshape(x.shape), backward


def check_affine(name: str, x: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> None:
    """Raise unless weight and bias are None, or have this shape and the floating-point dtype of x."""
    check_dtypes(name, x, weight, bias)
    for what, v in (("weight", weight), ("bias", bias)):
        if v is not None and v.shape != shape:
            raise ValueError(f"{name}: {what} {v.shape} must be {shape} for x {x.shape}")


@op
def local_response_norm(x: Operand, /, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
    """x / (k + alpha / size * s)**beta, where s sums the squares of the `size` channels around each at the same pixel.

    x (N, C, H, W)  ->  (N, C, H, W);  the channels c - size//2 to c + (size-1)//2; missing ones count as zeros
    alpha is the paper's times `size`, as in PyTorch. AlexNet has size=5, alpha=5e-4 (5 * 1e-4), beta=0.75, k=2.
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", section 3.3,
    NeurIPS 2012.
    """
    check_images("local_response_norm", x)
    name, kernels = "local_response_norm", backend(x)
    size = whole(name, "size", size, 1)
    alpha, beta, k = number(name, "alpha", alpha), number(name, "beta", beta), number(name, "k", k)

    def backward(grad):
        return kernels.local_response_norm_gradient(grad, x, size, alpha, beta, k)
    return kernels.local_response_norm(x, size, alpha, beta, k), backward
