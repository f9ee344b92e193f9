"""Kernels for NVIDIA GPUs, in CUDA C: the functions of `plain`, on CuPy arrays.

Each .cu file lies beside the .py file that launches its kernels; `runtime/launcher.py` compiles and launches them.
Images are channels last in memory here; others are copied first. Functions that have no kernel yet are those of
`plain`, which run on CuPy's own. docs/gpu.md has the pictures, and what has never run on a GPU.
"""

import inspect

from minidl.kernels import plain
from minidl.kernels.gpu.activation import activation, activation_gradient, relu, relu_gradient
from minidl.kernels.gpu.add import add
from minidl.kernels.gpu.augmentation import add_noise, blend_each, blur, displace, gather, look_up, mix_channels, warp
from minidl.kernels.gpu.average_pooling import avg_pool2d, avg_pool2d_gradient
from minidl.kernels.gpu.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from minidl.kernels.gpu.copies import concatenate, place
from minidl.kernels.gpu.dropout import dropout
from minidl.kernels.gpu.gemm.matmul import matmul
from minidl.kernels.gpu.max_pooling import max_pool2d, max_pool2d_gradient
from minidl.kernels.gpu.normalization.batch_norm import batch_norm, batch_norm_gradient
from minidl.kernels.gpu.normalization.group_norm import group_norm, group_norm_gradient
from minidl.kernels.gpu.normalization.layer_norm import layer_norm, layer_norm_gradient
from minidl.kernels.gpu.normalization.moments import channel_moments
from minidl.kernels.gpu.normalization.response_norm import local_response_norm, local_response_norm_gradient
from minidl.kernels.gpu.normalization.running import move_moments
from minidl.kernels.gpu.optimizers import adagrad, adam, lerp, nadam, rmsprop, sgd, unscale
from minidl.kernels.gpu.reduction import axis_sums
from minidl.kernels.gpu.resampling import resample
from minidl.kernels.gpu.selection import select
from minidl.kernels.gpu.softmax.cross_entropy import cross_entropy
from minidl.kernels.gpu.softmax.softmax import log_softmax, log_softmax_gradient, softmax, softmax_gradient
from minidl.kernels.gpu.tally import tally

__all__ = [
    "activation",
    "activation_gradient",
    "adagrad",
    "adam",
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
    "concatenate",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "displace",
    "dropout",
    "gather",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "lerp",
    "local_response_norm",
    "local_response_norm_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "look_up",
    "matmul",
    "max_pool2d",
    "max_pool2d_gradient",
    "mix_channels",
    "move_moments",
    "nadam",
    "place",
    "relu",
    "relu_gradient",
    "resample",
    "rmsprop",
    "select",
    "sgd",
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
