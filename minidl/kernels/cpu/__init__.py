"""Kernels for the CPU, compiled by Numba: the same functions as in `plain`, several times faster.

Read `tile.py` (the innermost loop), `product.py` (its driver), `direct.py` (convolution in terms of it), then
`winograd.py` (convolution with fewer products), `few_channels.py` (an input gradient with fewer empty lanes),
`matmul.py` and `convolution.py` (which of them when). Where channels don't mix, `window_tile.py` takes the place of the
tile: read `depthwise.py`, then `average_pooling.py`. Rows become columns in `turn_tile.py`.
Images are channels last in memory here; any other order is right too, and costs a copy.
"""

from minidl.kernels.cpu.activation import activation, activation_gradient, relu, relu_gradient
from minidl.kernels.cpu.add import add
from minidl.kernels.cpu.average_pooling import avg_pool2d, avg_pool2d_gradient
from minidl.kernels.cpu.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from minidl.kernels.cpu.gemm.matmul import matmul
from minidl.kernels.cpu.max_pooling import max_pool2d, max_pool2d_gradient
from minidl.kernels.cpu.normalization.batch_norm import batch_norm, batch_norm_gradient
from minidl.kernels.cpu.normalization.group_norm import group_norm, group_norm_gradient
from minidl.kernels.cpu.normalization.layer_norm import layer_norm, layer_norm_gradient
from minidl.kernels.cpu.normalization.moments import channel_moments, channel_sums
from minidl.kernels.cpu.normalization.response_norm import local_response_norm, local_response_norm_gradient
from minidl.kernels.cpu.optimizers import adam, lerp, rmsprop, sgd
from minidl.kernels.cpu.resampling import resample
from minidl.kernels.cpu.softmax.cross_entropy import cross_entropy
from minidl.kernels.cpu.softmax.softmax import log_softmax, log_softmax_gradient, softmax, softmax_gradient

__all__ = [
    "activation",
    "activation_gradient",
    "adam",
    "add",
    "avg_pool2d",
    "avg_pool2d_gradient",
    "batch_norm",
    "batch_norm_gradient",
    "channel_moments",
    "channel_sums",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "lerp",
    "local_response_norm",
    "local_response_norm_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "matmul",
    "max_pool2d",
    "max_pool2d_gradient",
    "relu",
    "relu_gradient",
    "resample",
    "rmsprop",
    "sgd",
    "softmax",
    "softmax_gradient",
]
