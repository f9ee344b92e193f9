"""Batch norm folded into convolution, for networks in use.

In use a batch norm is one multiplication and one addition per channel, and so is the end of a convolution: with
r = weight / sqrt(var + eps),  norm(conv(x)) is the convolution with the weights r * w and the bias r * (b - mean) +
bias_of_norm. Which norm follows which convolution is not guessed from names. The network is run once on an example
with a watcher around each of these layers, and afterwards the result is held against that run.
"""

import copy
from collections import Counter
from typing import NamedTuple

import numpy as np

import minidl.functional as F
from minidl.device import array_module
from minidl.nn.layers import Conv2d, Identity
from minidl.nn.module import Module, Parameter
from minidl.nn.normalization import BatchNorm2d
from minidl.tensor import Tensor, as_array, newest_first, no_grad


def fold_batch_norm(model, example):
    """A copy of `model` that computes the same, each convolution and the batch norm behind it made one convolution.

    model    a network in eval mode, of one tensor to one tensor; it stays as it is
    example  an input, such as one image (1, C, H, W)
    In the copy an Identity stands in place of the convolution, and the new convolution in place of the norm, whose call
    may ask for ReLU. What cannot be folded stays: norms without running statistics, convolutions that rectify or whose
    output somebody else reads too, layers used twice; and norms that add a shortcut, which takes one pass either way.
    The outputs agree to rounding. Raises ValueError if a layer is in training mode, or if on the example they do not.
    """
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(f"fold_batch_norm: {training[0]} is in training mode; call model.eval() first")
    calls, x = [], Tensor(as_array(example), requires_grad=True)
    layers = [module for _, module in model.named_modules() if type(module) in (Conv2d, BatchNorm2d)]
    out = copy.deepcopy(model, {id(layer): Watched(layer, calls) for layer in layers})(x)
    if not isinstance(out, Tensor):
        raise TypeError(f"fold_batch_norm: the model must give one Tensor, not a {type(out).__name__}")
    if out.node is None:
        raise RuntimeError("fold_batch_norm: the tape tells who reads what; call it outside no_grad()")
    # deepcopy puts what it finds under the id of an object into every place where that object stands
    places = {}
    for conv, norm in pairs(calls, out.node):
        places |= {id(conv): Identity().eval(), id(norm): NormedConv2d(conv, norm).eval()}
    folded = copy.deepcopy(model, places)
    check_same(folded, x, out)
    return folded


class Call(NamedTuple):
    """One call of a layer, as it was seen; `bare` if it asked for nothing more, or for ReLU alone."""

    layer: Module
    x: Tensor
    relu: bool
    bare: bool
    out: Tensor


class Watched(Module):
    """A layer whose calls are written down."""

    def __init__(self, layer, calls):
        self.layer, self.calls = layer, calls

    def forward(self, x, *others, **settings):
        out = self.layer(x, *others, **settings)
        bare = not others and settings.get("add") is None
        self.calls.append(Call(self.layer, x, settings.get("relu", False), bare, out))
        return out


def pairs(calls, root):
    """Each (convolution, norm) that can be folded, given all calls of such layers and the node of the output."""
    times = Counter(id(call.layer) for call in calls)
    readers = Counter(parent for node in newest_first(root) for parent in node.parents)
    made = {id(call.out): call for call in calls if type(call.layer) is Conv2d}
    for call in calls:
        before = made.get(id(call.x))
        if (type(call.layer) is BatchNorm2d and before is not None and call.bare and before.bare and not before.relu
                and call.layer.running_mean is not None and readers[before.out.node] == 1
                and times[id(call.layer)] == times[id(before.layer)] == 1):
            yield before.layer, call.layer


class NormedConv2d(Module):
    """A convolution that does its batch norm's work too, and is called as that norm was.

    x (N, in_channels, H, W)  ->  (N, out_channels, OH, OW)
    """

    def __init__(self, conv, norm):
        var = norm.running_var.data
        r = 1 / array_module(var).sqrt(var + norm.eps)
        r = r if norm.weight is None else r * norm.weight.data
        bias = -norm.running_mean.data if conv.bias is None else conv.bias.data - norm.running_mean.data
        bias = bias * r if norm.bias is None else bias * r + norm.bias.data
        self.conv = copy.copy(conv)                          # its settings; the weights are new
        self.conv.weight = Parameter(conv.weight.data * r[:, None, None, None])
        self.conv.bias = Parameter(bias)

    def forward(self, x, add=None, relu=False, ceiling=None):
        if add is None and ceiling is None:
            return self.conv(x, relu=relu)
        out = self.conv(x) if add is None else self.conv(x) + add
        return F.relu(out, ceiling=ceiling) if relu else out


@no_grad()
def check_same(folded, x, expected):
    """Raise ValueError unless the folded network makes of x what is expected, to rounding."""
    error = abs(folded(x).numpy() - expected.numpy()).max(initial=0)
    size = abs(expected.numpy()).max(initial=0)
    if not error <= np.finfo(x.dtype).eps ** 0.5 * size:          # so written, NaN fails
        raise ValueError(f"fold_batch_norm: on the example the folded network is off by {error:.3g}, where the largest "
                         f"output is {size:.3g}; it computes something that its layers and the tape do not show")
