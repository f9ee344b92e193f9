"""Hypothesis strategies for operations on arrays: what is drawn here is legal by construction.

Hypothesis draws geometry (shapes, settings, memory layouts), which it is good at shrinking; numbers come from a seed,
by `distinct_values`. Nothing is filtered afterwards: a size is drawn as the smallest that fits plus something, so that
non-square kernels, odd sizes, uneven strides, and batches and channels of 1 are the rule. For example

    @given(case=convolutions(), layout=layouts, seed=seeds)
    def test_my_conv2d(case, layout, seed):
        x, weight = (layout(a) for a in distinct_values(case.x, case.weight, seed=seed))
        check_gradients(lambda x, weight: my_conv2d(x, weight, **case.settings), x, weight, seed=seed)
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.device import array_module

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("minidl.testing.strategies needs Hypothesis; get it with `pip install minidl[test]`") from error

seeds = st.integers(0, 2**32 - 1)


def distinct_values(*shapes, seed, dtype=np.float64):
    """NumPy arrays of these shapes, with numbers in (-1, 1) of which no two are equal and none is near 0.

    A shuffled ramp over all arrays together: its steps are 2 / total, and 0 lies in the middle of one. So there are no
    ties for max pooling, no kinks within reach for relu, and the arrays may be compared with each other.
    """
    sizes = [math.prod(shape) for shape in shapes]
    total = sum(sizes)
    ramp = (np.arange(total) - total // 2 + 0.5) / (total / 2 + 1) if total else np.zeros(0)
    np.random.default_rng(seed).shuffle(ramp)
    parts = np.split(ramp, np.cumsum(sizes)[:-1]) if shapes else []
    return [part.reshape(shape).astype(dtype) for part, shape in zip(parts, shapes, strict=True)]


# Shapes and axes

def shapes(min_dims=0, max_dims=4, min_side=1, max_side=4):
    """Shapes: tuples of `min_dims` to `max_dims` lengths."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable_shapes(draw, count=2, max_dims=4):
    """`count` shapes that broadcast together: one shape, of which each drops axes in front and makes others 1."""
    full = draw(shapes(max_dims=max_dims))
    drawn = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))):]
        drawn.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    return tuple(drawn)


def axes(ndim):
    """What `axis` of a reduction may be for an array of `ndim` axes: None, a number, a tuple; negative ones too."""
    if ndim == 0:
        return st.sampled_from([None, ()])
    one = st.integers(-ndim, ndim - 1)
    return st.none() | one | st.lists(one, unique_by=lambda i: i % ndim, max_size=ndim).map(tuple)


class Reduction(NamedTuple):
    """A shape, and the settings of a reduction over it."""

    shape: tuple
    settings: dict


@st.composite
def reductions(draw, max_dims=4):
    """Shapes with an `axis` and a `keepdims` for them."""
    shape = draw(shapes(max_dims=max_dims))
    return Reduction(shape, {"axis": draw(axes(len(shape))), "keepdims": draw(st.booleans())})


# Sliding windows

class Convolution(NamedTuple):
    """The shapes of a convolution's inputs, and its settings."""

    x: tuple
    weight: tuple
    bias: tuple
    settings: dict


class Pooling(NamedTuple):
    """The shape of a pooling's input, and its settings."""

    x: tuple
    settings: dict


@st.composite
def convolutions(draw, max_side=4, grouped=True):
    """Convolutions of all kinds: uneven, padded by numbers or names, strided, dilated, grouped; outputs are small.

    `max_side` bounds the kernel and the output, `grouped` lets `groups` be more than 1.
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
    """Poolings with overlapping, touching and gaping windows; the padding is at most half of the kernel.

    `dilated` lets `dilation` be more than 1, and names it.
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


def pairs(least, most):
    """Two whole numbers; as often as not they are equal."""
    number = st.integers(least, most)
    return st.tuples(number, number) | number.map(lambda n: (n, n))


def short(pair):
    """A pair as it is or, if its numbers are equal, perhaps as the one number."""
    return st.sampled_from([pair, pair[0]]) if pair[0] == pair[1] else st.just(pair)


@st.composite
def sizes(draw, extent, stride, padding, most):
    """(H, W) over which a window spanning `extent` has at least one place, and seldom more than `most`.

    H = (OH - 1) * stride + extent - 2 * padding + slack, with a slack that the stride leaves over at the far edge.
    """
    drawn = []
    for e, s, p in zip(extent, stride, padding, strict=True):
        least = max(1, math.ceil((2 * p + 1 - e) / s) + 1)              # the first OH for which H is at least 1
        out, slack = draw(st.integers(least, max(least, most))), draw(st.integers(0, s - 1))
        drawn.append((out - 1) * s + e - 2 * p + slack)
    return tuple(drawn)


# Memory layouts: functions that give an array with the same elements in the same places, laid out otherwise in memory.

def c_order(x):
    """Rows one after another, the usual way."""
    return x.copy()


def channels_last(x):
    """Axis 1, the channels of images, runs fastest in memory."""
    if x.ndim < 3:
        return x.copy()
    order = (0, *range(2, x.ndim), 1)
    return x.transpose(order).copy().transpose((0, x.ndim - 1, *range(1, x.ndim - 1)))


def transposed(x):
    """The first axis runs fastest in memory."""
    return x.T.copy().T


def sliced(x):
    """Every second element of a larger array; whoever strays into the gaps finds NaN there, or the largest integer."""
    xp = array_module(x)
    gaps = math.nan if x.dtype.kind == "f" else True if x.dtype.kind == "b" else np.iinfo(x.dtype).max
    larger = xp.full(tuple(2 * n + 1 for n in x.shape), gaps, dtype=x.dtype)
    view = larger[(..., *(slice(1, None, 2),) * x.ndim)]                # `...`: a view even if there are no axes
    view[...] = x
    return view


def reverse(x):
    """Backwards in memory along every axis: all strides are negative."""
    backwards = (..., *(slice(None, None, -1),) * x.ndim)
    return x[backwards].copy()[backwards]


layouts = st.sampled_from([c_order, channels_last, transposed, sliced, reverse])
