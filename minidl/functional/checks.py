"""The checks that operations share: each raises an error that begins with the operation's name and says what to fix.

Some also convert a setting: `fraction` to a Python number, `pair` and `window_of` to what the kernels take. NumPy's
numbers, and arrays of one or several, are taken as Python's everywhere; `minidl/scalars.py` has the simplest checks.
"""

import functools
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, ParamSpec, TypeAlias

import numpy as np

from minidl import faults
from minidl.arrays import is_float, on_gpu
from minidl.device import Array, at
from minidl.kernels import Window
from minidl.modes import mode
from minidl.scalars import number, plain
from minidl.tensor import Tensor

Axis: TypeAlias = int | Sequence[int] | None
Pair: TypeAlias = int | Sequence[int]                        # (vertical, horizontal), or one number for both
Padding: TypeAlias = Pair | str                              # the same, or "same" or "valid"
Reduction: TypeAlias = Literal["mean", "sum", "none"]

P = ParamSpec("P")
REDUCTIONS = ("mean", "sum", "none")
ONLY_INTEGERS = frozenset({int})


# Numbers

def unwrapped(value: Any) -> Any:
    """`plain`, with lists and arrays as tuples, which can be hashed."""
    if type(value) is int or (type(value) is tuple and ONLY_INTEGERS.issuperset(map(type, value))):
        return value                                         # the usual cases, quickly
    chosen = plain(value)
    return tuple(map(unwrapped, chosen)) if isinstance(chosen, tuple | list) else chosen


def is_whole(value: Any) -> bool:
    """Whether a Python number is an integer, and no truth value."""
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def is_real(value: Any) -> bool:
    """Whether a Python value is a real number, and no truth value."""
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def wholes(name: str, setting: str, values: Any) -> tuple[int, ...]:
    """A setting as Python ints, such as a shape."""
    if type(values) is tuple and ONLY_INTEGERS.issuperset(map(type, values)):
        return values                                        # the usual case, quickly
    numbers = unwrapped(values)
    if not isinstance(numbers, tuple) or not all(map(is_whole, numbers)):
        raise ValueError(f"{name}: {setting}={values!r} must be whole numbers")
    return tuple(map(int, numbers))


def pair(name: str, setting: str, value: Any, least: int) -> tuple[int, int]:
    """(vertical, horizontal) from one integer or two, each at least `least`."""
    numbers = unwrapped(value)
    both = numbers if isinstance(numbers, tuple) else (numbers, numbers)
    if len(both) != 2 or not all(is_whole(v) and v >= least for v in both):
        raise ValueError(f"{name}: {setting}={value!r} must be a whole number of at least {least}, or two of them")
    return int(both[0]), int(both[1])


def real(name: str, setting: str, value: Any) -> float:
    """A setting as a Python int or float, which may be infinite or NaN."""
    chosen = plain(value)
    if not is_real(chosen):
        raise ValueError(f"{name}: {setting}={value!r} must be a number")
    return chosen


def not_negative(name: str, setting: str, value: Any) -> float:
    """A setting as a Python float; it must be a finite number of at least 0."""
    chosen = number(name, setting, value)
    if chosen < 0:
        raise ValueError(f"{name}: {setting}={value!r} must not be negative")
    return chosen


def fraction(name: str, setting: str, value: Any) -> float:
    """A setting as a Python float; it must be between 0 and 1."""
    chosen = plain(value)
    if not is_real(chosen) or not 0 <= chosen <= 1:
        raise ValueError(f"{name}: {setting}={value!r} is not between 0 and 1, as a probability or a share must be")
    return float(chosen)


def above_zero(name: str, ceiling: Any) -> float | None:
    """The ceiling of a ReLU as a Python float above 0, or None if there is none."""
    highest = None if ceiling is None else number(name, "ceiling", ceiling)
    if highest is not None and highest <= 0:
        raise ValueError(f"{name}: ceiling={ceiling!r} must be larger than 0")
    return highest


# Arrays

def check_array(name: str, x: Any) -> None:
    """Raise TypeError unless x is a Tensor or an array: for functions that are composed of operations."""
    if not hasattr(x, "ndim"):
        raise TypeError(f"{name}: {x!r:.60} is given for an input that must be a Tensor or an array")


def axes_of(x: Any, axis: Axis, name: str) -> tuple[int, ...]:
    """`axis` as a tuple of integers from 0 to x.ndim - 1; None stands for all axes."""
    if axis is None:
        return tuple(range(x.ndim))
    if type(axis) is int and -x.ndim <= axis < x.ndim:       # the usual case, quickly
        return (axis % x.ndim,)
    numbers = unwrapped(axis)
    axes = numbers if isinstance(numbers, tuple) else (numbers,)
    for i in axes:
        if not is_whole(i) or not -x.ndim <= i < x.ndim:
            there = f"axes 0 to {x.ndim - 1}" if x.ndim else "no axes"
            raise IndexError(f"{name}: axis {i!r} of a tensor of shape {x.shape}; it has {there}")
    axes = tuple(int(i) % x.ndim for i in axes)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis {axis} names an axis twice")
    return axes


def check_images(name: str, x: Any) -> None:
    """Raise unless x is a batch of floating-point images (N, C, H, W)."""
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be images (N, C, H, W), not {x.shape}")
    if not is_float(x.dtype):
        raise TypeError(f"{name}: x must hold floats, not {x.dtype}; convert with .astype(numpy.float32)")


def check_pixels(name: str, x: Any) -> None:
    """Raise ValueError if images (N, C, H, W) have nothing to look at: only N may be 0."""
    if 0 in x.shape[1:]:
        raise ValueError(f"{name}: x {x.shape} has no pixels; only N may be 0")


def check_dtypes(name: str, *arrays: Array | None) -> None:
    """Raise TypeError unless all arrays (None is skipped) have the same floating-point dtype."""
    dtypes = [a.dtype for a in arrays if a is not None]
    if dtypes and (any(d != dtypes[0] for d in dtypes) or not is_float(dtypes[0])):
        raise TypeError(f"{name}: its inputs have dtypes {', '.join(map(str, dtypes))}; all must have the same "
                        "floating-point dtype, so convert with .astype(numpy.float32)")


# Sliding windows

def window_of(name: str, size: Sequence[int], kernel: Pair, stride: Pair, padding: Padding,
              dilation: Pair = 1) -> Window:
    """The Window that these settings describe; it must fit at least once into images of `size` (H, W)."""
    settings = (s if isinstance(s, int | str) else unwrapped(s) for s in (kernel, stride, padding, dilation))
    return checked_window(name, tuple(size), *settings)


@functools.lru_cache(maxsize=512, typed=True)
def checked_window(name, size, kernel, stride, padding, dilation):
    """The same for settings that can be hashed, cached: a network asks for the same windows in every step."""
    kernel = pair(name, "kernel_size", kernel, 1)
    stride = pair(name, "stride", stride, 1)
    dilation = pair(name, "dilation", dilation, 1)
    window = Window(kernel, stride, ((0, 0), (0, 0)), dilation)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{name}: padding='same' needs stride 1, not {stride}")
        pads = tuple(((extent - 1) // 2, extent // 2) for extent in window.extent)
    elif padding == "valid":
        pads = ((0, 0), (0, 0))
    else:
        pads = tuple((p, p) for p in pair(name, "padding", padding, 0))
    window = window._replace(padding=pads)
    if min(window.out(size)) < 1:
        raise ValueError(f"{name}: a window that spans {window.extent} does not fit images of "
                         f"{window.padded(size)} pixels (padding {pads} included)")
    return window


def transposed_window(name: str, kernel: tuple[int, int], stride: Pair, padding: Pair, output_padding: Pair,
                    dilation: Pair) -> tuple[Window, tuple[int, int]]:
    """The Window of the convolution that a transposed convolution transposes, and the output_padding as a pair."""
    stride, dilation = pair(name, "stride", stride, 1), pair(name, "dilation", dilation, 1)
    padding, more = pair(name, "padding", padding, 0), pair(name, "output_padding", output_padding, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(f"{name}: output_padding={output_padding} must be smaller than stride={stride} or "
                         f"dilation={dilation}")
    return Window(kernel, stride, tuple((p, p) for p in padding), dilation), more


# Losses

def placed(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A function composed of operations and array code: the array code, too, runs on the GPU of the first argument."""
    @functools.wraps(loss)
    def there(*inputs: P.args, **settings: P.kwargs) -> Tensor:
        first: Any = inputs[0] if inputs else None
        array = first.data if isinstance(first, Tensor) else first
        if not on_gpu(array):
            return loss(*inputs, **settings)
        with at(array):
            return loss(*inputs, **settings)
    return there


def check_reduction(name: str, reduction: str) -> None:
    """Raise ValueError unless `reduction` is one of PyTorch's three."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction={reduction!r} is none of {', '.join(REDUCTIONS)}")


def check_same_shape(name: str, x: Array, target: Array) -> None:
    """Raise ValueError unless x and its target have the same shape."""
    if x.shape != target.shape:
        raise ValueError(f"{name}: the input {x.shape} and the target {target.shape} must have the same shape")


def check_constant(name: str, **tensors: Any) -> None:
    """Raise RuntimeError if one of these inputs requires a gradient, which the operation does not have."""
    for what, tensor in tensors.items():
        if isinstance(tensor, Tensor) and tensor.requires_grad and mode.recording:
            raise RuntimeError(f"{name}: {what} cannot have a gradient; give {what}.detach()")


def check_scores(name: str, x: Any) -> None:
    """Raise unless x is a floating-point (N, C, ...) without axes of length 0."""
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name}: the input must be (N, C) or (N, C, ...) with no axis of length 0, not {x.shape}")
    if not is_float(x.dtype):
        raise TypeError(f"{name}: the input must hold floats, not {x.dtype}; convert with .astype(numpy.float32)")


def check_target(name: str, shape: tuple[int, ...], target: Any, ignore_index: int) -> None:
    """Raise unless `target` (N, ...) has integer elements that are classes of scores of `shape` (N, C, ...)."""
    check_indices(name, shape, target)
    check_classes(name, shape[1], target, ignore_index)


def check_indices(name: str, shape: tuple[int, ...], target: Any) -> None:
    """Raise unless `target` (N, ...) holds integers, and fits scores of `shape` (N, C, ...)."""
    if not hasattr(target, "dtype") or target.dtype.kind not in "iu":
        kind = getattr(target, "dtype", type(target).__name__)
        raise TypeError(f"{name}: the target must hold class indices (integers), not {kind}")
    if target.shape != shape[:1] + shape[2:]:
        raise ValueError(f"{name}: the target {target.shape} does not fit the input {shape}; "
                         f"it must be {shape[:1] + shape[2:]}")


def check_classes(name: str, classes: int, target: Any, ignore_index: int) -> None:
    """Raise unless all elements of `target` are classes or ignored; of one on a GPU, note it there."""
    on_host = isinstance(target, np.ndarray)
    if on_host and target.min() >= 0 and target.max() < classes:         # the common case, in two quick passes
        return
    wrong = (target != ignore_index) & ((target < 0) | (target >= classes))
    message = faults.no_class(name, classes, ignore_index)
    if not on_host:
        faults.note(wrong, target, message)
    elif wrong.any():
        raise ValueError(message.format(target[wrong][0]))
