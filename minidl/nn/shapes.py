"""Shape inference: a batch of 0 images gives every output of a network its shape, without any arithmetic.

An empty batch does not suffice for every network. NumPy cannot infer the -1 of x.reshape(len(x), -1) if x has no
elements; a mean over no images is undefined; and an output of shape (N * T, C) is (0, C) for every T. Such a network is
run on one image instead.
"""

import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np

from minidl import kernels
from minidl.modes import mode
from minidl.nn.module import Module
from minidl.scalars import plain
from minidl.tensor import Tensor

Result = TypeVar("Result")


def on_empty_batch(model: Module, input_shape: Iterable[int], run: Callable[[Tensor], Result]) -> Result:
    """run(x) for an empty batch x of inputs of `input_shape`, such as (1, 28, 28), or, if that fails, for one of zeros.

    `run` calls the model; it is called a second time if the first call raises, or if an operation warns or breaks a
    rule of `EmptyBatch`. The plain kernels are used, so nothing is compiled. x has the dtype and device of the model's
    parameters.
    """
    shape = tuple(map(plain, input_shape))
    if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape={shape} must be whole numbers of at least 1, such as (1, 28, 28)")
    with kernels.using("plain"):
        x = zeros_for(model, (0, *shape))
        with suppress(Exception), warnings.catch_warnings(), watching(EmptyBatch(x)):
            warnings.simplefilter("error", RuntimeWarning)
            return run(x)
        return run(zeros_for(model, (1, *shape)))


def zeros_for(model: Module, shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with the dtype and on the device of the model's parameters."""
    for p in model.parameters():
        return Tensor(np.zeros(shape, p.dtype)).to(p.device)
    return Tensor(np.zeros(shape, np.float32))


def elements(x: Tensor) -> int:
    """The number of elements of x for one image; x was computed from an empty batch, or from one image."""
    return image_size(x) if x.shape[:1] == (0,) else math.prod(x.shape)


@contextmanager
def watching(watcher: Any) -> Iterator[None]:
    """In the block, `watcher` sees the operations of this thread: see `watched` in tensor.py."""
    before, mode.watcher = mode.watcher, watcher
    try:
        yield
    finally:
        mode.watcher = before


class EmptyBatch:
    """A watcher of operations, which makes sure that the shapes computed from the empty batch x hold for any batch.

    An operation raises ValueError unless its output has the batch as its first axis and no other axis of length 0;
    `reshape` and `cat` must not merge other axes with the batch. NumPy never copies an empty array to reshape it, but
    copies images to flatten them, because they are stored channels last: here that output is a copy, too.
    """

    def __init__(self, x: Tensor):
        self.input = x.data

    def watch(self, function: Callable[..., Any], phase: str, name: str) -> Callable[..., Any]:
        """The same function, checked in the forward pass."""
        return partial(self.forward, function, name) if phase == "forward" else function

    def forward(self, function, name, /, *inputs, **settings):
        """Call an operation, which returns its output and `backward`."""
        out, backward = function(*inputs, **settings)
        arrays = [x for x in inputs if 0 in getattr(x, "shape", ())]
        if not arrays:
            return out, backward
        merged = name in ("reshape", "cat") and image_size(out) != sum(map(image_size, arrays))
        if out.shape[:1] != (0,) or 0 in out.shape[1:] or merged:
            raise ValueError(f"{name}: the batch is not the first axis of the output {out.shape}")
        copied = name == "reshape" and arrays[0] is not self.input and needs_copy(arrays[0].shape, out.shape)
        return (out.copy() if copied else out), backward


def image_size(x: Any) -> int:
    """The number of elements of one image of the batch x."""
    return math.prod(x.shape[1:])


def needs_copy(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether images of shape `before` are copied to have the shape `after`: if it merges channels with pixels."""
    if len(before) != 4 or before[1] == 1 or math.prod(before[2:]) == 1:
        return False
    return before[1] not in itertools.accumulate(after[1:], operator.mul)
