# Written by tests/tensor_stub.py: change tensor.py or functional/methods.py, and run that file.
from collections.abc import Sequence
from minidl.functional.checks import Axis
import copy
import functools
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeAlias
import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from minidl import faults, precision, writes
from minidl.arrays import broadcasts, check_arrays, check_dtype, check_floating, check_numbers, check_same_device, is_float, named, no_scalar, plain_array, python_number
from minidl.device import CPU, Array, Device, array_module, at, device_of, is_array, shares_memory
from minidl.modes import check_finite, mode, watched
Operand: TypeAlias = Any
Backward: TypeAlias = Callable[[Array], Any]
P = ParamSpec('P')
NUMBERS: Any

class Tensor:
    __array_ufunc__ = None
    array: Array
    node: 'Node | None'
    def __init__(self, data: ArrayLike, requires_grad: bool=False, *, dtype: DTypeLike | None=None, device: str | Device | None=None) -> None: ...
    @classmethod
    def made_by(cls, out: Array, node: 'Node | None') -> 'Tensor': ...
    @property
    def data(self) -> Array: ...
    @data.setter
    def data(self, data: ArrayLike) -> None: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def device(self) -> Device: ...
    @property
    def is_leaf(self) -> bool: ...
    @property
    def requires_grad(self) -> bool: ...
    @requires_grad.setter
    def requires_grad(self, required: bool) -> None: ...
    @property
    def grad(self) -> Array | None: ...
    @grad.setter
    def grad(self, array: Array | None) -> None: ...
    def backward(self, gradient: ArrayLike | None=None, retain_graph: bool=False) -> None: ...
    def retain_grad(self) -> None: ...
    def detach(self) -> 'Tensor': ...
    def numpy(self) -> Array: ...
    def item(self) -> Any: ...
    def __array__(self, dtype: DTypeLike | None=None, copy: bool | None=None) -> Array: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> Any: ...
    def __reduce__(self) -> Any: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> 'Tensor': ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator['Tensor']: ...
    def __bool__(self) -> bool: ...
    def __float__(self) -> float: ...
    def __int__(self) -> int: ...
    __hash__ = object.__hash__
    def __repr__(self) -> str: ...
    def __add__(self, b: Operand, /) -> Tensor:
        """a + b, elementwise."""
    def __radd__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __sub__(self, b: Operand, /) -> Tensor:
        """a - b, elementwise."""
    def __rsub__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __mul__(self, b: Operand, /) -> Tensor:
        """a * b, elementwise."""
    def __rmul__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __truediv__(self, b: Operand, /) -> Tensor:
        """a / b, elementwise; integers give float32."""
    def __rtruediv__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __pow__(self, b: Operand, /) -> Tensor:
        """a ** b, elementwise."""
    def __rpow__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __matmul__(self, b: Operand, /) -> Tensor:
        """a @ b: a product for each pair of matrices, broadcast over all leading axes; a 1-D input is a vector."""
    def __rmatmul__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __neg__(self, /) -> Tensor:
        """-x, elementwise."""
    def __abs__(self, /) -> Tensor:
        """|x|, elementwise; the gradient at 0 is 0."""
    def __eq__(self, b: Operand, /) -> Tensor:  # type: ignore[override]
        """a == b, elementwise."""
    def __ne__(self, b: Operand, /) -> Tensor:  # type: ignore[override]
        """a != b, elementwise."""
    def __lt__(self, b: Operand, /) -> Tensor:
        """a < b, elementwise."""
    def __le__(self, b: Operand, /) -> Tensor:
        """a <= b, elementwise."""
    def __gt__(self, b: Operand, /) -> Tensor:
        """a > b, elementwise."""
    def __ge__(self, b: Operand, /) -> Tensor:
        """a >= b, elementwise."""
    def __iadd__(self, y: Operand, /) -> Tensor:
        """x += y, in place; RuntimeError if it would be recorded."""
    def __isub__(self, y: Operand, /) -> Tensor:
        """x -= y, in place; RuntimeError if it would be recorded."""
    def __imul__(self, y: Operand, /) -> Tensor:
        """x *= y, in place; RuntimeError if it would be recorded."""
    def __itruediv__(self, y: Operand, /) -> Tensor:
        """x /= y, in place; RuntimeError if it would be recorded."""
    def __ipow__(self, y: Operand, /) -> Tensor:
        """x **= y, in place; RuntimeError if it would be recorded."""
    def __imatmul__(self, y: Operand, /) -> Tensor:
        """x @= y is not supported."""
    def __getitem__(self, index: Any, /) -> Tensor:
        """x[index], as in NumPy."""
    def __setitem__(self, index: Any, y: Operand, /) -> Tensor:
        """x[index] = y, in place; RuntimeError if it would be recorded."""
    def abs(self, /) -> Tensor:
        """|x|, elementwise; the gradient at 0 is 0."""
    def exp(self, /) -> Tensor:
        """e ** x, elementwise."""
    def log(self, /) -> Tensor:
        """The natural logarithm, elementwise."""
    def sqrt(self, /) -> Tensor:
        """The square root, elementwise."""
    def pow(self, b: Operand, /) -> Tensor:
        """a ** b, elementwise."""
    def clamp(self, /, *, min: float | None=None, max: float | None=None) -> Tensor:
        """x limited to [min, max], elementwise; the gradient passes where x lies inside, bounds included."""
    def relu(self, /, *, ceiling: float | None=None) -> Tensor:
        """max(x, 0), elementwise; min(max(x, 0), ceiling) if a ceiling is given, which PyTorch's function does not have."""
    def sigmoid(self, /) -> Tensor:
        """1 / (1 + exp(-x)), elementwise."""
    def tanh(self, /) -> Tensor:
        """The hyperbolic tangent, elementwise."""
    def softmax(self, /, axis: int=-1) -> Tensor:
        """exp(x) / sum(exp(x)) along `axis`: positive values that sum to 1."""
    def log_softmax(self, /, axis: int=-1) -> Tensor:
        """log(softmax(x)) along `axis`, computed as x - logsumexp(x): accurate even where softmax would round to 0."""
    def sum(self, /, axis: Axis=None, keepdims: bool=False) -> Tensor:
        """The sum over `axis`; that of integers or booleans is an int64, as in PyTorch."""
    def mean(self, /, axis: Axis=None, keepdims: bool=False) -> Tensor:
        """The mean over `axis`."""
    def var(self, /, axis: Axis=None, keepdims: bool=False, *, correction: int=1) -> Tensor:
        """The variance over `axis`: the sum of (x - mean)**2 divided by n - correction. correction=1: unbiased."""
    def amax(self, /, axis: Axis=None, keepdims: bool=False) -> Tensor:
        """The largest element over `axis`; equal elements share the gradient equally."""
    def amin(self, /, axis: Axis=None, keepdims: bool=False) -> Tensor:
        """The smallest element over `axis`; equal elements share the gradient equally."""
    def logsumexp(self, /, axis: Axis=None, keepdims: bool=False) -> Tensor:
        """log(sum(exp(x))) over `axis`, without overflow: the largest element is subtracted first."""
    def reshape(self, /, *shape: int | Sequence[int]) -> Tensor:
        """The elements in another shape: x.reshape(2, -1) or x.reshape((2, -1))."""
    def expand(self, /, *shape: int | Sequence[int]) -> Tensor:
        """x broadcast to another shape: x.expand(2, -1) or x.expand((2, -1))."""
    def permute(self, /, *axes: int | Sequence[int]) -> Tensor:
        """x with its axes in another order: x.permute(1, 0) or x.permute((1, 0))."""
    def flatten(self, /, start_dim: int=0, end_dim: int=-1) -> Tensor:
        """x with the axes from start_dim to end_dim merged into one.   flatten(x, 1): (N, C, H, W) -> (N, C*H*W)"""
    def transpose(self, dim0: int, dim1: int, /) -> Tensor:
        """x with the axes dim0 and dim1 swapped."""
    def squeeze(self, /, axis: Axis=None) -> Tensor:
        """x without its axes of length 1; with `axis`, only the axes it names are removed, if their length is 1."""
    def unsqueeze(self, axis: int, /) -> Tensor:
        """x with a new axis of length 1 at position `axis`."""
    @property
    def T(self) -> Tensor:
        """x with its axes in reverse order."""
    def matmul(self, b: Operand, /) -> Tensor:
        """a @ b: a product for each pair of matrices, broadcast over all leading axes; a 1-D input is a vector."""
    def astype(self, /, dtype: DTypeLike) -> Tensor:
        """x converted to another dtype; its gradient has the dtype of x."""
    def to(self, /, device: str | Device | None=None, dtype: DTypeLike | None=None) -> Tensor:
        """x on another device, with another dtype, or both; gradients pass back to x."""

class Node:
    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], parents: tuple['Node | None', ...]=(), backward: Backward | None=None) -> None: ...
    backward: Any
    dtype: Any
    finished: Any
    grad: Any
    keeps_grad: Any
    name: Any
    order: Any
    parents: Any
    shape: Any
def op(function: Callable[P, tuple[Array, Backward]]) -> Callable[P, Tensor]: ...
def backpropagate(root: Node, gradient: Array, retain_graph: bool=False) -> None: ...
def newest_first(root: Node) -> list[Node]: ...
def propagate(node: Node, grads: dict[Node, Array]) -> None: ...
accumulate: Callable[[Array, Array], Array]
axis_sums: Callable[[Array, tuple[int, ...]], Array]
def unbroadcast(grad: Array, parent: Node, name: str) -> Array: ...
def spent(grad: Array) -> Any: ...
def as_array(data: ArrayLike, dtype: DTypeLike | None=None) -> Array: ...
def as_operand(name: str, x: Operand) -> Any: ...
