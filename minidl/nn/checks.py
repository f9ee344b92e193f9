"""Checks of a network's input, so that the error names the network and not some layer deep inside."""

from minidl.nn.module import Module
from minidl.tensor import Tensor


def check_input(model: Module, x: Tensor, channels: int, smallest: int = 1, exactly: int | None = None) -> None:
    """Raise ValueError unless x is a batch of images (N, channels, H, W) of a size that `model` accepts.

    smallest  the minimum of height and width, in pixels
    exactly   the only height and width, for a network whose last layers have weights for a fixed number of pixels
    """
    name = type(model).__name__
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be images (N, {channels}, H, W), not {x.shape}")
    if x.shape[1] != channels:
        raise ValueError(f"{name}: x must be images (N, {channels}, H, W), not {x.shape}; to use these, create the "
                         f"network with in_channels={x.shape[1]}")
    h, w = x.shape[2:]
    if exactly is not None and (h, w) != (exactly, exactly):
        raise ValueError(f"{name}: images must be {exactly} x {exactly} pixels, not {h} x {w}")
    if min(h, w) < smallest:
        raise ValueError(f"{name}: images must be at least {smallest} x {smallest} pixels, not {h} x {w}")
