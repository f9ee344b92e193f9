"""Arithmetic, activations, comparisons and reductions."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
from onnx import helper

import minidl.functional as F
from minidl.onnx.reading.functions import array, axes_in, erf, is_float
from minidl.onnx.source import Operator, check_room


def both(function: Callable, plain: Callable, node: Operator, *values: Any) -> Any:
    """Inputs that are broadcast together: by a function with gradients for floats, by NumPy for others."""
    check_room(f"{node.kind} {node.name!r}", np.broadcast_shapes(*(x.shape for x in values)))
    if any(map(is_float, values)):
        return reduce(function, values) if len(values) > 1 else function(values[0])
    arrays = [array(x) for x in values]
    out = reduce(plain, arrays) if len(arrays) > 1 else plain(arrays[0])
    return np.asarray(out, out.dtype if out.dtype.kind == "b" else arrays[0].dtype)


def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b of integers, rounded towards 0."""
    return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)


def power(node: Operator, a: Any, b: Any) -> Any:
    """a ** b in the type of a."""
    check_room(node.kind, np.broadcast_shapes(a.shape, b.shape))
    if is_float(a):
        b = array(b)
        return F.pow(a, b.astype(a.dtype) if b.ndim else float(b))
    return np.asarray(array(a) ** array(b)).astype(a.dtype)


def mean_of(node: Operator, *values: Any) -> Any:
    return several(F.add, np.add, node, *values) / len(values)


def several(function: Callable, plain: Callable, node: Operator, *values: Any) -> Any:
    """One input or more: Max, Min, Sum."""
    return values[0] if len(values) == 1 else both(function, plain, node, *values)


def by_numpy(function: Callable, node: Operator, *values: Any) -> Any:
    """What has no gradient: comparisons, logic, rounding."""
    check_room(f"{node.kind} {node.name!r}", np.broadcast_shapes(*(x.shape for x in values)))
    return np.asarray(function(*map(array, values)))


def alone(function: Callable, node: Operator, x: Any) -> Any:
    """One input, no attributes."""
    return function(x)


def gradual(function: Callable, plain: Callable, node: Operator, x: Any) -> Any:
    """One input, which may be of integers."""
    return function(x) if is_float(x) else plain(array(x))


def clip(node: Operator, x: Any, low: Any = None, high: Any = None) -> Any:
    """x limited to [low, high]: attributes before opset 11, inputs since."""
    low, high = (node.get(name) if node.opset < 11 else None if v is None else array(v).reshape(()).item()
                 for name, v in (("min", low), ("max", high)))
    if low is None and high is None:
        return x
    if not is_float(x):
        return np.clip(array(x), low, high).astype(x.dtype)
    if low is not None and high is not None and low == 0 and 0 < high < np.inf:
        return F.relu(x, ceiling=high)
    return F.clamp(x, min=low, max=high)


def leaky_relu(node: Operator, x: Any) -> Any:
    return F.leaky_relu(x, negative_slope=node.get("alpha", 0.01))


def elu(node: Operator, x: Any) -> Any:
    return F.elu(x, alpha=node.get("alpha", 1.0))


def celu(node: Operator, x: Any) -> Any:
    alpha = node.get("alpha", 1.0)
    return F.elu(x / alpha) * alpha


def selu(node: Operator, x: Any) -> Any:
    return F.elu(x, alpha=node.get("alpha", 1.67326319217681884765625)) * node.get("gamma", 1.05070102214813232421875)


def prelu(node: Operator, x: Any, slope: Any) -> Any:
    """A slope for negative elements; one for each channel may come without the axes behind."""
    if slope.ndim == 1 and slope.shape[0] not in (1, x.shape[-1]) and x.ndim > 2:
        slope = F.reshape(slope, shape=(-1, *(1,) * (x.ndim - 2)))
    return F.relu(x) - slope * F.relu(-x)


def thresholded_relu(node: Operator, x: Any) -> Any:
    return F.where(array(x) > node.get("alpha", 1.0), x, 0.0)


def hard_sigmoid(node: Operator, x: Any) -> Any:
    return F.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), min=0.0, max=1.0)


def gelu(node: Operator, x: Any) -> Any:
    return F.gelu(x, approximate=node.get("approximate", "none"))


def swish(node: Operator, x: Any) -> Any:
    return F.silu(x) if node.get("alpha", 1.0) == 1 else x * F.sigmoid(x * node.get("alpha"))


def softplus(node: Operator, x: Any) -> Any:
    return F.softplus(x, threshold=30.0)


def along(function: Callable, node: Operator, x: Any) -> Any:
    """Softmax along an axis; before opset 13 over all axes from that one on, taken as one."""
    if node.opset >= 13:
        return function(x, axis=node.get("axis", -1))
    axis = node.get("axis", 1)
    start = axis % x.ndim if axis < x.ndim else axis
    if x.ndim == start + 1:
        return function(x, axis=-1)
    shape = x.shape
    rows = F.reshape(x, shape=(*shape[:start], int(np.prod(shape[start:]))))
    return F.reshape(function(rows, axis=-1), shape=shape)


def arg_max(function: Callable, node: Operator, x: Any) -> np.ndarray:
    values, axis = array(x), node.get("axis", 0)
    if node.get("select_last_index", 0):
        flipped = np.flip(values, axis)
        return np.asarray(values.shape[axis] - 1 - function(flipped, axis=axis, keepdims=bool(node.get("keepdims", 1))))
    return np.asarray(function(values, axis=axis, keepdims=bool(node.get("keepdims", 1))))


def reduction(function: Callable, plain: Callable, since: int, node: Operator, *values: Any) -> Any:
    """A reduction over axes: an attribute before opset `since`, an input from there on."""
    x, axes = values[0], axes_in(node, values, 1, since)
    if not axes:
        if axes is not None and node.get("noop_with_empty_axes", 0):
            return x
        if axes is None and node.get("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.ndim))
    keepdims = bool(node.get("keepdims", 1))
    if is_float(x):
        return function(x, tuple(axes), keepdims)
    return np.asarray(plain(array(x), axis=tuple(axes), keepdims=keepdims)).astype(x.dtype)


def square_sum(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return F.sum(x * x, axes, keepdims)


def norm(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return F.sqrt(square_sum(x, axes, keepdims))


def absolute_sum(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return F.sum(F.abs(x), axes, keepdims)


def log_sum(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return F.log(F.sum(x, axes, keepdims))


def of_integers(function: Callable) -> Callable:
    """A reduction of integers by way of floats."""
    def reduced(x: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
        return function(x.astype(np.float64), axis, keepdims).numpy()
    return reduced


def where(node: Operator, condition: Any, a: Any, b: Any) -> Any:
    check_room(f"{node.kind} {node.name!r}", np.broadcast_shapes(condition.shape, a.shape, b.shape))
    return F.where(condition, a, b) if is_float(a) else np.where(array(condition), array(a), array(b))


def cast(node: Operator, x: Any) -> Any:
    try:
        dtype = helper.tensor_dtype_to_np_dtype(node.get("to"))
    except KeyError:
        dtype = np.dtype("O")
    if dtype.kind not in "biuf" or (dtype.name not in ("float32", "float64") and dtype.kind == "f"):
        raise node.refused(f"the type number {node.get('to')}", "float32, float64, integers and bool are")
    if dtype.kind == "f":
        return F.cast(x, dtype=dtype)
    return array(x).astype(dtype)


def cast_like(node: Operator, x: Any, other: Any) -> Any:
    return F.cast(x, dtype=other.dtype) if is_float(other) else array(x).astype(other.dtype)


def modulo(node: Operator, a: Any, b: Any) -> np.ndarray:
    """The remainder, with the sign of b, or with that of a if `fmod`."""
    remainder: Callable = np.fmod if node.get("fmod", 0) else np.mod
    return by_numpy(remainder, node, a, b)


def matmul(node: Operator, a: Any, b: Any) -> Any:
    return F.matmul(a, b) if is_float(a) else np.matmul(array(a), array(b))


def gemm(node: Operator, a: Any, b: Any, c: Any = None) -> Any:
    """alpha * A @ B + beta * C, each of A and B transposed if asked."""
    a, b = (F.transpose(x, 0, 1) if node.get(flag, 0) else x for x, flag in ((a, "transA"), (b, "transB")))
    out = F.matmul(a, b)
    out = out if node.get("alpha", 1.0) == 1 else out * node.get("alpha")
    if c is None:
        return out
    return out + (c if node.get("beta", 1.0) == 1 else F.mul(c, node.get("beta")))


WITHOUT_GRADIENT: dict[str, Callable] = {
    "Equal": np.equal, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor,
    "Not": np.logical_not, "Floor": np.floor, "Ceil": np.ceil, "Round": np.round, "Sign": np.sign,
}  # fmt: skip
OPERATORS: dict[str, Callable] = {
    "Add": partial(both, F.add, np.add), "Sub": partial(both, F.sub, np.subtract),
    "Mul": partial(both, F.mul, np.multiply), "Div": partial(both, F.div, quotient), "Pow": power,
    "Max": partial(several, F.maximum, np.maximum), "Min": partial(several, F.minimum, np.minimum),
    "Sum": partial(several, F.add, np.add), "Mean": mean_of,
    "Neg": partial(gradual, F.neg, np.negative), "Abs": partial(gradual, F.abs, np.abs),
    **{name: partial(alone, function) for name, function in {
        "Exp": F.exp, "Log": F.log, "Sin": F.sin, "Cos": F.cos, "Sqrt": F.sqrt, "Relu": F.relu, "Sigmoid": F.sigmoid,
        "Tanh": F.tanh, "HardSwish": F.hardswish, "Erf": erf, "Reciprocal": lambda x: F.div(1.0, x),
        "Softsign": lambda x: F.div(x, 1 + F.abs(x)), "Mish": lambda x: F.mul(x, F.tanh(F.softplus(x)))}.items()},
    **{name: partial(by_numpy, function) for name, function in WITHOUT_GRADIENT.items()},
    "Clip": clip, "LeakyRelu": leaky_relu, "Elu": elu, "Celu": celu, "Selu": selu, "PRelu": prelu,
    "ThresholdedRelu": thresholded_relu, "HardSigmoid": hard_sigmoid, "Gelu": gelu, "Swish": swish,
    "Softplus": softplus, "Softmax": partial(along, F.softmax), "LogSoftmax": partial(along, F.log_softmax),
    "ArgMax": partial(arg_max, np.argmax), "ArgMin": partial(arg_max, np.argmin),
    "ReduceSum": partial(reduction, F.sum, np.sum, 13), "ReduceMean": partial(reduction, F.mean, np.mean, 18),
    "ReduceMax": partial(reduction, F.amax, np.max, 18), "ReduceMin": partial(reduction, F.amin, np.min, 18),
    "ReduceL1": partial(reduction, absolute_sum, of_integers(absolute_sum), 18),
    "ReduceL2": partial(reduction, norm, of_integers(norm), 18),
    "ReduceSumSquare": partial(reduction, square_sum, of_integers(square_sum), 18),
    "ReduceLogSum": partial(reduction, log_sum, of_integers(log_sum), 18),
    "ReduceLogSumExp": partial(reduction, F.logsumexp, of_integers(F.logsumexp), 18),
    "Where": where, "Cast": cast, "CastLike": cast_like, "Mod": modulo, "MatMul": matmul, "Gemm": gemm,
}  # fmt: skip
