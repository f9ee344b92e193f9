"""Hypothesis strategies for operations on arrays: every example is valid by construction.

Hypothesis draws geometry (shapes, settings, memory layouts), which it shrinks well; elements come from a seed, by
`distinct_values`. No example is filtered out: a size is the smallest that fits plus a drawn amount, so that non-square
kernels, odd sizes, uneven strides, and batches and channels of 1 are common. For example

    @given(case=convolutions(), layout=layouts, seed=seeds)
    def test_my_conv2d(case, layout, seed):
        x, weight = (layout(a) for a in distinct_values(case.x, case.weight, seed=seed))
        check_gradients(lambda x, weight: my_conv2d(x, weight, **case.settings), x, weight, seed=seed)
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minidl.device import Array, array_module

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("minidl.testing.strategies needs Hypothesis; get it with `pip install minidl[test]`") from error

seeds = st.integers(0, 2**32 - 1)


def distinct_values(*shapes: tuple[int, ...], seed: int, dtype: DTypeLike = np.float64) -> list[Array]:
    """NumPy arrays of these shapes whose elements, in (-1, 1), are all different and not near 0.

    One shuffled ramp fills all arrays: its step is 2 / total, and 0 lies in the middle of a step. So there are no ties
    for max pooling, relu's kink is not near, and elements differ between arrays, too.
    """
    sizes = [math.prod(shape) for shape in shapes]
    total = sum(sizes)
    ramp = (np.arange(total) - total // 2 + 0.5) / (total / 2 + 1) if total else np.zeros(0)
    np.random.default_rng(seed).shuffle(ramp)
    parts = np.split(ramp, np.cumsum(sizes)[:-1]) if shapes else []
    return [part.reshape(shape).astype(dtype) for part, shape in zip(parts, shapes, strict=True)]


# Shapes and axes

def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 1,
           max_side: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes: tuples of `min_dims` to `max_dims` lengths."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable_shapes(draw, count=2, max_dims=4):
    """`count` shapes that broadcast together: each drops leading axes of one shape and sets others to 1."""
    full = draw(shapes(max_dims=max_dims))
    drawn = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))):]
        drawn.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    return tuple(drawn)


def axes(ndim: int) -> st.SearchStrategy[Any]:
    """Values of `axis` for reducing an array of `ndim` axes: None, integers and tuples, negative ones included."""
    if ndim == 0:
        return st.sampled_from([None, ()])
    one = st.integers(-ndim, ndim - 1)
    return st.none() | one | st.lists(one, unique_by=lambda i: i % ndim, max_size=ndim).map(tuple)


class Reduction(NamedTuple):
    """The shape of an array and the settings of its reduction."""

    shape: tuple
    settings: dict


@st.composite
def reductions(draw, max_dims=4):
    """Shapes with an `axis` and `keepdims`."""
    shape = draw(shapes(max_dims=max_dims))
    return Reduction(shape, {"axis": draw(axes(len(shape))), "keepdims": draw(st.booleans())})


# Sliding windows

class Convolution(NamedTuple):
    """The shapes of the inputs of a convolution, and its settings."""

    x: tuple
    weight: tuple
    bias: tuple
    settings: dict


class Pooling(NamedTuple):
    """The shape of the input of a pooling operation, and its settings."""

    x: tuple
    settings: dict


@st.composite
def convolutions(draw, max_side=4, grouped=True):
    """Convolutions of all kinds with small outputs: uneven, strided, dilated, grouped, padded by numbers or names.

    `max_side` limits the sides of kernel and output; `grouped` allows more than one group.
    """
    kernel = draw(pairs(1, max_side))
    dilation = draw(pairs(1, 3))
    padding = draw(pairs(0, 3) | st.sampled_from(["same", "valid"]))
    stride = (1, 1) if padding == "same" else draw(pairs(1, 3))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if padding == "same":
        size = draw(pairs(1, max_side))
    else:
        size = draw(sizes(extent, stride, (0, 0) if padding == "valid" else padding, max_side))
    groups = draw(st.integers(1, 3)) if grouped else 1
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    settings = {
        "stride": draw(short(stride)),
        "padding": padding if isinstance(padding, str) else draw(short(padding)),
        "dilation": draw(short(dilation)),
        "groups": groups,
    }
    return Convolution(
        x=(draw(st.integers(1, 3)), channels * groups, *size),
        weight=(filters * groups, channels, *kernel),
        bias=(filters * groups,),
        settings=settings,
    )


@st.composite
def poolings(draw, max_side=4, dilated=False):
    """Pooling with windows that overlap, touch or leave gaps; the padding is at most half of the kernel.

    `dilated` includes `dilation` in the settings.
    """
    kernel = draw(pairs(1, max_side))
    dilation = draw(pairs(1, 3)) if dilated else (1, 1)
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    stride = draw(st.none() | pairs(1, max_side))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = draw(sizes(extent, stride or kernel, padding, max_side))
    settings = {
        "kernel_size": draw(short(kernel)),
        "stride": None if stride is None else draw(short(stride)),
        "padding": draw(short(padding)),
        **({"dilation": draw(short(dilation))} if dilated else {}),
    }
    return Pooling((draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size), settings)


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    """Two integers, equal about half of the time."""
    number = st.integers(least, most)
    return st.tuples(number, number) | number.map(lambda n: (n, n))


def short(pair: tuple[Any, Any]) -> st.SearchStrategy[Any]:
    """A pair itself or, if both elements are equal, possibly just one of them."""
    return st.sampled_from([pair, pair[0]]) if pair[0] == pair[1] else st.just(pair)


@st.composite
def sizes(draw, extent, stride, padding, most):
    """(H, W) with at least one and rarely more than `most` positions of a window that spans `extent`.

    H = (OH - 1) * stride + extent - 2 * padding + slack, where the last window leaves `slack` pixels uncovered.
    """
    drawn = []
    for e, s, p in zip(extent, stride, padding, strict=True):
        least = max(1, math.ceil((2 * p + 1 - e) / s) + 1)              # the first OH for which H is at least 1
        out, slack = draw(st.integers(least, max(least, most))), draw(st.integers(0, s - 1))
        drawn.append((out - 1) * s + e - 2 * p + slack)
    return tuple(drawn)


# Memory layouts: functions that return an equal array with another memory layout

def c_order(x: Array) -> Array:
    """C order: the last axis is contiguous."""
    return x.copy()


def channels_last(x: Array) -> Array:
    """Axis 1, the channels of images, is contiguous."""
    if x.ndim < 3:
        return x.copy()
    order = (0, *range(2, x.ndim), 1)
    return x.transpose(order).copy().transpose((0, x.ndim - 1, *range(1, x.ndim - 1)))


def transposed(x: Array) -> Array:
    """Fortran order: the first axis is contiguous."""
    return x.T.copy().T


def sliced(x: Array) -> Array:
    """Every second element of a larger array; the gaps contain NaN, or the largest integer, to expose stray reads."""
    xp = array_module(x)
    gaps = math.nan if x.dtype.kind in "fV" else True if x.dtype.kind == "b" else np.iinfo(x.dtype).max
    larger = xp.full(tuple(2 * n + 1 for n in x.shape), gaps, dtype=x.dtype)
    view = larger[(..., *(slice(1, None, 2),) * x.ndim)]                # `...`: a view even without axes
    view[...] = x
    return view


def reverse(x: Array) -> Array:
    """Reversed in memory along every axis: all strides are negative."""
    backwards: Any = (..., *(slice(None, None, -1),) * x.ndim)
    return x[backwards].copy()[backwards]


layouts = st.sampled_from([c_order, channels_last, transposed, sliced, reverse])
