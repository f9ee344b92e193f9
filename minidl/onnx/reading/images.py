"""Convolution, pooling, normalization and resizing of images (N, C, H, W)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minidl.functional as F
from minidl.onnx.reading.functions import array, check_images
from minidl.onnx.reading.resize import resize, upsample
from minidl.onnx.source import Operator

Ends = tuple[tuple[int, int], tuple[int, int]]               # ((top, bottom), (left, right))


def pair(node: Operator, attribute: str, default: Sequence[int] = (1, 1)) -> tuple[int, int]:
    """An attribute of two integers, one for each axis of an image."""
    values = node.get(attribute) or default
    if len(values) != 2:
        raise node.refused(f"{attribute} {list(values)}", "windows over the two axes of images are")
    return int(values[0]), int(values[1])


def ends_of(node: Operator, size: Sequence[int], kernel: Sequence[int]) -> Ends:
    """The padding at both ends of each axis: written out, or so much that the output has ceil(n / stride) pixels."""
    auto = node.get("auto_pad", "NOTSET") or "NOTSET"
    if auto == "NOTSET":
        top, left, bottom, right = node.get("pads") or (0, 0, 0, 0)
        return (int(top), int(bottom)), (int(left), int(right))
    if auto == "VALID":
        return (0, 0), (0, 0)
    strides, dilations = pair(node, "strides"), pair(node, "dilations")
    pads = []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        whole = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        pads.append((whole // 2, whole - whole // 2) if auto == "SAME_UPPER" else (whole - whole // 2, whole // 2))
    return pads[0], pads[1]


def bordered(x: Any, ends: Ends, value: float = 0.0) -> Any:
    """Images with a border, or cropped where an end is negative."""
    (top, bottom), (left, right) = ends
    return F.pad(x, (left, right, top, bottom), value=value) if any(map(any, ends)) else x


def is_even(ends: Ends) -> bool:
    """Whether the padding is the same at both ends of each axis."""
    return all(a == b for a, b in ends)


def conv(node: Operator, x: Any, weight: Any, bias: Any = None) -> Any:
    check_images(node, x)
    ends = ends_of(node, x.shape[2:], weight.shape[2:])
    settings = {"stride": pair(node, "strides"), "dilation": pair(node, "dilations"), "groups": node.get("group", 1)}
    if is_even(ends):
        return F.conv2d(x, weight, bias, padding=(ends[0][0], ends[1][0]), **settings)
    return F.conv2d(bordered(x, ends), weight, bias, **settings)


def conv_transpose(node: Operator, x: Any, weight: Any, bias: Any = None) -> Any:
    """The whole transposed convolution, cropped by the padding."""
    check_images(node, x)
    strides, dilations, more = pair(node, "strides"), pair(node, "dilations"), pair(node, "output_padding", (0, 0))
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x.shape[2:], strides, dilations, weight.shape[2:],
                                                               strict=True)]
    auto, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if wanted is not None or auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], strides, strict=True)] if wanted is None else list(wanted)[-2:]
        total = [f + m - w for f, m, w in zip(full, more, wanted, strict=True)]
        ends = [(t - t // 2, t // 2) if auto != "SAME_UPPER" else (t // 2, t - t // 2) for t in total]
    else:
        ends = list(ends_of(node, x.shape[2:], weight.shape[2:]))
    settings = {"stride": strides, "dilation": dilations, "groups": node.get("group", 1)}
    if is_even((ends[0], ends[1])) and min(ends[0][0], ends[1][0]) >= 0 and all(
            m < max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)):
        return F.conv_transpose2d(x, weight, bias, padding=(ends[0][0], ends[1][0]), output_padding=more, **settings)
    (top, bottom), (left, right) = ((a, b - m) for (a, b), m in zip(ends, more, strict=True))
    if max(more) and bias is not None:           # pixels beyond every window hold the bias alone
        out = bordered(F.conv_transpose2d(x, weight, **settings), ((-top, -bottom), (-left, -right)))
        return out + F.reshape(bias, shape=(-1, 1, 1))
    return bordered(F.conv_transpose2d(x, weight, bias, **settings), ((-top, -bottom), (-left, -right)))


def windows(node: Operator, x: Any) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], Ends]:
    """(kernel, strides, dilations, ends), where `ends` has what `ceil_mode` adds for the last windows."""
    check_images(node, x)
    if x.dtype.kind != "f":
        raise node.refused(f"pooling of {x.dtype}", "that of float32 is, after a Cast")
    kernel, strides, dilations = pair(node, "kernel_shape"), pair(node, "strides"), pair(node, "dilations")
    ends = ends_of(node, x.shape[2:], kernel)
    if not node.get("ceil_mode", 0):
        return kernel, strides, dilations, ends
    more = []
    for n, k, s, d, (near, far) in zip(x.shape[2:], kernel, strides, dilations, ends, strict=True):
        extent = d * (k - 1) + 1
        last = -(-(n + near + far - extent) // s) * s
        last -= s * (last >= n + near)           # a window may not begin in the padding after the image
        more.append((near, max(far, last + extent - n - near)))
    return kernel, strides, dilations, (more[0], more[1])


def max_pool(node: Operator, x: Any) -> Any:
    if len(node.outputs) > 1:
        raise node.refused("the output of indices", "the maxima alone are")
    kernel, strides, dilations, ends = windows(node, x)
    if is_even(ends) and all(2 * a <= k for (a, _), k in zip(ends, kernel, strict=True)):
        return F.max_pool2d(x, kernel, strides, (ends[0][0], ends[1][0]), dilations)
    return F.max_pool2d(bordered(x, ends, -math.inf), kernel, strides, dilation=dilations)


def average_pool(node: Operator, x: Any) -> Any:
    """The sum of each window over the pixels that count: those of the image, and of its padding if asked."""
    kernel, strides, dilations, ends = windows(node, x)
    if dilations != (1, 1):
        raise node.refused(f"dilations {list(dilations)}", "[1, 1] is")
    counts = bool(node.get("count_include_pad", 0))
    pads = ends_of(node, x.shape[2:], kernel)
    if ends == pads and is_even(ends) and all(2 * a <= k for (a, _), k in zip(ends, kernel, strict=True)):
        return F.avg_pool2d(x, kernel, strides, (ends[0][0], ends[1][0]), count_include_pad=counts)
    sums = F.avg_pool2d(bordered(x, ends), kernel, strides, divisor_override=1)
    rows, columns = (counted(*axis, counts) for axis in zip(x.shape[2:], sums.shape[2:], kernel, strides, pads,
                                                            strict=True))
    return sums / np.outer(rows, columns).astype(x.dtype)


def counted(n: int, out: int, kernel: int, stride: int, ends: tuple[int, int], counts: bool) -> np.ndarray:
    """How many of n pixels, or of n pixels and their padding, lie in each of `out` windows."""
    begins = np.arange(out) * stride - ends[0]
    first, last = (-ends[0], n + ends[1]) if counts else (0, n)
    return np.maximum(np.minimum(begins + kernel, last) - np.maximum(begins, first), 1)


def global_average_pool(node: Operator, x: Any) -> Any:
    return F.mean(x, tuple(range(2, x.ndim)), keepdims=True)


def global_max_pool(node: Operator, x: Any) -> Any:
    return F.amax(x, tuple(range(2, x.ndim)), keepdims=True)


def lrn(node: Operator, x: Any) -> Any:
    check_images(node, x)
    size = node.get("size")
    if size % 2 == 0:
        raise node.refused(f"size {size}", f"odd sizes are, such as {size + 1}")
    return F.local_response_norm(x, size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))


def batch_norm(node: Operator, x: Any, scale: Any, shift: Any, mean: Any, var: Any) -> Any:
    """By given moments; the axes after the channels are taken as rows of pixels."""
    if node.get("training_mode", 0) or len(node.outputs) > 1:
        raise node.refused("training_mode", "normalization by running statistics is; export the model in eval mode")
    images = x if x.ndim in (2, 4) else F.reshape(x, shape=(*x.shape[:2], -1, 1))
    out = F.batch_norm(images, scale, shift, mean=array(mean), var=array(var), training=False,
                       eps=node.get("epsilon", 1e-5))
    return out if x.ndim in (2, 4) else F.reshape(out, shape=x.shape)


def instance_norm(node: Operator, x: Any, scale: Any, shift: Any) -> Any:
    return F.group_norm(x, x.shape[1], scale, shift, eps=node.get("epsilon", 1e-5))


def group_norm(node: Operator, x: Any, scale: Any, shift: Any) -> Any:
    if node.opset < 21:
        raise node.refused("its form before opset 21", "that of opset 21 is, with a scale for each channel")
    return F.group_norm(x, node.get("num_groups"), scale, shift, eps=node.get("epsilon", 1e-5))


def layer_norm(node: Operator, x: Any, scale: Any, shift: Any = None) -> Any:
    if len(node.outputs) > 1:
        raise node.refused("the output of moments", "the normalized values alone are")
    axis = node.get("axis", -1) % x.ndim
    shape = x.shape[axis:]
    out = F.layer_norm(x, shape, eps=node.get("epsilon", 1e-5)) if scale.shape != shape else F.layer_norm(
        x, shape, scale, None if shift is None or shift.shape != shape else shift, eps=node.get("epsilon", 1e-5))
    out = out * scale if scale.shape != shape else out
    return out + shift if shift is not None and (scale.shape != shape or shift.shape != shape) else out


OPERATORS: dict[str, Callable] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": max_pool, "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool, "GlobalMaxPool": global_max_pool, "LRN": lrn,
    "BatchNormalization": batch_norm, "InstanceNormalization": instance_norm, "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm, "Resize": resize, "Upsample": upsample,
}  # fmt: skip
