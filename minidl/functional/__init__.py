"""The differentiable functions: `import minidl.functional as F`.

This file lists the public names; `methods.py` gives Tensor its operators and methods.
"""

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
    cast,
    clamp,
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
from minidl.functional.reduction import amax, amin, logsumexp, mean, sum, var
from minidl.functional.resize import interpolate
from minidl.functional.segmentation_loss import dice_loss, focal_loss
from minidl.functional.shape import (
    cat,
    expand,
    flatten,
    getitem,
    permute,
    reshape,
    squeeze,
    stack,
    transpose,
    unsqueeze,
)
from minidl.functional.transposed_convolution import conv_transpose2d

__all__ = [
    "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "amax", "amin", "avg_pool2d", "batch_norm",
    "binary_cross_entropy_with_logits", "cast", "cat", "clamp", "conv2d", "conv_transpose2d", "cross_entropy",
    "dice_loss", "div", "dropout", "dropout2d", "elu", "eq", "exp", "expand", "flatten", "focal_loss", "ge", "gelu",
    "getitem", "group_norm", "gt", "hardswish", "interpolate", "l1_loss", "layer_norm", "le", "leaky_relu", "linear",
    "local_response_norm", "log", "log_softmax", "logsumexp", "lt", "matmul", "max_pool2d", "maximum", "mean",
    "minimum", "move", "mse_loss", "mul", "ne", "neg", "nll_loss", "pad", "permute", "pow", "relu", "relu6",
    "reshape", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "sqrt", "squeeze", "stack", "sub", "sum",
    "tanh", "transpose", "unsqueeze", "var", "where",
]  # fmt: skip
