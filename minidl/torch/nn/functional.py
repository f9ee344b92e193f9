"""PyTorch's `torch.nn.functional`: the functions of `minidl.functional`, and some that are composed of them."""

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import minidl.functional as F
from minidl import Tensor, missing
from minidl.functional import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    binary_cross_entropy_with_logits,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    dropout,
    dropout2d,
    elu,
    gelu,
    group_norm,
    hardswish,
    interpolate,
    l1_loss,
    layer_norm,
    leaky_relu,
    linear,
    local_response_norm,
    log_softmax,
    max_pool2d,
    mse_loss,
    nll_loss,
    pad,
    relu,
    relu6,
    sigmoid,
    silu,
    smooth_l1_loss,
    softmax,
    softplus,
    tanh,
)
from minidl.functional.normalization import channel_moments
from minidl.tensor import as_array

__all__ = [
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "conv2d", "conv_transpose2d", "cosine_similarity", "cross_entropy", "dropout",
    "dropout2d", "elu", "gelu", "group_norm", "hardswish", "interpolate", "l1_loss", "layer_norm", "leaky_relu",
    "linear", "local_response_norm", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad",
    "relu", "relu6", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip


def batch_norm(x: Any, running_mean: Tensor | None, running_var: Tensor | None, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """PyTorch's: it takes the running statistics, and updates them in training. See `minidl.functional.batch_norm`."""
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: training=False needs running_mean and running_var")
        return F.batch_norm(x, weight, bias, mean=running_mean.data, var=running_var.data, training=False, eps=eps)
    mean, var = channel_moments(as_array(x))
    n = as_array(x).size // len(mean)
    for running, moment in ((running_mean, mean), (running_var, var * (n / max(1, n - 1)))):
        if running is not None:
            running.data = running.data * (1 - momentum) + moment * momentum
    return F.batch_norm(x, weight, bias, mean=mean, var=var, training=True, eps=eps)


def binary_cross_entropy(p: Any, target: Any, /, weight: Any = None, *, reduction: str = "mean") -> Tensor:
    """-weight * (t * log(p) + (1 - t) * log(1 - p)), where no logarithm is below -100; then reduced.

    Where one is, that term has no gradient; PyTorch's is 1e12. binary_cross_entropy_with_logits has no such places.
    """
    target = target if isinstance(target, Tensor) else Tensor(target)
    log, log_of_rest = (q.clamp(min=1e-45).log().clamp(min=-100) for q in (p, 1 - p))
    losses = -(target * log + (1 - target) * log_of_rest)
    losses = losses if weight is None else losses * weight
    return {"none": lambda: losses, "sum": losses.sum, "mean": losses.mean}[reduction]()


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x divided by its length along an axis, which counts as at least eps."""
    return x / F.maximum(F.norm(x, p, dim, True), eps)


def cosine_similarity(a: Tensor, b: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between a and b along an axis."""
    return (normalize(a, 2.0, dim, eps) * normalize(b, 2.0, dim, eps)).sum(dim)


def one_hot(classes: Any, num_classes: int = -1) -> Tensor:
    """Class numbers (...) as int64 (..., C) with a 1 at the place of the class, 0 elsewhere."""
    numbers = as_array(classes)
    count = int(numbers.max()) + 1 if num_classes == -1 else num_classes
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise ValueError(f"one_hot: classes from {numbers.min()} to {numbers.max()} do not fit num_classes={count}")
    return Tensor((numbers[..., None] == np.arange(count)).astype(np.int64))


if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.nn.functional", name, missing.FUNCTIONS)
