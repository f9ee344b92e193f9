"""Compiles the kernels of a training step, beginning with the last: the second process of `runtime/second_process.py`.

It calls the kernels that a network with such parameters is likely to need, on tiny arrays and in the reverse order of a
training step. Nothing depends on it: where it guesses wrong, it only costs time.
"""

import json
import os
import sys
import time
from collections import deque

import numpy as np

from minidl.kernels import cpu
from minidl.kernels.cpu.runtime.cache import BeingCompiled, KernelCache
from minidl.kernels.geometry import Window
from minidl.kernels.parameters import Arrays

SIDE, IMAGES = 16, 8                         # of the tiny arrays


def main(optimizer, shapes, cores):
    """Call kernels until all are compiled, on any of these cores."""
    if cores:
        os.sched_setaffinity(0, cores)       # the first process may be bound to one
    if hasattr(os, "nice"):
        os.nice(10)                          # what the first process computes meanwhile comes first
    KernelCache.waits = False
    waiting = deque(calls(optimizer, shapes))
    while waiting:
        call = waiting.popleft()
        try:
            call()
        except BeingCompiled:                # by the first process: do something else meanwhile
            waiting.append(call)
            time.sleep(0.01)


def calls(optimizer, shapes):
    """Yield functions that call the kernels of a training step: the last kernel of the step first."""
    convolutions = list(dict.fromkeys(tuple(shape) for shape in shapes if len(shape) == 4))
    vectors = sum(len(shape) == 1 for shape in shapes)
    normalized = vectors > sum(len(shape) > 1 for shape in shapes)               # two vectors for each normalization
    yield lambda: step_of(optimizer)
    for i, shape in enumerate(convolutions):
        yield lambda shape=shape: weight_gradient(shape)
        if i > 0:                            # the first layer needs no gradient with respect to its input
            yield lambda shape=shape: input_gradient(shape)
    yield max_pooling_gradient
    if normalized:                           # such networks end in average pooling
        yield batch_norm_gradients
        yield lambda: cpu.avg_pool2d_gradient(image(6, 1), image(6).shape, Window((SIDE, SIDE)), 1.0)
    else:
        yield lambda: cpu.axis_sums(image(6, 4 * SIDE), (0, 2, 3))
    yield lambda: cpu.relu_gradient(image(6), image(6))
    yield lambda: cpu.cross_entropy(matrix(IMAGES, 10), np.zeros(IMAGES, np.int64), np.ones(10, np.float32), -100, 0.0,
                                    True)
    yield lambda: cpu.matmul(matrix(IMAGES, 6), matrix(6, 10), np.zeros(10, np.float32), False)
    for shape in reversed(convolutions):
        yield lambda shape=shape: convolve(shape)


def matrix(rows, columns):
    """Ones (rows, columns)."""
    return np.ones((rows, columns), np.float32)


def image(channels, side=SIDE):
    """Tiny images of ones, channels last in memory."""
    return np.ones((IMAGES, side, side, channels), np.float32).transpose(0, 3, 1, 2)


def step_of(optimizer):
    """One step of an optimizer with one parameter."""
    x, grad, slots = Arrays([matrix(2, 3)]), [matrix(2, 3)], [Arrays([matrix(2, 3)]) for _ in range(3)]
    if optimizer == "sgd":
        cpu.sgd(x, grad, slots[0], 0.1, 0.9, 0.0, False)
    elif optimizer in ("adam", "adamw"):
        cpu.adam(x, grad, *slots[:2], 1, 0.1, (0.9, 0.999), 1e-8, 0.0, optimizer == "adamw")
    elif optimizer == "rmsprop":
        cpu.rmsprop(x, grad, slots[0], None, None, 0.1, 0.9, 1e-8, 0.0, 0.0)
    elif optimizer == "adagrad":
        cpu.adagrad(x, grad, slots[0], 0.1, 1e-10, 0.0, 0.0)
    elif optimizer == "nadam":
        cpu.nadam(x, grad, *slots[:2], 1, 0.1, 0.1, (0.9, 0.999), 1e-8, 0.0, None)


def geometry(shape):
    """(images, filters, window, groups) of a convolution with filters of this shape; depthwise, if it may be."""
    f, c, kh, kw = shape
    groups = f if c == 1 and f >= SIDE else 1
    side = max(SIDE, 2 * kh)
    window = Window((kh, kw), padding=((kh // 2, kh // 2), (kw // 2, kw // 2)))
    return image(c * groups, side), np.ones(shape, np.float32), window, groups


def convolve(shape):
    """A convolution with filters of this shape."""
    x, weight, window, groups = geometry(shape)
    return cpu.conv2d(x, weight, None, window, groups, True)


def weight_gradient(shape):
    """The gradient with respect to its weight of a convolution with filters of this shape."""
    x, weight, window, groups = geometry(shape)
    cpu.conv2d_weight_gradient(image(len(weight), window.out(x.shape[2:])[0]), x, window, groups)


def input_gradient(shape):
    """The gradient with respect to its input."""
    x, weight, window, groups = geometry(shape)
    cpu.conv2d_input_gradient(image(len(weight), window.out(x.shape[2:])[0]), weight, x.shape, window, groups)


def max_pooling_gradient():
    """The gradient of pooling by 2x2 windows, with as few channels as LeNet's and with more."""
    for channels in (6, 64):
        out, winner = cpu.max_pool2d(image(channels), Window((2, 2), (2, 2)), True)
        cpu.max_pool2d_gradient(out, winner, image(channels).shape, Window((2, 2), (2, 2)))


def batch_norm_gradients():
    """Batch norm with ReLU, forward and backward, with and without an addition."""
    x, ones = image(SIDE), np.ones(SIDE, np.float32)
    mean, var = cpu.channel_moments(x)
    for add in (None, image(SIDE)):
        _, passed = cpu.batch_norm(x, ones, ones, add, mean, var, 1e-5, True)
        cpu.batch_norm_gradient(x, passed, x, ones, mean, var, 1e-5, True, add is not None)
    cpu.add(x, x)


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
