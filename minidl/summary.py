"""What a network is made of, as a table: its layers in the order in which they are called, and what each one costs.

    print(summary(model, (1, 28, 28)))

One image of zeros is sent through, in eval mode and without recording. Modules are seen and functions are not: a
`F.relu` in a forward has no row, and neither its output's memory nor a product outside Conv2d, ConvTranspose2d and
Linear is counted. A ReLU that `Sequential` asks of the layer before it has no row either, and needs no memory.
"""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from minidl.device import array_module
from minidl.nn import Conv2d, ConvTranspose2d, Linear
from minidl.nn.module import is_parameter, members
from minidl.tensor import Tensor, no_grad


class Row(NamedTuple):
    """One call of one layer. `shape` is its output's without the batch, `bytes` that output's memory, 0 if shared."""

    name: str
    layer: str
    shape: tuple
    parameters: int
    multiply_adds: int
    bytes: int


class Summary(NamedTuple):
    """The rows of the table, and the totals for one image; `parameters` are all, called or not, each once."""

    rows: list
    parameters: int
    multiply_adds: int
    bytes: int

    def __str__(self):
        head = ("name", "layer", "output", "parameters", "multiply-adds", "memory")
        body = [(r.name, r.layer, " x ".join(map(str, r.shape)), *numbers(r)) for r in self.rows]
        lines = [head, *body, ("total", "", "", *numbers(self))]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = ["  ".join(cell.ljust(w) if i < 3 else cell.rjust(w)
                             for i, (cell, w) in enumerate(zip(line, widths, strict=True))) for line in lines]
        rule = "-" * len(aligned[0])
        return "\n".join([aligned[0], rule, *aligned[1:-1], rule, aligned[-1]])


def summary(model, input_shape):
    """The Summary of `model` for one input of `input_shape`, without the batch: (1, 28, 28), say.

    Rows are the modules that have tensors of their own, or no modules in them; a module's parameters count at its first
    call. Multiply-adds are those of Conv2d, ConvTranspose2d and Linear.
    """
    x = zeros_for(model, input_shape)
    rows, arrays = [], [x.data]

    def see(name, module, inputs, out):
        own = [member for _, member in members(vars(module))]
        tensors = [member for member in own if isinstance(member, Tensor)]
        if not isinstance(out, Tensor) or (own and not tensors):
            return
        first = all(row.name != name for row in rows)
        shared = any(array_module(x.data).may_share_memory(out.data, array) for array in arrays)
        arrays.append(out.data)
        rows.append(Row(name, type(module).__name__, out.shape[1:], size(filter(is_parameter, tensors)) if first else 0,
                        multiply_adds(module, inputs, out), 0 if shared else out.data.nbytes))

    with restored(model), no_grad():
        model.eval()
        for name, module in model.named_modules():
            module.forward = reporting(name, module, see)       # hides the method of its class
        model(x)
    products, memory = sum(row.multiply_adds for row in rows), sum(row.bytes for row in rows)
    return Summary(rows, size(model.parameters()), products, memory)


def zeros_for(model, input_shape):
    """One input of zeros, of the dtype and on the device of the model's parameters."""
    shape = tuple(input_shape)
    if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape={shape} must be whole numbers of at least 1, such as (1, 28, 28)")
    for p in model.parameters():
        return Tensor(np.zeros((1, *shape), p.dtype)).to(p.device)
    return Tensor(np.zeros((1, *shape), np.float32))


def reporting(name, module, see):
    """The forward of `module`, which then calls see(name, module, inputs, out)."""
    forward = module.forward

    def reported(*inputs, **settings):
        out = forward(*inputs, **settings)
        see(name, module, inputs, out)
        return out
    return reported


@contextmanager
def restored(model):
    """Give every module of `model` its attributes back in the end, whatever happened to them meanwhile."""
    before = [(module, dict(vars(module))) for _, module in model.named_modules()]
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)


def size(tensors):
    """How many numbers the tensors hold."""
    return sum(tensor.size for tensor in tensors)


def multiply_adds(module, inputs, out):
    """How many products a layer of filters or of rows sums up: each weight once for each place it is used at.

    Those places are the pixels of the output, and of the input where each of its pixels is spread out.
    """
    if isinstance(module, ConvTranspose2d):
        return module.weight.size * (inputs[0].size // len(module.weight))
    return module.weight.size * (out.size // len(module.weight)) if isinstance(module, Conv2d | Linear) else 0


def numbers(row):
    """The numbers of a row, or of the totals, as they are printed."""
    return f"{row.parameters:,}", f"{row.multiply_adds:,}", f"{row.bytes / 1024:,.1f} KiB"
