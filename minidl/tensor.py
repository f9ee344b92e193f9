"""The whole autograd engine: tensors, the tape that records how each was computed, and the backward pass along it.

A Tensor is an array with a place on the tape. Each operation creates a new tensor and a Node, which can map the
gradient of its output to the gradients of its inputs. `backward` visits these nodes from the newest to the oldest and
accumulates what reaches each leaf. The operations are defined in `functional/`: read `functional/elementwise.py` next.
"""

import copy
import functools
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minidl import faults, precision, slips, writes
from minidl.arrays import (
    broadcasts,
    check_arrays,
    check_dtype,
    check_floating,
    check_numbers,
    check_same_device,
    is_float,
    named,
    no_scalar,
    plain_array,
    python_number,
)
from minidl.device import CPU, Array, Device, array_module, at, device_of, is_array, shares_memory
from minidl.modes import check_finite, mode, watched
from minidl.spelling import spelling_of

# What an operation takes: a Tensor, an array or a number where it is called, an array or a number inside its function.
# No type says both, so type checkers accept anything here; `op` raises TypeError for anything else.
Operand: TypeAlias = Any
# What an operation returns beside its output: see `op`.
Backward: TypeAlias = Callable[[Array], Any]
P = ParamSpec("P")
NUMBERS = frozenset({bool, int, float})


class Tensor:
    """An array that can be differentiated.

    data           an array, or anything NumPy can read; arrays keep their dtype, Python numbers become float32
    requires_grad  whether `backward` leaves a gradient here, in `.grad`
    device         "cpu", "gpu" or "gpu:1"; by default the device of `data`
    """

    __slots__ = ("__weakref__", "array", "node")
    __array_ufunc__ = None                          # NumPy and CuPy leave `array * tensor` to Tensor.__rmul__
    array: Array                                    # the elements; read directly where each call counts
    node: "Node | None"

    def __init__(self, data: ArrayLike, requires_grad: bool = False, *, dtype: DTypeLike | None = None,
                 device: str | Device | None = None):
        if requires_grad.__class__ is int:
            raise TypeError(f"Tensor: requires_grad={requires_grad} must be True or False; to make a tensor of a "
                            "shape, write Tensor(numpy.zeros(shape))")
        self.array = as_array(data, dtype)
        if device is not None:
            self.array = Device.parse(device).put(self.array)
        self.node = None
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def made_by(cls, out: Array, node: "Node | None") -> "Tensor":
        """A tensor of `out`, the output of the operation that `node` records (None: not recorded)."""
        tensor = cls.__new__(cls)
        tensor.array = out if out.__class__ is np.ndarray else no_scalar(out)
        tensor.node = node
        return tensor

    # Properties

    @property
    def data(self) -> Array:
        """The elements: an array. Can be set to another one, which is then shared, not copied."""
        return self.array

    @data.setter
    def data(self, data: ArrayLike) -> None:
        array, leaf = as_array(data), self.node if self.is_leaf else None
        if leaf is not None and (array.shape, array.dtype) != (leaf.shape, leaf.dtype):
            check_floating(array)
            self.node = Node("leaf", array.shape, array.dtype)
            self.node.grad = leaf.grad
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    @property
    def device(self) -> Device:
        """The device on which the data lives."""
        return device_of(self.array)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation computed this tensor."""
        return self.node is None or self.node.backward is None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor: it is a leaf that requires one, or depends on such a leaf."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, required: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError(f"requires_grad can be set on leaves only; this is the output of {self.node.name}")
        if required:
            check_floating(self.array)
        if bool(required) != self.requires_grad:
            self.node = Node("leaf", self.array.shape, self.array.dtype) if required else None

    @property
    def grad(self) -> Array | None:
        """The gradient that `backward` left here, an array of the same shape as `data`, or None. Can be set to None."""
        return None if self.node is None else self.node.grad

    @grad.setter
    def grad(self, array: Array | None) -> None:
        if self.node is None:
            raise RuntimeError("this tensor has requires_grad=False, so it cannot have a gradient")
        array = None if array is None else as_array(array)
        if array is not None and array.shape != self.array.shape:
            raise ValueError(f"a gradient of shape {array.shape} does not match a tensor of shape {self.array.shape}")
        self.node.grad = array

    # Methods; functional/methods.py adds the operators and all other methods

    def backward(self, gradient: ArrayLike | None = None, retain_graph: bool = False) -> None:
        """Add to the `.grad` of each leaf x the sum over i of gradient_i * d(self_i)/dx.

        gradient      has the shape of this tensor; may be omitted if the tensor has one element, and is then 1
        retain_graph  whether to keep the graph; by default it is released, and a second backward pass through it raises
                      RuntimeError
        """
        if self.node is None:
            raise RuntimeError("backward: nothing to differentiate; no input had requires_grad=True, "
                               "or the computation ran under no_grad")
        if gradient is None:
            if self.array.size != 1:
                raise RuntimeError(f"backward: a tensor of shape {self.shape} needs backward(gradient=...) of that "
                                   "shape; only a tensor of one element, such as a loss, can omit it")
            with at(self.array):
                gradient = array_module(self.array).ones_like(self.array)
        gradient = gradient.data if isinstance(gradient, Tensor) else as_array(gradient, self.dtype)
        if gradient.shape != self.shape:
            raise ValueError(f"backward: the gradient's shape {gradient.shape} is not the tensor's {self.shape}")
        check_same_device("backward", (self.array, gradient))
        with at(gradient):
            gradient = gradient.astype(self.dtype, copy=self.node.keeps_grad)
        backpropagate(self.node, gradient, retain_graph)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor although it is not a leaf, for example to compute a saliency map."""
        if self.node is None:
            raise RuntimeError("retain_grad: this tensor has requires_grad=False, so it cannot have a gradient")
        self.node.keeps_grad = True

    def detach(self) -> "Tensor":
        """A tensor with the same data and no history."""
        return Tensor.made_by(self.array, None)

    def numpy(self) -> Array:
        """The data as a NumPy array: shared if it is on the CPU, otherwise a copy."""
        if not isinstance(self.array, np.ndarray):
            faults.tell()
        return CPU.put(self.array)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.array.size != 1:
            raise ValueError(f"item: a tensor of shape {self.shape} does not have exactly one element")
        if not isinstance(self.array, np.ndarray):
            faults.tell()
        return self.array.item()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if self.device != CPU:
            raise TypeError(f"this tensor is on {self.device}; use tensor.numpy(), which copies it to the CPU")
        return np.array(self.array, dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __reduce__(self) -> Any:
        """Copies and pickles contain the data only: loading creates a new node on the tape of the loading process."""
        if not self.is_leaf:
            raise RuntimeError(f"only leaves can be copied or pickled; this is the output of {self.node.name}, "
                               "so use .detach()")
        return type(self), (self.array, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        """A copy of the data and, unlike in a pickle, of the gradient, which an optimizer copied along may need."""
        make, (data, requires_grad) = self.__reduce__()
        twin = memo[id(self)] = make(copy.deepcopy(data, memo), requires_grad)
        if self.grad is not None:
            twin.grad = copy.deepcopy(self.grad, memo)
        return twin

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    __hash__ = object.__hash__                      # `==` compares elements; as a dictionary key, a tensor is itself

    def __repr__(self) -> str:
        elements = np.array2string(self.numpy(), separator=", ", precision=4, prefix="Tensor(")
        place = "" if self.device == CPU else f", device='{self.device}'"
        history = "" if self.node is None else ", requires_grad=True" if self.is_leaf else f", op={self.node.name}"
        return f"Tensor({elements}, dtype={self.dtype}{place}{history})"


class Node:
    """A vertex of the tape: a leaf, or the operation that computed a tensor.

    A node never refers to a tensor, so an array stays alive only while some `backward` refers to it.
    """

    __slots__ = ("__weakref__", "backward", "dtype", "finished", "grad", "keeps_grad", "name", "order", "parents",
                 "shape")

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any],
                 parents: tuple["Node | None", ...] = (), backward: Backward | None = None):
        self.name, self.shape, self.dtype = name, shape, dtype
        self.parents, self.backward = parents, backward
        self.keeps_grad = backward is None          # leaves do
        self.grad: Array | None = None
        self.finished: Callable[[Node], None] | None = None      # called when a backward pass has completed `grad`
        self.order = next(writes.clock)             # inputs are always older than outputs

    def __repr__(self) -> str:
        return slips.tape(sorted(newest_first(self), key=lambda node: node.order))


def op(function: Callable[P, tuple[Array, Backward]]) -> Callable[P, Tensor]:
    """Turn a function of arrays into an operation on tensors that records itself on the tape.

    `function` returns its output and `backward`, which maps the gradient of the output to one gradient for each
    positional argument, in order. A gradient returned as a `lambda` is computed only if it is needed. What follows a
    `/` in its signature are settings, which it gets as they are; PyTorch's `dim` is our `axis`: see `spelling.py`. The
    message of a ValueError, TypeError, IndexError or MemoryError gets the operation's name in front.
    """
    name, tensors = function.__name__.lstrip("_"), function.__code__.co_posonlyargcount
    spelling = spelling_of(name, function)
    respelled = spelling.names

    @functools.wraps(function)
    def recorded(*inputs: Any, **settings: Any) -> Tensor:
        if settings and not respelled.isdisjoint(settings):
            inputs, settings = spelling.ours(inputs, settings)
        more: tuple[Any, ...] = ()
        if 0 < tensors < len(inputs):               # settings follow without a name, such as a kernel size
            inputs, more = inputs[:tensors], inputs[tensors:]
        arrays = [x.array if isinstance(x, Tensor) else as_operand(name, x) for x in inputs]
        there = check_same_device(name, arrays)
        if arrays and arrays[0].__class__ in NUMBERS and not any(hasattr(x, "dtype") for x in arrays):
            arrays[0] = as_array(arrays[0])         # of numbers alone: float32
        if more:
            arrays += more
        try:
            if mode.half is not None:
                arrays = precision.cast(name, arrays)
            run = function if mode.watcher is None else mode.watcher.watch(function, "forward", name)
            if there is None:
                result = run(*arrays, **settings)
            else:
                with at(there):
                    result = run(*arrays, **settings)
        except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
            if re.match(r"\w+: ", str(error)):      # it already begins with a name
                raise
            if inputs and inputs[0] is None:
                check_arrays(name, arrays[:1], error)
            raise named(error, name, arrays) from error
        except AttributeError as error:
            check_arrays(name, arrays[:len(inputs)], error)
            if (explained := slips.of_forward(name, error)) is error:
                raise
            raise explained from error
        if result.__class__ is not tuple or len(result) != 2 or result[0].__class__ is not np.ndarray:
            slips.check_result(name, result)
        out, backward = result
        if mode.finite_only:
            check_finite(out, name, "output")
        parents = tuple([x.node if isinstance(x, Tensor) else None for x in inputs])
        if not mode.recording or not any(parents) or (out.dtype.kind != "f" and not is_float(out.dtype)):
            return Tensor.made_by(out, None)        # `backward` and everything it refers to is freed here
        return Tensor.made_by(out, Node(name, out.shape, out.dtype, parents, backward))

    return recorded


def backpropagate(root: Node, gradient: Array, retain_graph: bool = False) -> None:
    """Propagate `gradient` from the node `root` back to the leaves.

    One dictionary holds the pending gradients; each leaves it when its node is visited.
    """
    grads, there = {root: gradient}, device_of(gradient)
    for node in newest_first(root):
        if node in grads:
            try:
                if gradient.__class__ is np.ndarray:
                    visit(node, grads)
                else:
                    with at(grads[node]):
                        visit(node, grads)
            except Exception as error:
                if (explained := slips.of_backward(error, node, there)) is error:
                    raise
                raise explained from error
            if node.backward is not None and not retain_graph:
                node.backward = spent


def visit(node: Node, grads: dict[Node, Array]) -> None:
    """Keep the gradient of a node, if it keeps it, and pass it on to its parents."""
    if node.keeps_grad:
        node.grad = grads[node] if node.grad is None else no_scalar(accumulate(node.grad, grads[node]))
        if node.finished is not None:
            node.finished(node)
    watched(propagate, "backward", node.name)(node, grads)


def newest_first(root: Node) -> list[Node]:
    """All nodes that `root` depends on, in reverse order of creation, which is a reverse topological order.

    A leaf comes directly after the last node that contributes to its gradient, which is then complete.
    """
    places: dict[Node, float] = {root: root.order}
    stack = [root]
    while stack:
        node = stack.pop()
        for parent in node.parents:
            if parent is None:
                continue
            if parent.backward is None:
                places[parent] = min(places.get(parent, math.inf), node.order - 0.5)
            elif parent not in places:
                places[parent] = parent.order
                stack.append(parent)
    return sorted(places, key=places.__getitem__, reverse=True)


def propagate(node: Node, grads: dict[Node, Array]) -> None:
    """Remove the gradient of `node` from `grads`, and add the gradients of its parents.

    A function of its own, so that its local arrays are freed before the next node is visited.
    """
    gradient = grads.pop(node)
    if node.backward is None:
        return
    written = writes.latest > node.order             # perhaps into an array that is needed now
    if written:
        writes.check_unwritten(node.backward, node.backward, node.order, node.name)
    shares = node.backward(gradient)
    shares = shares if isinstance(shares, tuple) else (shares,)
    if any(parent is not None for parent in node.parents[len(shares):]):
        raise RuntimeError(f"backward of {node.name} gave {len(shares)} gradients for {len(node.parents)} inputs")
    others = [gradient]
    for parent, share in zip(node.parents, shares, strict=False):
        if parent is not None and share is not None:
            if callable(share):
                if written:
                    writes.check_unwritten(share, node.backward, node.order, node.name)
                share = share()
            share = unbroadcast(share, parent, node.name)
            if parent in grads:
                share = no_scalar(accumulate(grads[parent], share))
            elif parent.keeps_grad and shares_memory(share, others):
                with at(share):                      # a gradient of `move` has come to another device
                    share = share.copy(order="K")
            grads[parent] = share
            others.append(share)


# The sum of two gradients of one node, always a new array: `add`, for example, gives one array to both of its inputs.
# functional/methods.py replaces this function by one that adds large arrays on all threads.
accumulate: Callable[[Array, Array], Array] = operator.add
# The sum of an array over axes, which are kept with length 1; replaced likewise, by one that keeps the digits.
axis_sums: Callable[[Array, tuple[int, ...]], Array] = functools.partial(np.sum, keepdims=True)


def unbroadcast(grad: Array, parent: Node, name: str) -> Array:
    """`grad` in the shape and dtype of `parent`: summed over the axes along which the input was broadcast."""
    shape = parent.shape
    if grad.__class__ is not np.ndarray:
        grad = no_scalar(grad)
        if not is_array(grad):
            raise RuntimeError(f"backward of {name} gave a {type(grad).__name__}; it must give arrays")
    if mode.finite_only:
        check_finite(grad, name, "gradient")
    if grad.shape != shape:
        if not broadcasts(shape, grad.shape):
            raise RuntimeError(f"backward of {name} gave a gradient of shape {grad.shape} "
                               f"for an input of shape {shape}; the two shapes must be equal")
        extra = grad.ndim - len(shape)
        repeated = tuple(extra + i for i, n in enumerate(shape) if n != grad.shape[extra + i])
        grad = axis_sums(grad, tuple(range(extra)) + repeated).reshape(shape)
    return grad if grad.dtype is parent.dtype else grad.astype(parent.dtype, copy=False)


def spent(grad: Array) -> Any:
    """Takes the place of `backward` in a node that a backward pass has released."""
    raise RuntimeError("backward: this graph was released by an earlier backward(); "
                       "call that one with retain_graph=True, or compute the output again")


def as_array(data: ArrayLike, dtype: DTypeLike | None = None) -> Array:
    """`data` as a plain array. Without `dtype`, arrays keep their own and Python numbers become float32."""
    if isinstance(data, Tensor):
        data = data.data
    if is_array(data):
        if dtype is None:
            return plain_array(data)
        check_numbers(data.dtype, data)
        with at(data):
            return plain_array(data.astype(dtype, copy=False))
    array = np.asarray(data)
    check_dtype(array.dtype, data)
    if dtype is None and array.dtype.kind != "b" and not hasattr(data, "__array__"):
        dtype = np.float32
    return plain_array(array if dtype is None else array.astype(dtype))


def as_operand(name: str, x: Operand) -> Any:
    """An input of an operation that is not a Tensor: an array, None or a number."""
    if x is None or (isinstance(x, int | float) and not isinstance(x, np.generic)):
        return x
    try:
        if isinstance(x, np.generic):
            return python_number(x)
        if is_array(x):
            return plain_array(x)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    raise TypeError(f"{name}: a {type(x).__qualname__} is neither a Tensor nor an array nor a number; "
                    "numpy.asarray makes an array of a list")
