"""Operations that rearrange elements: reshaping, slices, padding, concatenation."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.functional.checks import axes_of
from minidl.functional.padding import pairs_of
from minidl.onnx.graph import Graph
from minidl.onnx.trace import Batch, Step
from minidl.onnx.writing.elementwise import Axes

LAST = np.iinfo(np.int64).max


def reshape(g: Graph, step: Step, x: str) -> str:
    """Flatten where that is what it does. Else 0 stands for the batch where it stays in place, or -1 where not."""
    before, after = step.inputs[0].shape, step.out.shape
    if len(after) == 2 and before[:1] == after[:1] == (Batch(),) and all(isinstance(n, int) for n in before[1:]):
        return g.add("Flatten", x, axis=1)
    free = [i for i, n in enumerate(after) if isinstance(n, Batch)]
    if len(free) > 1:
        raise ValueError(f"its output has the number of images in several axes {after}")
    target = [0 if i < len(before) and before[i] == n else -1 if isinstance(n, Batch) else n
              for i, n in enumerate(after)]
    target = [n if n or isinstance(after[i], Batch) else after[i] for i, n in enumerate(target)]
    return g.add("Reshape", x, g.ints(target, "shape"))


def permute(g: Graph, step: Step, x: str) -> str:
    return g.add("Transpose", x, perm=axes_of(Axes(step), step.settings["axes"], "permute"))


def cat(g: Graph, step: Step, *inputs: str) -> str:
    return g.add("Concat", *inputs, axis=axes_of(Axes(step), step.settings["axis"], "cat")[0])


def expand(g: Graph, step: Step, x: str) -> str:
    """1 keeps a length, whatever it is."""
    before, after = step.inputs[0].shape, step.out.shape
    before = (None,) * (len(after) - len(before)) + before
    target = [1 if have == want else want for have, want in zip(before, after, strict=True)]
    if not all(isinstance(n, int) for n in target):
        raise ValueError("it repeats something for each image of the batch; operations broadcast without that")
    return g.add("Expand", x, g.ints(target, "shape"))


def pad(g: Graph, step: Step, x: str) -> str:
    value = step.settings["value"]
    return padded(g, step, x, "constant", g.scalar(value, step.out.dtype, "value") if value else None)


def copied(g: Graph, step: Step, x: str) -> str:
    """Padding by copies of the image: F.pad with mode="reflect" or "replicate"."""
    return padded(g, step, x, {"reflect": "reflect", "replicate": "edge"}[step.settings["mode"]], None)


def padded(g: Graph, step: Step, x: str, mode: str, value: str | None) -> str:
    """Pad takes what is added before each axis, then what is added after each."""
    whole = tuple(n if isinstance(n, int) else LAST for n in step.inputs[0].shape)
    low, high = zip(*pairs_of(step.settings["pad"], whole), strict=True)
    return g.add("Pad", x, g.ints((*low, *high), "pads"), value, mode=mode)


def getitem(g: Graph, step: Step, x: str) -> str:
    """Slices, then an index array if there is one, then the axes that integers remove and None adds."""
    shape = step.inputs[0].shape
    index = step.settings["index"]
    parts = list(index) if isinstance(index, tuple) else [index]
    given = sum(part is not None and part is not Ellipsis for part in parts)
    fill = [slice(None)] * (len(shape) - given)
    if any(part is Ellipsis for part in parts):
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at:at + 1] = fill
    else:
        parts += fill
    arrays = [part for part in parts if hasattr(part, "dtype") and part.ndim]
    if len(arrays) > 1 or any(array.dtype.kind not in "iu" for array in arrays):
        raise ValueError("an index of booleans, or of several arrays, cannot be exported; use slices, or one array of "
                         "integers")
    slices: list[tuple[int, slice]] = []
    gathers: list[tuple[int, Any]] = []
    removed: list[int] = []
    added: list[int] = []
    axis = place = 0
    for part in parts:
        if part is None:
            added.append(place)
            place += 1
            continue
        if isinstance(part, slice):
            if part != slice(None):
                slices.append((axis, part))
        elif hasattr(part, "dtype") and part.ndim:
            gathers.append((axis, part))
            if arrays[0].ndim > 1 and (removed or added):
                raise ValueError("an index array of several axes beside integers or None cannot be exported")
        else:
            start = int(part)
            slices.append((axis, slice(start, start + 1 if start != -1 else None)))
            removed.append(axis)
            place -= 1
        axis, place = axis + 1, place + 1
    return rearranged(g, x, slices, gathers, removed, added)


def rearranged(g: Graph, x: str, slices: list, gathers: list, removed: list[int], added: list[int]) -> str:
    """The nodes of `getitem`, those that are needed; the last one has the step's own name."""
    todo: list[tuple[str, str, list]] = []
    if slices:
        axes, parts = zip(*slices, strict=True)
        steps = [1 if part.step is None else part.step for part in parts]
        starts = [(0 if s > 0 else LAST) if part.start is None else part.start for part, s in zip(parts, steps,
                                                                                                strict=True)]
        stops = [(LAST if s > 0 else -LAST) if part.stop is None else part.stop for part, s in zip(parts, steps,
                                                                                                   strict=True)]
        if any(isinstance(n, Batch) for n in (*starts, *stops, *steps)):
            raise ValueError("a slice by the number of images cannot be exported; leave that axis whole, with `:`")
        todo.append(("Slice", "slice", [g.ints(starts, "starts"), g.ints(stops, "stops"), g.ints(axes, "axes"),
                                        g.ints(steps, "steps")]))
    todo += [("Gather", "gather", [g.array(np.asarray(array, np.int64), "index"), axis]) for axis, array in gathers]
    if removed:
        todo.append(("Squeeze", "squeeze", [g.ints(removed, "removed")]))
    if added:
        todo.append(("Unsqueeze", "unsqueeze", [g.ints(added, "added")]))
    for i, (kind, part, more) in enumerate(todo):
        attributes = {"axis": more.pop()} if kind == "Gather" else {}
        x = g.add(kind, x, *more, part=part if i < len(todo) - 1 else "", **attributes)
    return x


WRITERS: dict[str, Callable[..., Any]] = {
    "reshape": reshape, "permute": permute, "cat": cat, "expand": expand, "pad": pad, "copy": copied,
    "getitem": getitem,
}  # fmt: skip
