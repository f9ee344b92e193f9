"""Layers and networks: `import minidl.nn as nn`. Read `module.py` first, then `layers.py`."""

from typing import TYPE_CHECKING, NoReturn

from minidl import missing
from minidl.nn import init
from minidl.nn.activation import (
    ELU,
    GELU,
    Hardswish,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minidl.nn.architecture import architecture
from minidl.nn.checkpoint import Checkpoint
from minidl.nn.checks import check_input
from minidl.nn.folding import fold_batch_norm
from minidl.nn.layers import Conv2d, ConvTranspose2d, Dropout, Dropout2d, Flatten, Identity, Linear, Upsample
from minidl.nn.module import Module, Parameter
from minidl.nn.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, LocalResponseNorm
from minidl.nn.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from minidl.nn.sequential import Sequential
from minidl.nn.sync_batch_norm import SyncBatchNorm1d, SyncBatchNorm2d, convert_sync_batch_norm

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Checkpoint",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "GroupNorm",
    "Hardswish",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SyncBatchNorm1d",
    "SyncBatchNorm2d",
    "Tanh",
    "Upsample",
    "architecture",
    "check_input",
    "convert_sync_batch_norm",
    "fold_batch_norm",
    "init",
]


if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.nn", name, missing.LAYERS)
