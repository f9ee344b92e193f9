"""Layers with weights: convolutions, dense layers and normalization."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.functional.checks import transposed_window, window_of
from minidl.onnx.graph import Graph
from minidl.onnx.trace import Step
from minidl.onnx.writing.elementwise import rectified


def sizes(step: Step, i: int = 0) -> tuple[int, int]:
    """Height and width of the images in an input of a step. Raises ValueError if they depend on the batch."""
    h, w = step.inputs[i].shape[2:]
    if not (isinstance(h, int) and isinstance(w, int)):
        raise ValueError("the size of its images depends on the number of images")
    return h, w


def conv2d(g: Graph, step: Step, x: str, weight: str, bias: str | None) -> str:
    s = step.settings
    window = window_of("conv2d", sizes(step), step.inputs[1].shape[2:], s["stride"], s["padding"], s["dilation"])
    (top, bottom), (left, right) = window.padding
    out = g.add("Conv", x, weight, bias, kernel_shape=window.kernel, strides=window.stride, group=s["groups"],
                dilations=window.dilation, pads=[top, left, bottom, right])
    return rectified(g, step, out, s["relu"])


def conv_transpose2d(g: Graph, step: Step, x: str, weight: str, bias: str | None) -> str:
    s = step.settings
    window, more = transposed_window("conv_transpose2d", step.inputs[1].shape[2:], s["stride"], s["padding"],
                                     s["output_padding"], s["dilation"])
    (top, bottom), (left, right) = window.padding
    return g.add("ConvTranspose", x, weight, bias, kernel_shape=window.kernel, strides=window.stride, group=s["groups"],
                 dilations=window.dilation, pads=[top, left, bottom, right], output_padding=more)


def linear(g: Graph, step: Step, x: str, weight: str, bias: str | None) -> str:
    if len(step.inputs[0].shape) == 2:
        out = g.add("Gemm", x, weight, bias, transB=1)
    else:
        columns = g.add("Transpose", weight, part="transposed", perm=[1, 0])
        out = g.add("MatMul", x, columns, part="product" if bias else "")
        out = g.add("Add", out, bias) if bias else out
    return rectified(g, step, out, step.settings["relu"])


def batch_norm(g: Graph, step: Step, x: str, weight: str | None, bias: str | None, add: str | None) -> str:
    s, channels = step.settings, step.inputs[0].shape[1]
    if s["training"]:
        raise ValueError("it normalizes by the moments of the batch, which a graph does not; use a batch norm with "
                         "track_running_stats=True")
    weight = weight or g.array(np.ones(channels, step.out.dtype), "ones")
    bias = bias or g.array(np.zeros(channels, step.out.dtype), "zeros")
    out = g.add("BatchNormalization", x, weight, bias, g.array(s["mean"], "mean"), g.array(s["var"], "var"),
                epsilon=s["eps"])
    out = g.add("Add", out, add, part="add") if add else out
    return rectified(g, step, out, s["relu"], s["ceiling"])


def layer_norm(g: Graph, step: Step, x: str, weight: str | None, bias: str | None) -> str:
    shape = step.settings["shape"]
    weight = weight or g.array(np.ones(shape, step.out.dtype), "ones")
    return g.add("LayerNormalization", x, weight, bias, axis=-len(shape), epsilon=step.settings["eps"])


def group_norm(g: Graph, step: Step, x: str, groups: Any, weight: str | None, bias: str | None) -> str:
    """Each group as a channel of InstanceNormalization. GroupNormalization itself is sound since opset 21 only."""
    groups = int(step.inputs[1])
    _, c, *size = step.inputs[0].shape
    if not all(isinstance(n, int) for n in (c, *size)):
        raise ValueError("its shape depends on the number of images")
    ones, zeros = (g.array(np.full(groups, n, step.out.dtype), part) for n, part in ((1, "ones"), (0, "zeros")))
    grouped = g.add("Reshape", x, g.ints([0, groups, -1], "groups"), part="grouped")
    out = g.add("InstanceNormalization", grouped, ones, zeros, part="normalized", epsilon=step.settings["eps"])
    out = g.add("Reshape", out, g.ints([0, c, *size], "shape"), part="" if weight is bias is None else "restored")
    per_channel = g.ints([c, *(1 for _ in size)], "per_channel") if size else None
    for kind, v, part in (("Mul", weight, "scaled" if bias else ""), ("Add", bias, "")):
        if v is not None:
            v = g.add("Reshape", v, per_channel, part=f"{kind.lower()}_by") if size else v
            out = g.add(kind, out, v, part=part)
    return out


def local_response_norm(g: Graph, step: Step, x: str) -> str:
    s = step.settings
    if s["size"] % 2 == 0:
        raise ValueError(f"size={s['size']} is even, for which ONNX places the window differently; use an odd size")
    return g.add("LRN", x, size=s["size"], alpha=float(s["alpha"]), beta=float(s["beta"]), bias=float(s["k"]))


WRITERS: dict[str, Callable[..., str]] = {
    "conv2d": conv2d, "conv_transpose2d": conv_transpose2d, "linear": linear, "batch_norm": batch_norm,
    "layer_norm": layer_norm, "group_norm": group_norm, "local_response_norm": local_response_norm,
}  # fmt: skip
