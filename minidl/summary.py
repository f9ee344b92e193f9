"""A table of a network's layers, in the order in which they are called, with the cost of each.

    print(summary(model, (1, 28, 28)))

An empty batch is passed through the network, in eval mode and under no_grad, or one image of zeros if that fails; see
`nn/shapes.py`. The table lists modules, not functions: an `F.relu` in a forward has no row, and neither its output's
memory nor any product outside Conv2d, ConvTranspose2d and Linear is counted. A ReLU that `Sequential` fuses into the
layer before it has no row either, and needs no memory.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from minidl.modes import no_grad
from minidl.nn import Conv2d, ConvTranspose2d, Linear, Module
from minidl.nn.module import is_parameter, members
from minidl.nn.observe import observed
from minidl.nn.shapes import elements, on_empty_batch
from minidl.tensor import Tensor


class Row(NamedTuple):
    """One call of a layer: `shape` of its output without the batch axis, `bytes` of its output, 0 if it is a view."""

    name: str
    layer: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    bytes: int


class Summary(NamedTuple):
    """The rows of the table, and the totals for one image; `parameters` counts each one once, called or not."""

    rows: list[Row]
    parameters: int
    multiply_adds: int
    bytes: int

    def __str__(self) -> str:
        head = ("name", "layer", "output", "parameters", "multiply-adds", "memory")
        body = [(r.name, r.layer, " x ".join(map(str, r.shape)), *costs(r)) for r in self.rows]
        lines = [head, *body, ("total", "", "", *costs(self))]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = ["  ".join(cell.ljust(w) if i < 3 else cell.rjust(w)
                             for i, (cell, w) in enumerate(zip(line, widths, strict=True))) for line in lines]
        rule = "-" * len(aligned[0])
        return "\n".join([aligned[0], rule, *aligned[1:-1], rule, aligned[-1]])


def summary(model: Module, input_shape: Iterable[int]) -> Summary:
    """The Summary of `model` for one input of `input_shape`, without the batch axis, such as (1, 28, 28).

    A row is a call of a module that has tensors of its own, or no modules in it; its first call counts its parameters.
    Multiply-adds are those of Conv2d, ConvTranspose2d and Linear.
    """
    return on_empty_batch(model, input_shape, partial(summary_of, model))


def summary_of(model: Module, x: Tensor) -> Summary:
    """The Summary of `model` for one input, made by calling it with x: an empty batch, or one input."""
    rows: list[Row] = []
    owners = [owner(x.data)]

    def see(name: str, module: Module, inputs: tuple, settings: dict[str, Any], out: Any) -> None:
        own = list(members(module))
        tensors = [(key, member) for key, member in own if isinstance(member, Tensor)]
        if not isinstance(out, Tensor) or (own and not tensors):
            return
        parameters = [tensor for key, tensor in tensors if is_parameter(module, key, tensor)]
        first, memory = all(row.name != name for row in rows), owner(out.data)
        is_view = any(memory is other for other in owners)
        owners.append(memory)
        rows.append(Row(name, type(module).__name__, out.shape[1:], size(parameters) if first else 0,
                        multiply_adds(module, inputs, out), 0 if is_view else elements(out) * out.dtype.itemsize))

    with observed(model, see), no_grad():
        model.eval()(x)
    products, memory = sum(row.multiply_adds for row in rows), sum(row.bytes for row in rows)
    return Summary(rows, size(model.parameters()), products, memory)


def owner(array: Any) -> Any:
    """The object that owns an array's memory: the array itself, unless it is a view.

    Views of an empty array cannot be recognised by their addresses.
    """
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def size(tensors: Iterable[Tensor]) -> int:
    """The number of elements of all the tensors."""
    return sum(tensor.numel() for tensor in tensors)


def multiply_adds(module: Module, inputs: tuple, out: Tensor) -> int:
    """The multiply-adds of a convolution or a dense layer: the number of its weights times the uses of each.

    A weight is used once for each pixel of the output, or, in a transposed convolution, of the input.
    """
    if isinstance(module, ConvTranspose2d):
        return module.weight.numel() * (elements(inputs[0]) // len(module.weight))
    return module.weight.numel() * (elements(out) // len(module.weight)) if isinstance(module, Conv2d | Linear) else 0


def costs(row: Row | Summary) -> tuple[str, str, str]:
    """Parameters, multiply-adds and memory of a row, or of the totals, as they are printed."""
    return f"{row.parameters:,}", f"{row.multiply_adds:,}", f"{row.bytes / 1024:,.1f} KiB"
