"""The networks of the zoo run by PyTorch: the same files, with PyTorch's layers and functions in place of minidl's.

minidl's names and settings are PyTorch's, so the adapters are small: mainly layers that accept `relu=True` and similar
arguments, which here work in place, as in torchvision's networks. `make("resnet18")` returns a torch.nn.Module.
"""

import functools
import importlib.util
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as TF

from minidl.nn import init

ZOO = Path(__file__).parents[1] / "zoo"


class Module(torch.nn.Module):
    """A module initialized before `__init__`, which also registers modules in lists."""

    def __new__(cls, *settings, **more):
        made = super().__new__(cls)
        torch.nn.Module.__init__(made)
        return made

    def __setattr__(self, name, value):
        super().__setattr__(name, torch.nn.ModuleList(value) if isinstance(value, list) else value)


def rectified(out, relu, ceiling=None):
    """ReLU in place, bounded by `ceiling`; minidl does it in the same pass."""
    return out if not relu else out.relu_() if ceiling is None else out.clamp_(0, ceiling)


class Conv2d(torch.nn.Conv2d):
    def forward(self, x, relu=False):
        return rectified(super().forward(x), relu)


class Linear(torch.nn.Linear):
    def forward(self, x, relu=False):
        return rectified(super().forward(x), relu)


class MaxPool2d(torch.nn.MaxPool2d):
    def forward(self, x, relu=False):
        return rectified(super().forward(x), relu)


class BatchNorm2d(torch.nn.BatchNorm2d):
    def forward(self, x, add=None, relu=False, ceiling=None):
        out = super().forward(x)
        if add is not None:
            out += add
        return rectified(out, relu, ceiling)


class Functions:
    """Functions by name, from torch or torch.nn.functional."""

    def __getattr__(self, name):
        return getattr(torch, name, None) or getattr(TF, name)


class Initializers:
    """minidl's initializers, returning torch tensors."""

    def __getattr__(self, name):
        def tensor(*values, **settings):
            made = getattr(init, name)(*values, **settings)
            return torch.from_numpy(made) if isinstance(made, np.ndarray) else made
        return tensor


LAYERS = SimpleNamespace(**{
    **vars(torch.nn), "Module": Module, "Conv2d": Conv2d, "Linear": Linear, "MaxPool2d": MaxPool2d,
    "BatchNorm2d": BatchNorm2d, "ReLU": functools.partial(torch.nn.ReLU, inplace=True),
    "ReLU6": functools.partial(torch.nn.ReLU6, inplace=True), "init": Initializers(),
    "architecture": lambda factory: factory, "check_input": lambda *_, **__: None,
})


@functools.cache
def factories():
    """{name: factory}"""
    package = SimpleNamespace(functional=Functions(), nn=LAYERS)
    stand_ins = {"minidl": package, "minidl.functional": package.functional, "minidl.nn": package.nn}
    found = {}
    for path in ZOO.glob("[!_]*.py"):
        spec = importlib.util.spec_from_file_location(f"torch_zoo.{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        with patch.dict(sys.modules, stand_ins):                     # what `import minidl.nn as nn` finds there
            spec.loader.exec_module(module)
        found |= dict(inspect.getmembers(module, inspect.isfunction))
    return found


def make(name):
    """The zoo network `name`, in PyTorch."""
    return factories()[name]()
