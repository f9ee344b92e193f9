"""PyTorch's `torch.nn.init`: the initial weights of `minidl.nn.init`, written into a tensor."""

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minidl import Tensor, missing
from minidl.device import array_module, generator
from minidl.nn import init
from minidl.nn.init import calculate_gain
from minidl.writes import written

__all__ = ["calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
           "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_"]


def filled(tensor: Tensor, values: Any) -> Tensor:
    """The tensor, with values written into it."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"init: give a tensor, such as layer.weight, not {type(tensor).__name__}")
    tensor.data[...] = array_module(tensor.data).asarray(values)
    written(tensor.data)
    return tensor


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform, for layers before a ReLU: see `minidl.nn.init.kaiming_uniform`."""
    return filled(tensor, init.kaiming_uniform(tensor.shape, a, mode, nonlinearity))


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal, for layers before a ReLU: see `minidl.nn.init.kaiming_normal`."""
    return filled(tensor, init.kaiming_normal(tensor.shape, a, mode, nonlinearity))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform, for layers before tanh: see `minidl.nn.init.xavier_uniform`."""
    return filled(tensor, init.xavier_uniform(tensor.shape, gain))


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal, for layers before tanh: see `minidl.nn.init.xavier_normal`."""
    return filled(tensor, init.xavier_normal(tensor.shape, gain))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with this mean and standard deviation."""
    return filled(tensor, init.normal(tensor.shape, std) + np.float32(mean))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, drawn anew where it is outside of [a, b]."""
    if not a < b or not (a < mean + 4 * std and b > mean - 4 * std):
        raise ValueError(f"trunc_normal_: [{a}, {b}] must be an interval within 4 deviations {std} of the mean {mean}")
    rng = generator()
    values = mean + std * rng.standard_normal(tensor.shape, np.float32)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = mean + std * rng.standard_normal(int(outside.sum()), np.float32)
    return filled(tensor, values)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b]."""
    return filled(tensor, init.uniform(tensor.shape, (b - a) / 2) + np.float32((a + b) / 2))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number."""
    return filled(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0"""
    return filled(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1"""
    return filled(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    return filled(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity as a convolution: see `minidl.nn.init.dirac`."""
    if groups != 1:
        raise ValueError(f"dirac_: groups={groups} is not supported; fill the groups one after the other")
    return filled(tensor, init.dirac(tensor.shape))


if not TYPE_CHECKING:
    INSTEAD = {"orthogonal_": "write tensor.data[...] = numpy.linalg.qr(normal)[0]",
               "sparse_": "write tensor.data[...] = values",
               **{name: f"write init.{name}_(tensor)" for name in ("normal", "uniform", "constant", "kaiming_normal",
                                                                   "kaiming_uniform", "xavier_uniform")}}

    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.nn.init", name, INSTEAD)
