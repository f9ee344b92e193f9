"""Arithmetic, activations, reductions and softmax."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from onnx import helper

from minidl.functional.checks import axes_of
from minidl.onnx.graph import Graph
from minidl.onnx.trace import Step


def plain(kind: str, g: Graph, step: Step, *inputs: str) -> str:
    """One node without attributes."""
    return g.add(kind, *inputs)


def relu(g: Graph, step: Step, x: str) -> str:
    return rectified(g, step, x, True, step.settings["ceiling"], part="")


def relu6(g: Graph, step: Step, x: str) -> str:
    return rectified(g, step, x, True, 6.0, part="")


def rectified(g: Graph, step: Step, x: str, relu: bool, ceiling: float | None = None, part: str = "relu") -> str:
    """x, or max(x, 0) if `relu`, or min(max(x, 0), ceiling)."""
    if not relu:
        return x
    if ceiling is None:
        return g.add("Relu", x, part=part)
    return g.add("Clip", x, g.scalar(0, step.out.dtype, "low"), g.scalar(ceiling, step.out.dtype, "high"), part=part)


def clamp(g: Graph, step: Step, x: str) -> str:
    low, high = (None if v is None else g.scalar(v, step.out.dtype, name)
                 for v, name in ((step.settings["min"], "low"), (step.settings["max"], "high")))
    return g.add("Clip", x, low, high)


def leaky_relu(g: Graph, step: Step, x: str) -> str:
    return g.add("LeakyRelu", x, alpha=step.settings["negative_slope"])


def elu(g: Graph, step: Step, x: str) -> str:
    return g.add("Elu", x, alpha=step.settings["alpha"])


def silu(g: Graph, step: Step, x: str) -> str:
    return g.add("Mul", x, g.add("Sigmoid", x, part="sigmoid"))


def gelu(g: Graph, step: Step, x: str) -> str:
    """The operator Gelu of opset 20, or the formula before it."""
    approximate = step.settings["approximate"]
    if g.opset >= 20:
        return g.add("Gelu", x, approximate=approximate)

    def number(value: float, part: str) -> str:
        return g.scalar(value, step.out.dtype, part)
    if approximate == "none":
        inner = g.add("Erf", g.add("Div", x, number(math.sqrt(2), "root"), part="scaled"), part="erf")
    else:
        cube = g.add("Mul", g.add("Pow", x, number(3, "three"), part="cube"), number(0.044715, "share"), part="bend")
        scaled = g.add("Mul", g.add("Add", x, cube, part="bent"), number(math.sqrt(2 / math.pi), "root"), part="scaled")
        inner = g.add("Tanh", scaled, part="tanh")
    half = g.add("Mul", x, number(0.5, "half"), part="halved")
    return g.add("Mul", half, g.add("Add", inner, number(1, "one"), part="shifted"))


def softplus(g: Graph, step: Step, x: str) -> str:
    """ONNX's Softplus has no threshold; beyond one of 15 or more, the two agree to float32's digits."""
    beta, threshold = step.settings["beta"], step.settings["threshold"]
    if threshold < 15:
        raise ValueError(f"threshold={threshold:g} cannot be exported; 20, the default, can")
    if beta == 1:
        return g.add("Softplus", x)
    factor = g.scalar(beta, step.out.dtype, "beta")
    return g.add("Div", g.add("Softplus", g.add("Mul", x, factor, part="scaled"), part="softplus"), factor)


def along_axis(kind: str, g: Graph, step: Step, x: str) -> str:
    """Softmax or LogSoftmax."""
    axis, = axes_of(Axes(step), step.settings["axis"], step.operation)
    return g.add(kind, x, axis=axis)


def cast(g: Graph, step: Step, x: str) -> str:
    return g.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(step.out.dtype)))


def nothing(g: Graph, step: Step, x: str) -> str:
    """x itself: for what only moves or names it."""
    return x


def dropout(g: Graph, step: Step, x: str) -> str:
    if step.settings["training"] and step.settings["p"] > 0:
        raise ValueError("it drops elements although the model is in eval mode; pass training=self.training")
    return x


class Axes:
    """The number of axes of a step's input, as `axes_of` reads it."""

    def __init__(self, step: Step):
        self.shape = step.inputs[0].shape
        self.ndim = len(self.shape)


def reduction(kind: str, g: Graph, step: Step, x: str) -> str:
    """A reduction with the settings `axis` and `keepdims`."""
    return g.reduce(kind, x, axes_of(Axes(step), step.settings["axis"], step.operation), step.settings["keepdims"])


def var(g: Graph, step: Step, x: str) -> str:
    """The mean of squared distances, corrected for the degrees of freedom."""
    axes = axes_of(Axes(step), step.settings["axis"], "var")
    lengths = [step.inputs[0].shape[axis] for axis in axes]
    if not all(isinstance(n, int) for n in lengths):
        raise ValueError("a variance over the images of a batch cannot be exported")
    n = math.prod(lengths)
    distances = g.add("Sub", x, g.reduce("ReduceMean", x, axes, part="mean"), part="distances")
    squares = g.add("Mul", distances, distances, part="squares")
    if step.settings["correction"] == 0:
        return g.reduce("ReduceMean", squares, axes, step.settings["keepdims"])
    total = g.reduce("ReduceSum", squares, axes, step.settings["keepdims"], part="total")
    return g.add("Div", total, g.scalar(n - step.settings["correction"], step.out.dtype, "degrees"))


WRITERS: dict[str, Callable[..., Any]] = {
    **{name: partial(plain, kind) for name, kind in {
        "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "pow": "Pow", "exp": "Exp", "log": "Log",
        "sqrt": "Sqrt", "root": "Sqrt", "sin": "Sin", "cos": "Cos", "abs": "Abs", "maximum": "Max", "minimum": "Min",
        "where": "Where", "sigmoid": "Sigmoid", "tanh": "Tanh", "hardswish": "HardSwish", "matmul": "MatMul"}.items()},
    **{name: partial(reduction, kind) for name, kind in {
        "sum": "ReduceSum", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin",
        "logsumexp": "ReduceLogSumExp"}.items()},
    **{name: partial(along_axis, kind) for name, kind in {
        "softmax": "Softmax", "log_softmax": "LogSoftmax"}.items()},
    "relu": relu, "relu6": relu6, "clamp": clamp, "leaky_relu": leaky_relu, "elu": elu, "silu": silu, "gelu": gelu,
    "softplus": softplus, "cast": cast, "dropout": dropout, "dropout2d": dropout, "passed": nothing, "move": nothing,
    "clone": nothing, "var": var,
}  # fmt: skip
