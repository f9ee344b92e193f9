"""Batch normalization folded into convolution, for inference.

In eval mode a batch norm is one multiplication and one addition per channel, and a convolution can do both: with
r = weight / sqrt(var + eps),  norm(conv(x)) is the convolution with the weights r * w and the bias r * (b - mean) +
bias_of_norm. Which norm follows which convolution is not guessed from names: the network is run once on an example, the
calls of these layers are observed, and the folded network must give the same output.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

import minidl.functional as F
from minidl.device import array_module, at
from minidl.modes import no_grad
from minidl.nn.hooks import is_hooked
from minidl.nn.layers import Conv2d, Identity
from minidl.nn.module import Fusions, Module, Parameter
from minidl.nn.normalization import BatchNorm2d
from minidl.nn.observe import observed
from minidl.tensor import Node, Tensor, as_array, newest_first


def fold_batch_norm(model: Module, example: Any) -> Module:
    """A copy of `model` that computes the same, with each batch norm folded into the convolution before it.

    model    a network in eval mode that maps one tensor to one tensor; it is not changed
    example  an input, such as one image (1, C, H, W)
    In the copy an Identity replaces the convolution, and the folded convolution replaces the norm, so that a ReLU
    requested from the norm is still requested. Not folded: norms without running statistics; convolutions that rectify,
    or whose output is read elsewhere too; layers that are called twice or have hooks; and norms that add a shortcut,
    which take one pass over memory either way.
    The outputs agree up to rounding. Raises ValueError if a layer is in training mode, or if the outputs differ on
    the example.
    """
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(f"fold_batch_norm: {training[0]} is in training mode; call model.eval() first")
    calls: list[Call] = []

    def see(name: str, module: Module, inputs: tuple, settings: dict[str, Any], out: Tensor) -> None:
        if type(module) in (Conv2d, BatchNorm2d):
            x, others = (inputs[0], inputs[1:]) if inputs else (settings["x"], ())
            bare = not others and settings.get("add") is None
            calls.append(Call(module, x, settings.get("relu", False), bare, out))

    x = Tensor(as_array(example), requires_grad=True)
    with observed(model, see):
        out = model(x)
    if not isinstance(out, Tensor):
        raise TypeError(f"fold_batch_norm: the model must give one Tensor, not a {type(out).__name__}")
    if out.node is None:
        raise RuntimeError("fold_batch_norm: the tape shows which layer reads what; call it outside no_grad()")
    # deepcopy replaces every object whose id is a key by the value
    places: dict[int, Any] = {}
    for conv, norm in pairs(calls, out.node):
        places |= {id(conv): Identity().eval(), id(norm): NormedConv2d(conv, norm).eval()}
    folded = copy.deepcopy(model, places)
    check_same(folded, x, out)
    return folded


class Call(NamedTuple):
    """One observed call of a layer; `bare` if it requested nothing else, or ReLU alone."""

    layer: Module
    x: Tensor
    relu: bool
    bare: bool
    out: Tensor


def pairs(calls: list[Call], root: Node) -> Iterator[tuple[Any, Any]]:
    """Each (convolution, norm) that can be folded, given all calls of such layers and the node of the output."""
    times = Counter(id(call.layer) for call in calls)
    readers = Counter(parent for node in newest_first(root) for parent in node.parents)
    made = {id(call.out): call for call in calls if type(call.layer) is Conv2d}
    for call in calls:
        before = made.get(id(call.x))
        if (type(call.layer) is BatchNorm2d and before is not None and call.bare and before.bare and not before.relu
                and call.layer.running_mean is not None and readers[before.out.node] == 1
                and times[id(call.layer)] == times[id(before.layer)] == 1
                and not is_hooked(call.layer) and not is_hooked(before.layer)):
            yield before.layer, call.layer


class NormedConv2d(Module):
    """A convolution with a batch norm folded in; it is called as the norm was.

    x (N, in_channels, H, W)  ->  (N, out_channels, OH, OW)
    """

    fuses_after: ClassVar[Fusions] = BatchNorm2d.fuses_after

    def __init__(self, conv: Conv2d, norm: BatchNorm2d):
        var = norm.running_var.data
        with at(var):
            r = 1 / array_module(var).sqrt(var + norm.eps)
            r = r if norm.weight is None else r * norm.weight.data
            bias = -norm.running_mean.data if conv.bias is None else conv.bias.data - norm.running_mean.data
            bias = bias * r if norm.bias is None else bias * r + norm.bias.data
            weight = conv.weight.data * r[:, None, None, None]
        self.conv = copy.copy(conv)                          # the same settings, with weights of its own
        self.conv.weight, self.conv.bias = Parameter(weight), Parameter(bias)

    def forward(self, x: Tensor, add: Tensor | None = None, relu: bool = False, ceiling: float | None = None) -> Tensor:
        if add is None and ceiling is None:
            return self.conv(x, relu=relu)
        out = self.conv(x) if add is None else self.conv(x) + add
        return F.relu(out, ceiling=ceiling) if relu else out


@no_grad()
def check_same(folded: Module, x: Tensor, expected: Tensor) -> None:
    """Raise ValueError unless the folded network maps x to the expected output, up to rounding."""
    error = abs(folded(x).numpy() - expected.numpy()).max(initial=0)
    size = abs(expected.numpy()).max(initial=0)
    if not error <= np.finfo(x.dtype).eps ** 0.5 * size:          # written so that NaN fails
        raise ValueError(f"fold_batch_norm: on the example the folded network is off by {error:.3g}, where the largest "
                         f"output is {size:.3g}; the model computes something that its layers and the tape do not show")
