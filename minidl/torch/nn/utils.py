"""PyTorch's `torch.nn.utils`: clipping of gradients, and parameters as one vector."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from minidl import Tensor, functional, missing, no_grad, optim
from minidl.device import array_module
from minidl.scalars import number

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def listed(parameters: Any) -> list[Tensor]:
    """One parameter, or several, as a list."""
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> Tensor:
    """Scale all gradients so that their length is at most max_norm; returns the length before.

    Gradients that are not finite are left as they are: see `minidl.optim.clip_grad_norm_`.
    """
    if norm_type != 2:
        raise ValueError(f"clip_grad_norm_: norm_type={norm_type} must be 2")
    total = Tensor(optim.clip_grad_norm_(parameters, max_norm))
    if error_if_nonfinite and not abs(float(total)) < float("inf"):
        raise RuntimeError(f"clip_grad_norm_: the length of the gradients is {float(total)}")
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of all gradients to [-clip_value, clip_value]."""
    limit = number("clip_grad_value_", "clip_value", clip_value, 0)
    for p in listed(parameters):
        if p.grad is not None:
            p.grad = array_module(p.grad).clip(p.grad, -limit, limit)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters after each other, as one vector."""
    return functional.cat([p.reshape(-1) for p in listed(parameters)])


def vector_to_parameters(vector: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write a vector of all parameters back into them."""
    start = 0
    with no_grad():
        for p in listed(parameters):
            p[...] = vector.data[start:start + p.numel()].reshape(p.shape)
            start += p.numel()


if not TYPE_CHECKING:
    INSTEAD = {"weight_norm": "write weight = g * v / v.norm() in forward",
               "spectral_norm": "there is none", "fuse_conv_bn_eval": "write minidl.nn.fold_batch_norm(model)",
               "rnn": "there are no recurrent layers", "prune": "write zeros into the weights"}

    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.nn.utils", name, INSTEAD)
