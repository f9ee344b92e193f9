"""Shapes, slices and constants: what rearranges elements or makes them from nothing."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import minidl.functional as F
from minidl.onnx.reading.functions import array, axes_in, check_images, ints, is_float
from minidl.onnx.source import Operator, array_of, check_room

FARTHEST = 1 << 40                               # an end of a slice; larger ones mean "to the end"


def reshaped(x: Any, shape: Any) -> Any:
    """x in another shape."""
    return F.reshape(x, shape=tuple(shape)) if is_float(x) else array(x).reshape(tuple(shape))


def reshape(node: Operator, x: Any, shape: Any) -> Any:
    """0 keeps a length, unless `allowzero`; -1 is inferred."""
    target = ints(shape)
    if not node.get("allowzero", 0):
        target = [x.shape[i] if n == 0 and i < x.ndim else n for i, n in enumerate(target)]
    if target.count(-1) == 1 and 0 in x.shape:   # NumPy cannot infer a length beside one of 0
        rest = math.prod(n for n in target if n not in (0, -1))
        whole = math.prod(n for n in x.shape if n)
        if target.count(0) == x.shape.count(0) and whole % rest == 0:
            target[target.index(-1)] = whole // rest
    return reshaped(x, target)


def flatten(node: Operator, x: Any) -> Any:
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(node: Operator, *values: Any) -> Any:
    x, axes = values[0], axes_in(node, values, 1, 13)
    gone = {i for i, n in enumerate(x.shape) if n == 1} if axes is None else {axis % x.ndim for axis in axes}
    if any(x.shape[i] != 1 for i in gone):
        raise ValueError(f"{node.kind} {node.name!r}: axes {axes} of the shape {x.shape} do not all have length 1")
    return reshaped(x, [n for i, n in enumerate(x.shape) if i not in gone])


def unsqueeze(node: Operator, *values: Any) -> Any:
    x, axes = values[0], axes_in(node, values, 1, 13) or []
    ndim = x.ndim + len(axes)
    new = {axis % ndim for axis in axes}
    lengths = iter(x.shape)
    return reshaped(x, [1 if i in new else next(lengths) for i in range(ndim)])


def transpose(node: Operator, x: Any) -> Any:
    axes = node.get("perm", tuple(reversed(range(x.ndim))))
    return F.permute(x, axes=tuple(axes)) if is_float(x) else array(x).transpose(axes)


def concat(node: Operator, *values: Any) -> Any:
    axis = node.get("axis", 1)
    if any(map(is_float, values)):
        return F.cat(values, axis)
    return np.concatenate([array(x) for x in values], axis)


def split(node: Operator, x: Any, sizes: Any = None) -> tuple[Any, ...]:
    """Parts along an axis: of given lengths, or equal ones, the last perhaps shorter."""
    axis, parts = node.get("axis", 0) % x.ndim, len(node.outputs)
    lengths = node.get("split") if node.opset < 13 else None if sizes is None else ints(sizes)
    if lengths is None:
        length = -(-x.shape[axis] // parts)
        lengths = [min(length, max(0, x.shape[axis] - i * length)) for i in range(parts)]
    ends = np.cumsum([0, *lengths])
    return tuple(x[(slice(None),) * axis + (slice(int(a), int(b)),)] for a, b in itertools.pairwise(ends))


def sliced(node: Operator, x: Any, *more: Any) -> Any:
    """x[start:end:step] along some axes: attributes before opset 10, inputs since."""
    if node.opset < 10:
        starts, ends, axes, steps = (node.get(name) for name in ("starts", "ends", "axes", "steps"))
    else:
        starts, ends, axes, steps = (None if v is None else ints(v) for v in (*more, None, None)[:4])
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        n = x.shape[axis]
        stop = None if step < 0 and end < -n else min(max(end, -FARTHEST), FARTHEST)
        index[axis] = slice(min(max(start, -FARTHEST), FARTHEST), stop, step)
    return x[tuple(index)]


def gather(node: Operator, x: Any, index: Any) -> Any:
    axis = node.get("axis", 0) % x.ndim
    places = array(index)
    if places.size and not (-x.shape[axis] <= places.min() and places.max() < x.shape[axis]):
        raise ValueError(f"{node.kind} {node.name!r}: there is no place {places.max()} among {x.shape[axis]}")
    check_room(f"{node.kind} {node.name!r}", (*x.shape[:axis], *places.shape, *x.shape[axis + 1:]))
    return x[(slice(None),) * axis + (places if places.ndim else int(places),)]


def expand(node: Operator, x: Any, shape: Any) -> Any:
    target = np.broadcast_shapes(x.shape, tuple(ints(shape)))
    check_room(f"{node.kind} {node.name!r}", target)
    return F.expand(x, shape=target) if is_float(x) else np.broadcast_to(array(x), target)


def tile(node: Operator, x: Any, repeats: Any) -> Any:
    times = ints(repeats)
    check_room(f"{node.kind} {node.name!r}", [max(1, n) * t for n, t in zip(x.shape, times, strict=True)])
    for axis, n in enumerate(times):
        if n != 1:
            x = concat(Operator("Concat", node.name, {"axis": axis}, (), (), node.opset, None), *[x] * n)
    return x


def pad(node: Operator, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    """Borders: attributes before opset 11, inputs since; some axes only since opset 18."""
    ends = list(node.get("pads")) if node.opset < 11 else ints(pads)
    number = node.get("value", 0.0) if node.opset < 11 else 0 if value is None else array(value).reshape(()).item()
    mode = node.get("mode", "constant")
    chosen = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in ints(axes)]
    pairs = dict(zip(chosen, zip(ends[:len(chosen)], ends[len(chosen):], strict=True), strict=True))
    check_room(f"{node.kind} {node.name!r}", [max(0, n + sum(pairs.get(i, (0, 0)))) for i, n in enumerate(x.shape)])
    flat = [n for axis in reversed(range(x.ndim)) for n in pairs.get(axis, (0, 0))]
    while len(flat) > 4 and flat[-2:] == [0, 0]:
        del flat[-2:]
    if mode == "constant":
        return F.pad(x, flat, value=number) if is_float(x) else F.pad(array(x), flat, value=number).numpy()
    if mode not in ("reflect", "edge") or len(flat) > 4 or x.ndim != 4 or not is_float(x):
        raise node.refused(f"mode {mode!r} of these axes", "constant is, and reflect and edge of the rows and columns "
                           "of images")
    return F.pad(x, flat, "reflect" if mode == "reflect" else "replicate")


def depth_to_space(node: Operator, x: Any) -> Any:
    """Channels that become blocks of pixels; in the order CRD or DCR."""
    check_images(node, x)
    (n, c, h, w), b = x.shape, node.get("blocksize")
    if node.get("mode", "DCR") == "DCR":
        x = transposed(reshaped(x, (n, b, b, c // b**2, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        x = transposed(reshaped(x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return reshaped(x, (n, c // b**2, h * b, w * b))


def space_to_depth(node: Operator, x: Any) -> Any:
    check_images(node, x)
    (n, c, h, w), b = x.shape, node.get("blocksize")
    order = (0, 3, 5, 1, 2, 4) if node.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    x = transposed(reshaped(x, (n, c, h // b, b, w // b, b)), order)
    return reshaped(x, (n, c * b**2, h // b, w // b))


def transposed(x: Any, axes: tuple[int, ...]) -> Any:
    """x with its axes in another order."""
    return F.permute(x, axes=axes) if is_float(x) else array(x).transpose(axes)


def shape(node: Operator, x: Any) -> np.ndarray:
    start, end = node.get("start", 0), node.get("end")
    return np.array(x.shape[start:end], np.int64)


def size(node: Operator, x: Any) -> np.ndarray:
    return np.array(math.prod(x.shape), np.int64)


def constant(node: Operator) -> np.ndarray:
    """An array in the file, or a few numbers."""
    attributes = node.attributes
    if "value" in attributes:
        return array_of(attributes["value"], f"the constant {node.name!r:.60}")
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for name, dtype in kinds.items():
        if name in attributes:
            return np.array(attributes[name], dtype)
    raise node.refused("a constant of text, or a sparse one,", "arrays of numbers are")


def constant_of_shape(node: Operator, shape: Any) -> np.ndarray:
    lengths = ints(shape)
    check_room(f"{node.kind} {node.name!r}", lengths)
    value = array_of(node.get("value"), node.name) if node.get("value") is not None else np.zeros(1, np.float32)
    return np.full(lengths, value.reshape(-1)[0], value.dtype)


def range_of(node: Operator, start: Any, limit: Any, delta: Any) -> np.ndarray:
    first, last, step = (array(x).reshape(()).item() for x in (start, limit, delta))
    check_room(f"{node.kind} {node.name!r}", [max(0, math.ceil((last - first) / step))])
    return np.arange(first, last, step).astype(array(start).dtype)


def identity(node: Operator, x: Any, *more: Any) -> Any:
    """x itself; Dropout is this, too, in eval mode."""
    if len(more) > 1 and more[1] is not None and bool(array(more[1])):
        raise node.refused("training_mode", "a dropout that is not trained is; export the model in eval mode")
    if len(node.outputs) > 1 and node.outputs[1]:
        return x, np.ones(x.shape, bool)
    return x


OPERATORS: dict[str, Callable] = {
    "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Transpose": transpose,
    "Concat": concat, "Split": split, "Slice": sliced, "Gather": gather, "Expand": expand, "Tile": tile, "Pad": pad,
    "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth, "Shape": shape, "Size": size,
    "Constant": constant, "ConstantOfShape": constant_of_shape, "Range": range_of, "Identity": identity,
    "Dropout": identity,
}  # fmt: skip
