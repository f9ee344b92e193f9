"""The reference backend: every kernel as array code for NumPy and CuPy.

It is slow on a CPU, but short enough to verify by reading. Every other backend defines the same functions with the same
signatures, in modules of the same names, and is tested against these. Start with `convolution.py`.
"""

from minidl.kernels.plain.activation import activation, activation_gradient, relu, relu_gradient
from minidl.kernels.plain.add import add
from minidl.kernels.plain.augmentation import add_noise, blend_each, blur, displace, gather, look_up, mix_channels, warp
from minidl.kernels.plain.average_pooling import avg_pool2d, avg_pool2d_gradient
from minidl.kernels.plain.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from minidl.kernels.plain.copies import concatenate, place
from minidl.kernels.plain.cross_entropy import cross_entropy
from minidl.kernels.plain.dropout import dropout
from minidl.kernels.plain.matmul import matmul
from minidl.kernels.plain.max_pooling import max_pool2d, max_pool2d_gradient
from minidl.kernels.plain.normalization import (
    batch_norm,
    batch_norm_gradient,
    channel_moments,
    group_norm,
    group_norm_gradient,
    layer_norm,
    layer_norm_gradient,
    local_response_norm,
    local_response_norm_gradient,
    move_moments,
)
from minidl.kernels.plain.optimizers import adagrad, adam, lerp, nadam, rmsprop, sgd, unscale
from minidl.kernels.plain.reduction import axis_sums
from minidl.kernels.plain.resampling import resample
from minidl.kernels.plain.selection import select
from minidl.kernels.plain.softmax import log_softmax, log_softmax_gradient, softmax, softmax_gradient
from minidl.kernels.plain.tally import tally

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
