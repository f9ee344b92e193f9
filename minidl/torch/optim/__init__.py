"""PyTorch's `torch.optim`: the optimizers of `minidl.optim`, with states in PyTorch's form; `lr_scheduler`."""

from typing import TYPE_CHECKING, NoReturn

from minidl import missing
from minidl.optim import Optimizer
from minidl.torch.optim import lr_scheduler
from minidl.torch.optim.optimizers import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "NAdam", "Optimizer", "RMSprop", "lr_scheduler"]

if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.optim", name, missing.OPTIM)
