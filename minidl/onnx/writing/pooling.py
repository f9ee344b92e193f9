"""Pooling and resizing.

What has no operator of its own is a product with a table: rows and columns are independent, so that resizing images x
to any size, or averaging uneven parts, is R @ x @ C with constant matrices R and C.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.functional.pooling import averaging, lengths, pooling_window
from minidl.functional.resize import linear, nearest, size_and_steps
from minidl.kernels import Taps, Window
from minidl.onnx.graph import Graph
from minidl.onnx.trace import Step
from minidl.onnx.writing.elementwise import rectified
from minidl.onnx.writing.layers import sizes


class Images:
    """The shape and dtype of the images that a step reads, as the checks of `functional` want them."""

    def __init__(self, step: Step):
        self.shape, self.dtype, self.ndim = (1, step.inputs[0].shape[1], *sizes(step)), step.inputs[0].dtype, 4


def window_attributes(window: Window) -> dict[str, Any]:
    """The attributes of a pooling node. Pads are written out, so that no rounding rule is left to a runtime."""
    (top, bottom), (left, right) = window.padding
    return {"kernel_shape": window.kernel, "strides": window.stride, "pads": [top, left, bottom, right]}


def max_pool2d(g: Graph, step: Step, x: str) -> str:
    s = step.settings
    window = pooling_window("max_pool2d", Images(step), s["kernel_size"], s["stride"], s["padding"], s["dilation"],
                            s["ceil_mode"])
    out = g.add("MaxPool", x, dilations=window.dilation, **window_attributes(window))
    return rectified(g, step, out, s["relu"])


def avg_pool2d(g: Graph, step: Step, x: str) -> str:
    """The mean over whole windows, times what makes it the mean over the pixels that count."""
    s, images = step.settings, Images(step)
    window = pooling_window("avg_pool2d", images, s["kernel_size"], s["stride"], s["padding"], 1, s["ceil_mode"])
    area = window.kernel[0] * window.kernel[1]
    if s["divisor_override"] is not None:
        factors = np.array(area / s["divisor_override"])
    else:
        rows, columns = (lengths(n, out, kernel, stride, pads[0], s["count_include_pad"])
                         for n, out, kernel, stride, pads in zip(images.shape[2:], window.out(images.shape[2:]),
                                                                 window.kernel, window.stride, window.padding,
                                                                 strict=True))
        factors = area / np.outer(rows, columns)
        factors = factors[0, 0] if (factors == factors[0, 0]).all() else factors
    alone = bool(np.all(factors == 1))
    out = g.add("AveragePool", x, part="" if alone else "whole", count_include_pad=1, **window_attributes(window))
    return out if alone else g.add("Mul", out, g.array(np.asarray(factors, step.out.dtype), "factors"))


def adaptive_avg_pool2d(g: Graph, step: Step, x: str) -> str:
    (h, w), (oh, ow) = sizes(step), step.out.shape[2:]
    if (oh, ow) == (1, 1):
        return g.add("GlobalAveragePool", x)
    if h % oh == 0 and w % ow == 0:
        kernel = [h // oh, w // ow]
        return g.add("AveragePool", x, kernel_shape=kernel, strides=kernel)
    return tables(g, step, x, averaging(h, oh)[0], averaging(w, ow)[0])


def adaptive_max_pool2d(g: Graph, step: Step, x: str) -> str:
    """The maxima of parts of rows, then of columns: a window's maximum is that of its rows' maxima."""
    (h, w), (oh, ow) = sizes(step), step.out.shape[2:]
    if (oh, ow) == (1, 1):
        return g.add("GlobalMaxPool", x)
    if h % oh == 0 and w % ow == 0:
        kernel = [h // oh, w // ow]
        return g.add("MaxPool", x, kernel_shape=kernel, strides=kernel)
    for axis, n, out, part in ((2, h, oh, "rows"), (3, w, ow, "")):
        maxima = []
        for i in range(out):
            piece = g.add("Slice", x, g.ints([i * n // out], "start"), g.ints([-(-(i + 1) * n // out)], "stop"),
                          g.ints([axis], "axis"), part="piece")
            maxima.append(g.reduce("ReduceMax", piece, [axis], part="largest"))
        x = g.add("Concat", *maxima, part=part, axis=axis)
    return x


def interpolate(g: Graph, step: Step, x: str) -> str:
    """Resize for whole factors, where every runtime agrees; products with tables for others."""
    s, shape = step.settings, sizes(step)
    size, steps = size_and_steps(shape, s["size"], s["scale_factor"])
    bilinear, corners = s["mode"] == "bilinear", bool(s["align_corners"])
    whole = all(out % n == 0 and step == n / out for n, out, step in zip(shape, size, steps, strict=True))
    if whole and min(shape) > 1:
        scales = [1, 1, *(out / n for n, out in zip(shape, size, strict=True))]
        factors = g.array(np.array(scales, np.float32), "scales")
        if not bilinear:
            return g.add("Resize", x, None, factors, mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric")
        return g.add("Resize", x, None, factors, mode="linear",
                     coordinate_transformation_mode="align_corners" if corners else "half_pixel")
    rows, columns = (linear(*pixels, corners)[0] if bilinear else nearest(*pixels)[0]
                     for pixels in zip(shape, size, steps, strict=True))
    return tables(g, step, x, rows, columns)


def tables(g: Graph, step: Step, x: str, rows: Taps, columns: Taps) -> str:
    """R @ x @ C, where row o of R has the weights of the inputs of output row o, and C likewise, transposed."""
    h, w = sizes(step)
    left = g.array(matrix(rows, h).astype(step.out.dtype), "row_weights")
    right = g.array(np.ascontiguousarray(matrix(columns, w).T.astype(step.out.dtype)), "column_weights")
    return g.add("MatMul", left, g.add("MatMul", x, right, part="columns"))


def matrix(taps: Taps, n: int) -> np.ndarray:
    """The weights as a matrix (outputs, n)."""
    out = np.zeros((len(taps.index), n))
    for o, t in itertools.product(*map(range, taps.index.shape)):
        out[o, taps.index[o, t]] += taps.weight[o, t]
    return out


WRITERS: dict[str, Callable[..., str]] = {
    "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d, "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_max_pool2d": adaptive_max_pool2d, "interpolate": interpolate,
}  # fmt: skip
