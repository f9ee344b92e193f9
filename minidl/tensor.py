"""The whole autograd engine: a tensor, the tape that remembers how it came about, and the walk back along it.

A Tensor is an array with a place on the tape. Each operation makes a new tensor, and a Node that knows how to turn
the gradient of its output into gradients of its inputs. `backward` visits those nodes, newest first, and adds up
what reaches each leaf. Which operations there are is told elsewhere: read `functional/elementwise.py` next.
"""

import functools
import itertools
import re
import threading
from contextlib import contextmanager
from operator import attrgetter

import numpy as np

from minidl.device import CPU, Device, array_module, device_of, is_array
from minidl.kernels import backend


class Tensor:
    """An array of numbers that can be differentiated.

    data           an array, anything NumPy can read, or numbers (which become float32; arrays keep their dtype)
    requires_grad  whether `backward` shall leave a gradient here, in `.grad`
    device         "cpu", "gpu", "gpu:1"; by default where `data` is
    """

    __slots__ = ("__weakref__", "data", "node")
    __array_ufunc__ = None                          # so that `array * tensor` comes to Tensor.__rmul__

    def __init__(self, data, requires_grad=False, *, dtype=None, device=None):
        self.data = as_array(data, dtype)
        if device is not None:
            self.data = Device.parse(device).put(self.data)
        self.node = None
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def made_by(cls, out, node):
        """The tensor around `out`, the output of the operation that `node` records (None: not recorded)."""
        tensor = cls.__new__(cls)
        tensor.data = np.asarray(out) if isinstance(out, np.generic) else out     # NumPy's sums are scalars
        tensor.node = node
        return tensor

    # What it is

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    device = property(lambda self: device_of(self.data))
    is_leaf = property(lambda self: self.node is None or self.node.backward is None)

    @property
    def requires_grad(self):
        """Whether a gradient can reach this tensor: it is a leaf that wants one, or was computed from such."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        if not self.is_leaf:
            raise RuntimeError(f"requires_grad can be set on leaves only; this is the output of {self.node.name}")
        if wanted and self.data.dtype.kind != "f":
            raise TypeError(f"only tensors of floats can want a gradient, not {self.data.dtype}")
        if bool(wanted) != self.requires_grad:
            self.node = Node("leaf", self.data.shape, self.data.dtype) if wanted else None

    @property
    def grad(self):
        """The gradient that `backward` left here, an array like `data`; None before, and after setting it to None."""
        return None if self.node is None else self.node.grad

    @grad.setter
    def grad(self, array):
        if self.node is None:
            raise RuntimeError("this tensor does not want a gradient (requires_grad is False)")
        if array is not None and array.shape != self.data.shape:
            raise ValueError(f"a gradient of shape {array.shape} does not fit a tensor of shape {self.data.shape}")
        self.node.grad = array

    # What it can do; the operators and all other methods are given to it in functional/__init__.py

    def backward(self, gradient=None, retain_graph=False):
        """Add to the `.grad` of each leaf x the sum over i of gradient_i * d(self_i)/dx.

        `gradient` has the shape of this tensor; it may be left out if that has one element. The graph is released on
        the way, unless `retain_graph`: a second walk over a released graph raises RuntimeError.
        """
        if self.node is None:
            raise RuntimeError("backward: nothing to differentiate; no input had requires_grad=True, "
                               "or the computation ran under no_grad")
        if gradient is None:
            if self.data.size != 1:
                raise RuntimeError(f"backward: a tensor of shape {self.shape} needs backward(gradient=...) of that "
                                   "shape; only a single number, such as a loss, does without")
            gradient = array_module(self.data).ones_like(self.data)
        gradient = gradient.data if isinstance(gradient, Tensor) else as_array(gradient, self.dtype)
        if gradient.shape != self.shape:
            raise ValueError(f"backward: the gradient's shape {gradient.shape} is not the tensor's {self.shape}")
        same_device("backward", (self.data, gradient))
        backpropagate(self.node, gradient.astype(self.dtype, copy=False), retain_graph)

    def retain_grad(self):
        """Keep the gradient of this tensor too, though it is no leaf: for looking at saliency, say."""
        if self.node is None:
            raise RuntimeError("retain_grad: this tensor does not want a gradient")
        self.node.keeps_grad = True

    def detach(self):
        """The same data, with no history."""
        return Tensor.made_by(self.data, None)

    def numpy(self):
        """The data as a NumPy array: shared if it lives on the CPU, else a copy."""
        return CPU.put(self.data)

    def item(self):
        """The only element, as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item: a tensor of shape {self.shape} is not one number")
        return self.data.item()

    def __array__(self, dtype=None, copy=None):
        if self.device != CPU:
            raise TypeError(f"this tensor is on {self.device}; take tensor.numpy(), which copies it to the CPU")
        return np.array(self.data, dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __reduce__(self):
        """Copies and pickles hold the data alone: whoever loads one gives it a node with a place on its own tape."""
        if not self.is_leaf:
            raise RuntimeError(f"only leaves can be copied or pickled; this is the output of {self.node.name}, "
                               "so take .detach()")
        return type(self), (self.data, self.requires_grad)

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    __hash__ = object.__hash__                      # `==` compares elements; as a key, a tensor is itself

    def __repr__(self):
        numbers = np.array2string(self.numpy(), separator=", ", precision=4, prefix="Tensor(")
        place = "" if self.device == CPU else f", device='{self.device}'"
        history = "" if self.node is None else ", requires_grad=True" if self.is_leaf else f", op={self.node.name}"
        return f"Tensor({numbers}, dtype={self.dtype}{place}{history})"


class Node:
    """One vertex of the tape: a leaf, or the operation that made a tensor.

    A node never holds a tensor, so an array stays alive only while some `backward` names it.
    """

    __slots__ = ("__weakref__", "backward", "dtype", "grad", "keeps_grad", "name", "order", "parents", "shape")
    orders = itertools.count()

    def __init__(self, name, shape, dtype, parents=(), backward=None):
        self.name, self.shape, self.dtype = name, shape, dtype
        self.parents, self.backward = parents, backward
        self.keeps_grad = backward is None          # leaves do
        self.grad = None
        self.order = next(Node.orders)              # inputs are always older than outputs


def op(function):
    """Teach an array function to record itself on the tape.

    `function` sees arrays only. It returns its output and `backward`, which maps the gradient of that output to a
    gradient for each positional argument, in order. A gradient given as a `lambda` is computed only if it is wanted.
    Wrong shapes and types come out as ValueError, TypeError or IndexError that begin with the operation's name; so
    does MemoryError.
    """
    name = function.__name__.lstrip("_")

    @functools.wraps(function)
    def recorded(*inputs, **settings):
        arrays = [x.data if isinstance(x, Tensor) else plain(name, x) for x in inputs]
        same_device(name, arrays)
        try:
            out, backward = watched(function, "forward", name)(*arrays, **settings)
        except (ValueError, TypeError, IndexError, MemoryError) as error:
            if re.match(r"\w+: ", str(error)):       # it says already whose it is
                raise
            raise named(error, name, arrays) from error
        if mode.finite_only:
            check_finite(out, name, "output")
        parents = tuple([x.node if isinstance(x, Tensor) else None for x in inputs])
        if not mode.recording or not any(parents) or out.dtype.kind != "f":
            return Tensor.made_by(out, None)        # `backward`, and all it names, dies here
        return Tensor.made_by(out, Node(name, out.shape, out.dtype, parents, backward))

    return recorded


def backpropagate(root, gradient, retain_graph=False):
    """Carry `gradient` from the node `root` to the leaves.

    The gradients under way live in one dictionary and leave it as they are spent.
    """
    grads = {root: gradient}
    for node in newest_first(root):
        if node in grads:
            if node.keeps_grad:
                node.grad = grads[node] if node.grad is None else node.grad + grads[node]
            try:
                watched(pass_on, "backward", node.name)(node, grads)
            except MemoryError as error:
                raise named(error, f"backward of {node.name}", node.parents) from error
            if node.backward is not None and not retain_graph:
                node.backward = spent


def newest_first(root):
    """Every node that `root` depends on, in the reverse of the order they were made: no recursion, no counting."""
    seen, stack = {root}, [root]
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=attrgetter("order"), reverse=True)


def pass_on(node, grads):
    """Turn a node's gradient into its parents' gradients, and forget it.

    A function of its own, so that its local arrays die before the next node runs.
    """
    gradient = grads.pop(node)
    if node.backward is None:
        return
    shares = node.backward(gradient)
    shares = shares if isinstance(shares, tuple) else (shares,)
    if any(parent is not None for parent in node.parents[len(shares):]):
        raise RuntimeError(f"backward of {node.name} gave {len(shares)} gradients for {len(node.parents)} inputs")
    for parent, share in zip(node.parents, shares, strict=False):
        if parent is not None and share is not None:
            share = fit(share() if callable(share) else share, parent, node.name)
            grads[parent] = backend(share).add(grads[parent], share) if parent in grads else share


def fit(grad, parent, name):
    """The gradient in its node's own shape and dtype: axes along which the input was repeated are summed."""
    if mode.finite_only:
        check_finite(grad, name, "gradient")
    shape = parent.shape
    if grad.shape != shape:
        if np.broadcast_shapes(shape, grad.shape) != grad.shape:
            raise RuntimeError(f"backward of {name} gave a gradient of shape {grad.shape} "
                               f"for an input of shape {shape}")
        extra = grad.ndim - len(shape)
        repeated = tuple(extra + i for i, n in enumerate(shape) if n != grad.shape[extra + i])
        grad = grad.sum(tuple(range(extra)) + repeated, keepdims=True).reshape(shape)
    return grad.astype(parent.dtype, copy=False)


def spent(grad):
    """Stands in for the `backward` of a node that a walk has released."""
    raise RuntimeError("backward: this graph was released by an earlier backward(); "
                       "call that one with retain_graph=True, or compute the output again")


class Mode(threading.local):
    """What operations do beside computing; every thread begins with these."""

    recording = True
    finite_only = False
    watcher = None                                  # an open profile: see profiling.py


mode = Mode()


def watched(function, phase, name):
    """`function` itself; or, while a profile is open, the same function with its calls measured under that name."""
    return function if mode.watcher is None else mode.watcher.watch(function, phase, name)


@contextmanager
def no_grad():
    """Record nothing meanwhile: `with no_grad():`, or as a decorator, `@no_grad()`. Holds for this thread only."""
    before, mode.recording = mode.recording, False
    try:
        yield
    finally:
        mode.recording = before


class NonFiniteError(FloatingPointError):
    """An operation gave NaN or infinity under `detect_nonfinite`. `.module` is the layer it ran in, if any."""

    module = None
    exit_code = 1                                # of a command that ends with it, see `errors.py`


@contextmanager
def detect_nonfinite():
    """Stop at the first operation whose output, or whose gradient, is not finite. Slow: for finding out where."""
    before, mode.finite_only = mode.finite_only, True
    try:
        yield
    finally:
        mode.finite_only = before


def check_finite(array, name, what):
    """Raise NonFiniteError if `array`, the `what` of the operation `name`, holds NaN or infinity."""
    xp = array_module(array)
    if array.dtype.kind == "f" and not xp.isfinite(array).all():
        count = int(array.size - xp.isfinite(array).sum())
        raise NonFiniteError(f"the {what} of {name} is not finite: {count} of its {array.size} values {array.shape}")


def as_array(data, dtype=None):
    """`data` as an array; numbers become float32, arrays keep their dtype unless another is asked for."""
    if isinstance(data, Tensor):
        data = data.data
    if is_array(data):
        return data if dtype is None else data.astype(dtype, copy=False)
    array = np.asarray(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a tensor is made of numbers, not of {type(data).__name__} ({array.dtype})")
    if dtype is None and array.dtype.kind != "b" and not hasattr(data, "__array__"):
        dtype = np.float32
    return array if dtype is None else array.astype(dtype)


def plain(name, x):
    """An operation's input that is no Tensor: an array, None, or a number.

    NumPy's scalars become Python numbers, which never turn float32 into float64.
    """
    if isinstance(x, np.generic):
        return x.item()
    if x is None or isinstance(x, int | float | tuple) or is_array(x):
        return x
    raise TypeError(f"{name}: a {type(x).__module__}.{type(x).__name__} is neither a Tensor nor an array nor a number")


def same_device(name, arrays):
    """Raise ValueError unless all arrays live on one device."""
    places = {device_of(x) for x in arrays if x.__class__ is not np.ndarray and hasattr(x, "dtype")}
    if not places:
        return
    places |= {CPU for x in arrays if isinstance(x, np.ndarray)}
    if len(places) > 1:
        names = " and ".join(sorted(map(str, places)))
        raise ValueError(f"{name}: its inputs live on {names}; bring them together with .to(device)")


def named(error, name, arrays):
    """`error` with the operation's name in front and the shapes of its inputs behind."""
    shapes = ", ".join(str(x.shape) if hasattr(x, "shape") else repr(x) for x in arrays)
    kind = next(k for k in (IndexError, ValueError, TypeError, MemoryError) if isinstance(error, k))
    remedy = "; reduce the batch size or the image size" if kind is MemoryError else ""
    return kind(f"{name}: {str(error) or 'out of memory'} (inputs: {shapes}){remedy}")
