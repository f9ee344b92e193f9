"""The differentiable functions: `import minidl.functional as F`.

Below stand the public names, and the one table that gives Tensor its operators and methods.
"""

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
from minidl.tensor import Tensor

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


def lengths(numbers):
    """The lengths of `x.reshape(2, 3)` or `x.reshape((2, 3))`, either way."""
    return tuple(numbers[0]) if len(numbers) == 1 and isinstance(numbers[0], tuple | list) else numbers


def to(x, device=None, dtype=None):
    """x on another device, with another dtype, or both; the gradient finds its way back."""
    x = x if dtype is None else cast(x, dtype=dtype)
    return x if device is None else move(x, device=device)


METHODS = {
    "__add__": add, "__radd__": add,
    "__sub__": sub, "__rsub__": lambda x, other: sub(other, x),
    "__mul__": mul, "__rmul__": mul,
    "__truediv__": div, "__rtruediv__": lambda x, other: div(other, x),
    "__pow__": pow, "__rpow__": lambda x, other: pow(other, x),
    "__matmul__": matmul, "__rmatmul__": lambda x, other: matmul(other, x),
    "__neg__": neg, "__abs__": abs,
    "__eq__": eq, "__ne__": ne, "__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge,
    "__getitem__": lambda x, index: getitem(x, index=index),
    "abs": abs, "exp": exp, "log": log, "sqrt": sqrt, "pow": pow, "clamp": clamp,
    "relu": relu, "sigmoid": sigmoid, "tanh": tanh, "softmax": softmax, "log_softmax": log_softmax,
    "sum": sum, "mean": mean, "var": var, "amax": amax, "amin": amin, "logsumexp": logsumexp,
    "reshape": lambda x, *shape: reshape(x, shape=lengths(shape)),
    "expand": lambda x, *shape: expand(x, shape=lengths(shape)),
    "permute": lambda x, *axes: permute(x, axes=lengths(axes)),
    "flatten": flatten, "transpose": transpose, "squeeze": squeeze, "unsqueeze": unsqueeze,
    "matmul": matmul,
    "astype": lambda x, dtype: cast(x, dtype=dtype),
    "to": to,
    "T": property(lambda x: permute(x, axes=tuple(reversed(range(x.ndim))))),
}  # fmt: skip

for name, method in METHODS.items():
    setattr(Tensor, name, method)
