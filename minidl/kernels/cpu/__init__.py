"""Kernels for the CPU, compiled by Numba: the functions of `plain`, several times faster.

This file lists what the engine may call. Reading order, from the innermost loop outwards (docs/kernels.md has the words
and the pictures):

    llvm/gemm_microkernel.py     the loop in which nearly all arithmetic happens; llvm/vectors.py is its vocabulary
    gemm/packing.py, indirect.py, matmul.py                  matrix products of blocks that the caches hold
    convolution/direct.py        convolution as an indirect matrix product
    convolution/winograd.py      convolution with fewer products
    convolution/narrow.py        the input gradient of a first layer, which has few channels
    convolution/__init__.py      which of these computes which convolution
    llvm/depthwise_microkernel.py, convolution/depthwise.py  convolution where channels do not mix
    the rest, in any order       normalization/, softmax/, pooling, sums, activations and optimizers
    runtime/compile.py           what `@kernel` does: threads, launcher, cache

Images are channels last in memory here; others are copied first. A function without a docstring gets that of the plain
function of the same name.
"""

import inspect

from minidl.kernels import plain
from minidl.kernels.cpu.activation import activation, activation_gradient, relu, relu_gradient
from minidl.kernels.cpu.add import add
from minidl.kernels.cpu.augmentation import (
    add_noise,
    blend_each,
    blur,
    displace,
    erase,
    gather,
    level_tables,
    look_up,
    mix_channels,
    mix_pairs,
    warp,
)
from minidl.kernels.cpu.average_pooling import avg_pool2d, avg_pool2d_gradient
from minidl.kernels.cpu.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from minidl.kernels.cpu.copies import concatenate, place
from minidl.kernels.cpu.dropout import dropout
from minidl.kernels.cpu.gemm.matmul import matmul
from minidl.kernels.cpu.max_pooling import max_pool2d, max_pool2d_gradient
from minidl.kernels.cpu.normalization.batch_norm import batch_norm, batch_norm_gradient
from minidl.kernels.cpu.normalization.group_norm import group_norm, group_norm_gradient
from minidl.kernels.cpu.normalization.layer_norm import layer_norm, layer_norm_gradient
from minidl.kernels.cpu.normalization.moments import channel_moments
from minidl.kernels.cpu.normalization.response_norm import local_response_norm, local_response_norm_gradient
from minidl.kernels.cpu.normalization.running import move_moments
from minidl.kernels.cpu.optimizers import adagrad, adam, lerp, nadam, rmsprop, sgd
from minidl.kernels.cpu.reduction import axis_sums
from minidl.kernels.cpu.resampling import resample
from minidl.kernels.cpu.selection import select
from minidl.kernels.cpu.softmax.cross_entropy import cross_entropy
from minidl.kernels.cpu.softmax.softmax import log_softmax, log_softmax_gradient, softmax, softmax_gradient
from minidl.kernels.plain.adaptive_max_pooling import adaptive_max_pool2d, adaptive_max_pool2d_gradient
from minidl.kernels.plain.augmentation import noise_fields, sharpen
from minidl.kernels.plain.optimizers import clip, unscale
from minidl.kernels.plain.tally import tally

__all__ = [
    "activation",
    "activation_gradient",
    "adagrad",
    "adam",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_gradient",
    "add",
    "add_noise",
    "avg_pool2d",
    "avg_pool2d_gradient",
    "axis_sums",
    "batch_norm",
    "batch_norm_gradient",
    "blend_each",
    "blur",
    "channel_moments",
    "clip",
    "concatenate",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "displace",
    "dropout",
    "erase",
    "gather",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "lerp",
    "level_tables",
    "local_response_norm",
    "local_response_norm_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "look_up",
    "matmul",
    "max_pool2d",
    "max_pool2d_gradient",
    "mix_channels",
    "mix_pairs",
    "move_moments",
    "nadam",
    "noise_fields",
    "place",
    "relu",
    "relu_gradient",
    "resample",
    "rmsprop",
    "select",
    "sgd",
    "sharpen",
    "softmax",
    "softmax_gradient",
    "tally",
    "unscale",
    "warp",
]

for name in __all__:
    function = globals()[name]
    if function.__doc__ is None:
        function.__doc__ = inspect.getdoc(getattr(plain, name))
del name, function
