"""minidl: a small deep-learning engine. Read `tensor.py` first."""

from minidl import functional
from minidl.device import Device, DeviceError, manual_seed
from minidl.modes import NonFiniteError, detect_nonfinite, no_grad
from minidl.profiling import profile
from minidl.tensor import Tensor
from minidl.version import __version__

__all__ = [
    "Device",
    "DeviceError",
    "NonFiniteError",
    "Tensor",
    "__version__",
    "detect_nonfinite",
    "functional",
    "manual_seed",
    "no_grad",
    "profile",
]
