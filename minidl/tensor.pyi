# Written by tests/tensor_stub.py: change tensor.py or functional/methods.py, and run that file.
import builtins
from collections.abc import Sequence
from typing import NoReturn
from minidl.functional.checks import Axis
from minidl.functional.selection import Chosen
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
from minidl.arrays import broadcasts, check_arrays, check_dtype, check_floating, check_numbers, check_same_device, is_float, named, no_scalar, plain_array, python_number
from minidl.device import CPU, Array, Device, array_module, at, device_of, is_array, shares_memory
from minidl.modes import check_finite, mode, watched
from minidl.spelling import spelling_of
Operand: TypeAlias = Any
Backward: TypeAlias = Callable[[Array], Any]
P = ParamSpec('P')
NUMBERS: Any

class Tensor:
    __array_ufunc__ = None
    array: Array
    node: 'Node | None'
    def __init__(self, data: ArrayLike, requires_grad: builtins.bool=False, *, dtype: DTypeLike | None=None, device: str | Device | None=None) -> None: ...
    @classmethod
    def made_by(cls, out: Array, node: 'Node | None') -> 'Tensor': ...
    @property
    def data(self) -> Array: ...
    @data.setter
    def data(self, data: ArrayLike) -> None: ...
    @property
    def shape(self) -> tuple[builtins.int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def ndim(self) -> builtins.int: ...
    @property
    def device(self) -> Device: ...
    @property
    def is_leaf(self) -> builtins.bool: ...
    @property
    def requires_grad(self) -> builtins.bool: ...
    @requires_grad.setter
    def requires_grad(self, required: builtins.bool) -> None: ...
    @property
    def grad(self) -> Array | None: ...
    @grad.setter
    def grad(self, array: Array | None) -> None: ...
    def backward(self, gradient: ArrayLike | None=None, retain_graph: builtins.bool=False) -> None: ...
    def retain_grad(self) -> None: ...
    def detach(self) -> 'Tensor': ...
    def numpy(self) -> Array: ...
    def item(self) -> Any: ...
    def __array__(self, dtype: DTypeLike | None=None, copy: builtins.bool | None=None) -> Array: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> Any: ...
    def __reduce__(self) -> Any: ...
    def __deepcopy__(self, memo: dict[builtins.int, Any]) -> 'Tensor': ...
    def __len__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator['Tensor']: ...
    def __bool__(self) -> builtins.bool: ...
    def __float__(self) -> builtins.float: ...
    def __int__(self) -> builtins.int: ...
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
    def __mod__(self, b: Operand, /) -> Tensor:
        """a - floor(a / b) * b, elementwise: a % b, with the sign of b."""
    def __rmod__(self, a: Operand, /) -> Tensor:
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
    def __and__(self, b: Operand, /) -> Tensor:
        """a & b, elementwise: both of two booleans, or the bits that two integers share."""
    def __or__(self, b: Operand, /) -> Tensor:
        """a | b, elementwise: either of two booleans, or the bits of both integers."""
    def __xor__(self, b: Operand, /) -> Tensor:
        """a ^ b, elementwise: one of two booleans but not both, or the bits that differ."""
    def __invert__(self, /) -> Tensor:
        """~x, elementwise: not a boolean, or the other bits of an integer."""
    def __rand__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __ror__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
    def __rxor__(self, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
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
    def __imatmul__(self, y: Operand, /) -> NoReturn:
        """x @= y is not supported."""
    def __getitem__(self, index: Any, /) -> Tensor:
        """x[index], as in NumPy."""
    def __setitem__(self, index: Any, y: Operand, /) -> None:
        """x[index] = y, in place; RuntimeError if it would be recorded."""
    def add(self, b: Operand, /) -> Tensor:
        """a + b, elementwise."""
    def sub(self, b: Operand, /) -> Tensor:
        """a - b, elementwise."""
    def mul(self, b: Operand, /) -> Tensor:
        """a * b, elementwise."""
    def div(self, b: Operand, /) -> Tensor:
        """a / b, elementwise; integers give float32."""
    def neg(self, /) -> Tensor:
        """-x, elementwise."""
    def eq(self, b: Operand, /) -> Tensor:
        """a == b, elementwise."""
    def ne(self, b: Operand, /) -> Tensor:
        """a != b, elementwise."""
    def lt(self, b: Operand, /) -> Tensor:
        """a < b, elementwise."""
    def le(self, b: Operand, /) -> Tensor:
        """a <= b, elementwise."""
    def gt(self, b: Operand, /) -> Tensor:
        """a > b, elementwise."""
    def ge(self, b: Operand, /) -> Tensor:
        """a >= b, elementwise."""
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
    def clamp(self, /, min: builtins.float | None=None, max: builtins.float | None=None) -> Tensor:
        """x limited to [min, max], elementwise; the gradient passes where x lies inside, bounds included."""
    def sin(self, /) -> Tensor:
        """The sine, elementwise."""
    def cos(self, /) -> Tensor:
        """The cosine, elementwise."""
    def relu(self, /, inplace: builtins.bool=False, *, ceiling: builtins.float | None=None) -> Tensor:
        """max(x, 0), elementwise; min(max(x, 0), ceiling) if a ceiling is given, which PyTorch's function does not have."""
    def sigmoid(self, /) -> Tensor:
        """1 / (1 + exp(-x)), elementwise."""
    def tanh(self, /) -> Tensor:
        """The hyperbolic tangent, elementwise."""
    def softmax(self, /, axis: builtins.int=-1) -> Tensor:
        """exp(x) / sum(exp(x)) along `axis`: positive values that sum to 1."""
    def log_softmax(self, /, axis: builtins.int=-1) -> Tensor:
        """log(softmax(x)) along `axis`, computed as x - logsumexp(x): accurate even where softmax would round to 0."""
    def sum(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The sum over `axis`; that of integers or booleans is an int64, as in PyTorch."""
    def mean(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The mean over `axis`."""
    def var(self, /, axis: Axis=None, *, keepdims: builtins.bool=False, correction: builtins.int=1) -> Tensor:
        """The variance over `axis`: the sum of (x - mean)**2 divided by n - correction. correction=1: unbiased."""
    def std(self, /, axis: Axis=None, *, keepdims: builtins.bool=False, correction: builtins.int=1) -> Tensor:
        """The standard deviation over `axis`: the root of `var`. Where it is 0, so is the gradient."""
    def norm(self, /, p: builtins.float=2.0, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The length of x as a vector, over `axis`: sqrt(sum(x**2)) for p=2, sum(|x|) for 1, max(|x|) for infinity."""
    def amax(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The largest element over `axis`; equal elements share the gradient equally."""
    def amin(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The smallest element over `axis`; equal elements share the gradient equally."""
    def logsumexp(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """log(sum(exp(x))) over `axis`, without overflow: the largest element is subtracted first."""
    def max(self, /, axis: Any=None, keepdims: builtins.bool=False) -> Any:
        """The largest element; with `axis`, Chosen(values, indices) along it; max(x, y) of two tensors: maximum(x, y)."""
    def min(self, /, axis: Any=None, keepdims: builtins.bool=False) -> Any:
        """The smallest element; with `axis`, Chosen(values, indices) along it; min(x, y) of two tensors: minimum(x, y)."""
    def argmax(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The index of the largest element along `axis`, the first of equal ones; of all elements in C order if None."""
    def argmin(self, /, axis: Axis=None, keepdims: builtins.bool=False) -> Tensor:
        """The index of the smallest element along `axis`, the first of equal ones; of all elements in C order if None."""
    def sort(self, /, axis: builtins.int=-1, descending: builtins.bool=False) -> Chosen:
        """The elements in ascending or descending order along `axis`, equal ones in their order, and their indices."""
    def argsort(self, /, axis: builtins.int=-1, descending: builtins.bool=False) -> Tensor:
        """The indices that would sort x along `axis`; equal elements keep their order, and NaN is the largest of all."""
    def topk(self, /, k: builtins.int, axis: builtins.int=-1, largest: builtins.bool=True, sorted: builtins.bool=True) -> Chosen:
        """The k largest elements along `axis`, or the smallest, in order, and their indices. `sorted` changes nothing."""
    def gather(self, axis: builtins.int, index: Operand) -> Tensor:
        """The elements of x at the places that `index` names along `axis`: out[i, j] = x[i, index[i, j]] for axis 1 of 2."""
    def masked_fill(self, mask: Operand, value: Operand, /) -> Tensor:
        """x with `value` where the mask, an array of booleans, is true."""
    def chunk(self, /, chunks: builtins.int, axis: builtins.int=0) -> list[Tensor]:
        """x cut along `axis` into at most `chunks` parts of equal length; the last may be shorter."""
    def split(self, /, sizes: builtins.int | Sequence[builtins.int], axis: builtins.int=0) -> list[Tensor]:
        """x cut along `axis` into parts of these lengths; one number: parts of that length, where the last may be shorter."""
    def reshape(self, /, *shape: builtins.int | Sequence[builtins.int]) -> Tensor:
        """The elements in another shape: x.reshape(2, -1) or x.reshape((2, -1))."""
    def expand(self, /, *shape: builtins.int | Sequence[builtins.int]) -> Tensor:
        """x broadcast to another shape: x.expand(2, -1) or x.expand((2, -1))."""
    def permute(self, /, *axes: builtins.int | Sequence[builtins.int]) -> Tensor:
        """x with its axes in another order: x.permute(1, 0) or x.permute((1, 0))."""
    def flatten(self, /, start_dim: builtins.int=0, end_dim: builtins.int=-1) -> Tensor:
        """x with the axes from start_dim to end_dim merged into one.   flatten(x, 1): (N, C, H, W) -> (N, C*H*W)"""
    def transpose(self, /, dim0: builtins.int, dim1: builtins.int) -> Tensor:
        """x with the axes dim0 and dim1 swapped."""
    def squeeze(self, /, axis: Axis=None) -> Tensor:
        """x without its axes of length 1; with `axis`, only the axes it names are removed, if their length is 1."""
    def unsqueeze(self, /, axis: builtins.int) -> Tensor:
        """x with a new axis of length 1 at position `axis`."""
    @property
    def T(self) -> Tensor:
        """x with its axes in reverse order."""
    def matmul(self, b: Operand, /) -> Tensor:
        """a @ b: a product for each pair of matrices, broadcast over all leading axes; a 1-D input is a vector."""
    def astype(self, /, dtype: DTypeLike) -> Tensor:
        """x converted to another dtype; its gradient has the dtype of x."""
    def size(self, /, dim: builtins.int | None=None) -> Any:
        """The length of each axis, or of one: x.size(0). The number of elements is x.numel()."""
    def dim(self, /) -> builtins.int:
        """The number of axes."""
    def numel(self, /) -> builtins.int:
        """The number of elements."""
    def tolist(self, /) -> Any:
        """The elements as Python's numbers, in lists of lists."""
    def view(self, /, *shape: builtins.int | Sequence[builtins.int]) -> Tensor:
        """The elements in another shape, as x.reshape(...): without copying where that is possible."""
    def repeat(self, /, *sizes: builtins.int | Sequence[builtins.int]) -> Tensor:
        """x repeated along each axis: x.repeat(2, 1) or x.repeat((2, 1))."""
    def clone(self, /) -> Tensor:
        """A copy of x in its memory order; gradients pass back to x."""
    def contiguous(self, /) -> Tensor:
        """x itself: operations here accept any memory order."""
    def requires_grad_(self, /, requires_grad: builtins.bool=True) -> Tensor:
        """Set whether this leaf requires a gradient, and return it."""
    def to(self, /, device: Any=None, dtype: Any=None, non_blocking: builtins.bool=False, copy: builtins.bool=False) -> Tensor:
        """x on another device, with another dtype, or both; gradients pass back to x."""
    def cpu(self, /) -> Tensor:
        """x on the CPU: itself if it is there."""
    def cuda(self, /, device: builtins.int=0) -> Tensor:
        """x on a GPU."""
    def float(self, /) -> Tensor:
        """x as float32."""
    def double(self, /) -> Tensor:
        """x as float64."""
    def long(self, /) -> Tensor:
        """x as int64, without gradient."""
    def int(self, /) -> Tensor:
        """x as int32, without gradient."""
    def bool(self, /) -> Tensor:
        """Whether each element is not 0."""
    def all(self, /) -> Tensor:
        """Whether all elements are true, as a tensor of one boolean."""
    def any(self, /) -> Tensor:
        """Whether any element is true, as a tensor of one boolean."""
    def add_(self, y: Operand, /, *, alpha: builtins.float=1) -> Tensor:
        """x += alpha * y, in place."""
    def sub_(self, y: Operand, /, *, alpha: builtins.float=1) -> Tensor:
        """x -= alpha * y, in place."""
    def mul_(self, y: Operand, /) -> Tensor:
        """x *= y, in place; RuntimeError if it would be recorded."""
    def div_(self, y: Operand, /) -> Tensor:
        """x /= y, in place; RuntimeError if it would be recorded."""
    def copy_(self, y: Operand, /, non_blocking: builtins.bool=False) -> Tensor:
        """Write the elements of y into x."""
    def fill_(self, value: builtins.float, /) -> Tensor:
        """Write one number into all elements."""
    def zero_(self, /) -> Tensor:
        """Write 0 into all elements."""

class Node:
    def __init__(self, name: str, shape: tuple[builtins.int, ...], dtype: np.dtype[Any], parents: tuple['Node | None', ...]=(), backward: Backward | None=None) -> None: ...
    def __repr__(self) -> str: ...
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
def visit(node: Node, grads: dict[Node, Array]) -> None: ...
def newest_first(root: Node) -> list[Node]: ...
def propagate(node: Node, grads: dict[Node, Array]) -> None: ...
accumulate: Callable[[Array, Array], Array]
axis_sums: Callable[[Array, tuple[int, ...]], Array]
def unbroadcast(grad: Array, parent: Node, name: str) -> Array: ...
def spent(grad: Array) -> Any: ...
def as_array(data: ArrayLike, dtype: DTypeLike | None=None) -> Array: ...
def as_operand(name: str, x: Operand) -> Any: ...
