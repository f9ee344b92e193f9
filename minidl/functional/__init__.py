"""The differentiable functions: `import minidl.functional as F`.

This file lists the public names; `methods.py` gives Tensor its operators and methods.
"""

from typing import TYPE_CHECKING, NoReturn

from minidl import missing
from minidl.functional import methods as methods  # gives Tensor its operators and methods
from minidl.functional.activation import (
    elu,
    gelu,
    hardswish,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from minidl.functional.convolution import conv2d
from minidl.functional.dropout import dropout, dropout2d
from minidl.functional.elementwise import (
    abs,
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    cast,
    clamp,
    cos,
    div,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    lt,
    maximum,
    minimum,
    move,
    mul,
    ne,
    neg,
    pow,
    remainder,
    sin,
    sqrt,
    sub,
    where,
)
from minidl.functional.linear import linear, matmul
from minidl.functional.loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from minidl.functional.normalization import batch_norm, group_norm, layer_norm, local_response_norm
from minidl.functional.padding import pad
from minidl.functional.pooling import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, max_pool2d
from minidl.functional.reduction import amax, amin, logsumexp, mean, norm, std, sum, var
from minidl.functional.resize import interpolate
from minidl.functional.segmentation_loss import dice_loss, focal_loss
from minidl.functional.selection import argmax, argmin, argsort, gather, masked_fill, max, min, sort, topk
from minidl.functional.shape import (
    cat,
    chunk,
    clone,
    expand,
    flatten,
    getitem,
    permute,
    repeat,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    unsqueeze,
)
from minidl.functional.transposed_convolution import conv_transpose2d

__all__ = [
    "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "amax", "amin", "argmax", "argmin", "argsort",
    "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "bitwise_and", "bitwise_not", "bitwise_or",
    "bitwise_xor", "cast", "cat", "chunk", "clamp", "clone", "conv2d", "conv_transpose2d", "cos", "cross_entropy",
    "dice_loss", "div", "dropout", "dropout2d", "elu", "eq", "exp", "expand", "flatten", "focal_loss", "gather", "ge",
    "gelu", "getitem", "group_norm", "gt", "hardswish", "interpolate", "l1_loss", "layer_norm", "le", "leaky_relu",
    "linear", "local_response_norm", "log", "log_softmax", "logsumexp", "lt", "masked_fill", "matmul", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "move", "mse_loss", "mul", "ne", "neg", "nll_loss", "norm",
    "pad", "permute", "pow", "relu", "relu6", "remainder", "repeat", "reshape", "sigmoid", "silu", "sin",
    "smooth_l1_loss", "softmax", "softplus", "sort", "split", "sqrt", "squeeze", "stack", "std", "sub", "sum", "tanh",
    "topk", "transpose", "unsqueeze", "var", "where",
]  # fmt: skip


if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.functional", name, missing.FUNCTIONS)
