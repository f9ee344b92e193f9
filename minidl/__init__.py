"""minidl: a small deep-learning engine. Read `tensor.py` first."""

from minidl import functional
from minidl.device import Device, DeviceError, manual_seed
from minidl.graphs import graphed
from minidl.kernels import set_matmul_precision
from minidl.modes import NonFiniteError, detect_nonfinite, no_grad
from minidl.precision import autocast
from minidl.profiling import profile
from minidl.tensor import Tensor
from minidl.version import __version__

__all__ = [
    "Device",
    "DeviceError",
    "NonFiniteError",
    "Tensor",
    "__version__",
    "autocast",
    "detect_nonfinite",
    "functional",
    "graphed",
    "manual_seed",
    "no_grad",
    "profile",
    "set_matmul_precision",
]
