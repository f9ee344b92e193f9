"""Operations that work on each element by itself, with NumPy's broadcasting.

This is what an operation looks like here: one function, forward and backward together. Inside it there are only
arrays; `op` lets tensors in, records the result, and sums a gradient over the axes along which its input was
broadcast. So no function below thinks about shapes.
"""

import math

from minidl.device import Device, array_module
from minidl.tensor import Tensor, op, plain, same_device


@op
def add(a, b, /):
    """a + b, elementwise."""
    def backward(grad):
        return grad, grad
    return a + b, backward


@op
def sub(a, b, /):
    """a - b, elementwise."""
    def backward(grad):
        return grad, (lambda: -grad)
    return a - b, backward


@op
def mul(a, b, /):
    """a * b, elementwise."""
    def backward(grad):
        return (lambda: grad * b), (lambda: grad * a)
    return a * b, backward


@op
def div(a, b, /):
    """a / b, elementwise."""
    out = a / b

    def backward(grad):
        return (lambda: grad / b), (lambda: -grad * out / b)
    return out, backward


@op
def neg(x, /):
    """-x, elementwise."""
    def backward(grad):
        return -grad
    return -x, backward


@op
def pow(a, b, /):
    """a ** b, elementwise; a power of 0 has gradient 0 for a, and a base of 0 has gradient 0 for b."""
    out = a**b

    def backward(grad):
        def by_base():
            if isinstance(b, int | float):
                return grad * (b * a ** (b - 1)) if b != 0 else grad * 0
            xp = array_module(a, b)
            return grad * b * a ** xp.where(b == 0, 1, b - 1)

        def by_exponent():
            if isinstance(a, int | float):
                return grad * out * (math.log(a) if a != 0 else 0)
            xp = array_module(a, b)
            return grad * out * xp.log(xp.where(a == 0, 1, a))
        return by_base, by_exponent
    return out, backward


@op
def exp(x, /):
    """e ** x, elementwise."""
    out = array_module(x).exp(x)

    def backward(grad):
        return grad * out
    return out, backward


@op
def log(x, /):
    """The natural logarithm, elementwise."""
    def backward(grad):
        return grad / x
    return array_module(x).log(x), backward


@op
def sqrt(x, /):
    """The square root, elementwise."""
    out = array_module(x).sqrt(x)

    def backward(grad):
        return grad / (2 * out)
    return out, backward


@op
def abs(x, /):
    """|x|, elementwise; the gradient at 0 is 0."""
    xp = array_module(x)

    def backward(grad):
        return grad * xp.sign(x)
    return xp.abs(x), backward


@op
def clamp(x, /, *, min=None, max=None):
    """x moved into [min, max], elementwise; the gradient passes where x was inside, borders included."""
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    low, high = -math.inf if min is None else float(min), math.inf if max is None else float(max)

    def backward(grad):
        return grad * ((x >= low) & (x <= high))
    return array_module(x).clip(x, low, high), backward


@op
def maximum(a, b, /):
    """The larger of a and b, elementwise; where they are equal, each gets half of the gradient."""
    xp = array_module(a, b)

    def backward(grad):
        return (lambda: shared(grad, a, b)), (lambda: shared(grad, b, a))

    def shared(grad, winner, other):
        return xp.where(winner == other, grad * 0.5, xp.where(winner > other, grad, 0))
    return xp.maximum(a, b), backward


def minimum(a, b, /):
    """The smaller of a and b, elementwise; where they are equal, each gets half of the gradient."""
    return neg(maximum(neg(a), neg(b)))


@op
def where(condition, a, b, /):
    """a where `condition` (an array of booleans) holds, else b; the three are broadcast together."""
    if not hasattr(condition, "dtype") or condition.dtype.kind != "b":
        raise TypeError("where: the condition must be an array of booleans, such as x > 0")
    xp = array_module(condition)
    out = xp.where(condition, a, b)
    if not hasattr(a, "dtype") and not hasattr(b, "dtype"):
        out = out.astype(xp.float32)                     # of two numbers NumPy would make float64

    def backward(grad):
        return None, (lambda: xp.where(condition, grad, 0)), (lambda: xp.where(condition, 0, grad))
    return out, backward


@op
def cast(x, /, *, dtype):
    """x with elements of another dtype; the gradient comes back in x's own."""
    def backward(grad):
        return grad
    return x.astype(dtype, copy=False), backward


@op
def move(x, /, *, device):
    """x on another device; the gradient comes back to x's own."""
    home = Tensor.made_by(x, None).device

    def backward(grad):
        return home.put(grad)
    return Device.parse(device).put(x), backward


# Comparisons have no gradient: they give tensors of booleans that no tape remembers.

def comparison(compare):
    """An elementwise comparison of tensors, made of one of arrays."""
    def compared(a, b, /):
        a, b = (x.data if isinstance(x, Tensor) else plain(compare.__name__, x) for x in (a, b))
        same_device(compare.__name__, (a, b))
        return Tensor.made_by(compare(a, b), None)
    compared.__name__ = compare.__name__
    compared.__doc__ = compare.__doc__
    return compared


@comparison
def eq(a, b):
    """a == b, elementwise."""
    return a == b


@comparison
def ne(a, b):
    """a != b, elementwise."""
    return a != b


@comparison
def lt(a, b):
    """a < b, elementwise."""
    return a < b


@comparison
def le(a, b):
    """a <= b, elementwise."""
    return a <= b


@comparison
def gt(a, b):
    """a > b, elementwise."""
    return a > b


@comparison
def ge(a, b):
    """a >= b, elementwise."""
    return a >= b
