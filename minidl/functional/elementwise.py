"""Operations that treat each element separately, with NumPy's broadcasting.

This is what an operation looks like: one function with forward and backward together. Inside it there are only arrays;
`op` accepts tensors, records the result, and sums each gradient over the axes along which its input was broadcast. So
no function below needs to handle shapes.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minidl.arrays import check_dtype, check_same_device
from minidl.device import Array, Device, array_module, device_of
from minidl.functional.checks import real
from minidl.functional.promotion import floating, promoted
from minidl.tensor import Backward, Operand, Tensor, as_operand, op


@op
def add(a: Operand, b: Operand, /):
    """a + b, elementwise."""
    a, b = promoted(a, b)

    def backward(grad):
        return grad, grad
    return a + b, backward


@op
def sub(a: Operand, b: Operand, /):
    """a - b, elementwise."""
    a, b = promoted(a, b)

    def backward(grad):
        return grad, (lambda: -grad)
    return a - b, backward


@op
def mul(a: Operand, b: Operand, /):
    """a * b, elementwise."""
    a, b = promoted(a, b)

    def backward(grad):
        return (lambda: grad * b), (lambda: grad * a)
    return a * b, backward


@op
def div(a: Operand, b: Operand, /):
    """a / b, elementwise; integers give float32."""
    a, b = map(floating, promoted(a, b))
    out = a / b

    def backward(grad):
        return (lambda: grad / b), (lambda: -grad * out / b)
    return out, backward


@op
def neg(x: Operand, /):
    """-x, elementwise."""
    def backward(grad):
        return -grad
    return -x, backward


@op
def pow(a: Operand, b: Operand, /):
    """a ** b, elementwise.

    Where b is 0 the gradient of a is 0, and where a is 0 and b is not negative the gradient of b is 0. Where a is
    negative the gradient of b is NaN.
    """
    a, b = promoted(a, b)
    out, xp = a**b, array_module(a, b)

    def backward(grad):
        def base_gradient():
            if isinstance(b, int | float):
                return grad * (b * a ** (b - 1)) if b != 0 else xp.zeros_like(grad)
            flat = b == 0
            return xp.where(flat, 0, grad) * (b * xp.where(flat, 0, a ** xp.where(flat, 1, b - 1)))

        def exponent_gradient():
            flat = (a == 0) & (b >= 0)
            log = xp.log(xp.where(flat, 1, xp.asarray(a, dtype=out.dtype)))
            return xp.where(flat, 0, grad) * (xp.where(flat, 0, out) * log)
        return base_gradient, exponent_gradient
    return out, backward


@op
def exp(x: Operand, /):
    """e ** x, elementwise."""
    x = floating(x)
    out = array_module(x).exp(x)

    def backward(grad):
        return grad * out
    return out, backward


@op
def log(x: Operand, /):
    """The natural logarithm, elementwise."""
    x = floating(x)

    def backward(grad):
        return grad / x
    return array_module(x).log(x), backward


@op
def sqrt(x: Operand, /):
    """The square root, elementwise."""
    x = floating(x)
    out = array_module(x).sqrt(x)

    def backward(grad):
        return grad / (2 * out)
    return out, backward


@op
def sin(x: Operand, /):
    """The sine, elementwise."""
    x, xp = floating(x), array_module(x)

    def backward(grad):
        return grad * xp.cos(x)
    return xp.sin(x), backward


@op
def cos(x: Operand, /):
    """The cosine, elementwise."""
    x, xp = floating(x), array_module(x)

    def backward(grad):
        return -grad * xp.sin(x)
    return xp.cos(x), backward


@op
def remainder(a: Operand, b: Operand, /):
    """a - floor(a / b) * b, elementwise: a % b, with the sign of b."""
    a, b = promoted(a, b)
    xp = array_module(a, b)

    def backward(grad):
        return grad, (lambda: -grad * xp.floor(a / b))
    return a % b, backward


@op
def abs(x: Operand, /):
    """|x|, elementwise; the gradient at 0 is 0."""
    xp = array_module(x)

    def backward(grad):
        return grad * xp.sign(x)
    return xp.abs(x), backward


@op
def clamp(x: Operand, /, min: float | None = None, max: float | None = None):
    """x limited to [min, max], elementwise; the gradient passes where x lies inside, bounds included."""
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    low, high = (None if v is None else real("clamp", which, v) for which, v in (("min", min), ("max", max)))
    x, xp = floating(x) if isinstance(low, float) or isinstance(high, float) else x, array_module(x)
    if low != low or high != high:
        raise ValueError(f"clamp: min={min!r} and max={max!r} must not be NaN")

    def backward(grad):
        inside = x == x if low is None else x >= low
        return xp.where(inside if high is None else inside & (x <= high), grad, 0)
    return xp.clip(x, low, high), backward


@op
def maximum(a: Operand, b: Operand, /):
    """The larger of a and b, elementwise; where they are equal, each receives half of the gradient.

    Where one is NaN, so is the output, and both receive the gradient, as in PyTorch.
    """
    a, b = promoted(a, b)
    return array_module(a, b).maximum(a, b), chooser(a, b, operator.lt)


@op
def minimum(a: Operand, b: Operand, /):
    """The smaller of a and b, elementwise; where they are equal, each receives half of the gradient."""
    a, b = promoted(a, b)
    return array_module(a, b).minimum(a, b), chooser(a, b, operator.gt)


def chooser(a: Any, b: Any, loses: Callable[[Any, Any], Any]) -> Backward:
    """The backward of maximum and minimum: the gradient goes to a or b in each place, unless it loses to the other."""
    xp = array_module(a, b)

    def gradient(grad, own, other):
        return xp.where(own == other, grad * 0.5, xp.where(loses(own, other), 0, grad))

    def backward(grad):
        return (lambda: gradient(grad, a, b)), (lambda: gradient(grad, b, a))
    return backward


@op
def where(condition: Operand, a: Operand, b: Operand, /):
    """a where `condition` (an array of booleans) is true, otherwise b; all three are broadcast together."""
    if not hasattr(condition, "dtype") or condition.dtype.kind != "b":
        raise TypeError("where: the condition must be an array of booleans, such as x > 0")
    xp = array_module(condition)
    a, b = promoted(a, b)
    out = xp.where(condition, a, b)
    if not hasattr(a, "dtype") and not hasattr(b, "dtype"):
        out = out.astype(xp.float32)                     # NumPy makes two Python numbers float64

    def backward(grad):
        return None, (lambda: xp.where(condition, grad, 0)), (lambda: xp.where(condition, 0, grad))
    return out, backward


@op
def cast(x: Operand, /, *, dtype: DTypeLike):
    """x converted to another dtype; its gradient has the dtype of x."""
    check_dtype(np.dtype(dtype), x)

    def backward(grad):
        return grad
    return x.astype(dtype, copy=False), backward


@op
def move(x: Operand, /, *, device: str | Device):
    """x on another device; its gradient is on the device of x."""
    source = device_of(x)

    def backward(grad):
        return source.put(grad)
    return Device.parse(device).put(x), backward


# Comparisons, and the logic of booleans and bits, have no gradient: they are never recorded.

def comparison(compare: Callable[[Any, Any], Array]) -> Callable[[Operand, Operand], Tensor]:
    """Turn an elementwise comparison of arrays into one of tensors."""
    name = compare.__name__

    @functools.wraps(compare)
    def compared(a, b, /):
        a, b = (x.data if isinstance(x, Tensor) else as_operand(name, x) for x in (a, b))
        check_same_device(name, (a, b))
        return unrecorded(compare(a, b))
    return compared


def unrecorded(out: Any) -> Tensor:
    """A tensor of a result, which is one of Python's numbers if all inputs were."""
    return Tensor.made_by(np.asarray(out) if isinstance(out, int) else out, None)


@comparison
def eq(a: Operand, b: Operand, /):
    """a == b, elementwise."""
    return a == b


@comparison
def ne(a: Operand, b: Operand, /):
    """a != b, elementwise."""
    return a != b


@comparison
def lt(a: Operand, b: Operand, /):
    """a < b, elementwise."""
    return a < b


@comparison
def le(a: Operand, b: Operand, /):
    """a <= b, elementwise."""
    return a <= b


@comparison
def gt(a: Operand, b: Operand, /):
    """a > b, elementwise."""
    return a > b


@comparison
def ge(a: Operand, b: Operand, /):
    """a >= b, elementwise."""
    return a >= b


@comparison
def bitwise_and(a: Operand, b: Operand, /):
    """a & b, elementwise: both of two booleans, or the bits that two integers share."""
    return a & b


@comparison
def bitwise_or(a: Operand, b: Operand, /):
    """a | b, elementwise: either of two booleans, or the bits of both integers."""
    return a | b


@comparison
def bitwise_xor(a: Operand, b: Operand, /):
    """a ^ b, elementwise: one of two booleans but not both, or the bits that differ."""
    return a ^ b


def bitwise_not(x: Operand, /) -> Tensor:
    """~x, elementwise: not a boolean, or the other bits of an integer."""
    return unrecorded(~(x.data if isinstance(x, Tensor) else as_operand("bitwise_not", x)))
