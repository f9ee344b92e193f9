"""PyTorch's `torch.utils`: `data`."""

from minidl.torch.utils import data

__all__ = ["data"]
