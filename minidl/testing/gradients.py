"""The gradient check: backward, compared with finite differences.

Along a direction d, the derivative of sum(cotangent * f(x)) is sum(cotangent * (f(x + eps*d) - f(x - eps*d)) / (2*eps))
and must equal sum(x.grad * d). One random direction per input is enough to find a wrong formula. The cotangent, the
gradient passed to backward, must be random too: with all ones, the gradients of softmax and batch norm are zero, and a
backward that returns zeros would pass.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minidl.device import CPU, Array, array_module
from minidl.tensor import Tensor
from minidl.testing.diagnosis import Check, explained

SINGLE_TOLERANCE = 1e-4
OP = "put @op above it, which makes an operation of it, or use the functions of minidl.functional"


def check_gradients(function: Callable[..., Tensor], *arrays: Array, seed: int = 0, eps: float = 1e-6,
                    rtol: float = 1e-5, atol: float = 1e-7, float32: bool = True) -> None:
    """Raise AssertionError unless the gradients that backward computes for `function` of `arrays` are correct.

    function    takes one Tensor per array and returns a Tensor; other arguments are bound, by a lambda for example
    arrays      floating-point arrays of NumPy or CuPy, farther than eps from kinks and ties
    seed        draws the directions and the cotangent
    eps         the step along each direction
    rtol, atol  tolerances of the comparison
    float32     whether to run in float32 too, and compare output and gradients with those in float64

    Where a gradient is wrong, the message shows some of its elements beside finite differences, and says what the
    mistake may be (`diagnosis.py`).

    It also checks that nothing writes to the inputs, the output or the gradient passed to backward, that each gradient
    has the shape and dtype of its input, and that the output has that dtype.
    """
    for i, array in enumerate(arrays):
        if getattr(getattr(array, "dtype", None), "kind", None) != "f":
            raise TypeError(f"check_gradients: input {i} must be a floating-point array, not {array!r:.60}")
    rng, xp = np.random.default_rng(seed), array_module(*arrays)
    doubles = [a.astype(xp.float64, copy=False) for a in arrays]
    out, cotangent, grads = differentiate(function, doubles, rng, seed)

    names = names_of(function, len(arrays))
    for i, grad in enumerate(grads):
        direction = xp.asarray(rng.standard_normal(grad.shape))
        difference = shifted(function, doubles, i, eps * direction) - shifted(function, doubles, i, -eps * direction)
        numeric = float((difference * cotangent).sum()) / (2 * eps)
        analytic = float((grad * direction).sum())
        if not abs(analytic - numeric) <= atol + rtol * abs(numeric):       # written so that NaN fails
            check = Check(function, doubles, cotangent, partial(gradients, function), eps, seed)
            raise AssertionError(explained(check, names, i))
    if float32:
        singles = [a.astype(xp.float32) for a in arrays]
        single_out, _, single_grads = differentiate(function, singles, np.random.default_rng(seed), seed)
        compare("the output", single_out, out, seed)
        for i, (single, grad) in enumerate(zip(single_grads, grads, strict=True)):
            compare(f"the gradient of input {i}", single, grad, seed)


def differentiate(function: Callable[..., Tensor], arrays: list[Any], rng: Any, seed: int) -> Any:
    """Run forward and backward once, with checks: the output, the random cotangent and the gradients."""
    xp, dtype = array_module(*arrays), arrays[0].dtype
    before = [a.copy() for a in arrays]
    inputs = [Tensor(a, requires_grad=True) for a in arrays]
    out = called(function, inputs)
    if out.dtype != dtype:
        raise AssertionError(f"check_gradients: inputs of {dtype} gave an output of {out.dtype}")
    cotangent = xp.asarray(rng.standard_normal(out.shape)).astype(dtype)
    out_before, cotangent_before = out.data.copy(), cotangent.copy()
    out.backward(cotangent)

    watched = [(f"input {i}", a, b) for i, (a, b) in enumerate(zip(arrays, before, strict=True))]
    watched += [("the output", out.data, out_before), ("the gradient passed to backward", cotangent, cotangent_before)]
    for name, array, original in watched:
        if not same(array, original):
            raise AssertionError(f"check_gradients: {name} {array.shape} was written to (seed={seed})")
    for i, x in enumerate(inputs):
        if x.grad is None:
            raise AssertionError(f"check_gradients: input {i} {x.shape} received no gradient: backward gave None for "
                                 "it, or the output does not depend on it")
        if x.grad.shape != x.shape or x.grad.dtype != dtype:
            raise AssertionError(f"check_gradients: input {i} is {x.shape} of {dtype}, "
                                 f"its gradient {x.grad.shape} of {x.grad.dtype}")
    return out.data, cotangent, [x.grad for x in inputs]


def called(function: Callable[..., Tensor], inputs: list[Tensor]) -> Tensor:
    """The output of the function. Raises TypeError, which says what to write, if it is no function of tensors."""
    name = getattr(function, "__name__", "the function")
    try:
        out = function(*inputs)
    except TypeError as error:
        if "does not support ufuncs" not in str(error):
            raise
        raise TypeError(f"check_gradients: {name} calls a function of NumPy, which takes no tensors; {OP}") from error
    if isinstance(out, tuple) and len(out) == 2 and callable(out[1]):
        raise TypeError(f"check_gradients: {name} returned (output, backward), as the function of an op does; {OP}")
    if not isinstance(out, Tensor):
        raise TypeError(f"check_gradients: the function returned a {type(out).__name__}, not a Tensor")
    return out


def names_of(function: Callable[..., Tensor], count: int) -> list[str]:
    """The arguments as a message names them: "x, input 0"."""
    try:
        known = [p.name for p in inspect.signature(function).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        known = []
    return [f"{known[i]}, input {i}," if i < len(known) else f"input {i}" for i in range(count)]


def gradients(function: Callable[..., Tensor], arrays: list[Any], cotangent: Any) -> list[np.ndarray]:
    """The gradients that backward gives, as NumPy arrays."""
    inputs = [Tensor(a, requires_grad=True) for a in arrays]
    function(*inputs).backward(cotangent.copy())
    return [CPU.put(grad) for x in inputs if (grad := x.grad) is not None]


def shifted(function: Callable[..., Tensor], arrays: list[Any], i: int, step: Any) -> Any:
    """The output after adding `step` to input i."""
    return function(*(Tensor(a + step if j == i else a) for j, a in enumerate(arrays))).data


def same(a: Any, b: Any) -> bool:
    """Whether two arrays have equal elements; NaN equals NaN."""
    return bool(((a == b) | ((a != a) & (b != b))).all())


def compare(name: str, single: Any, double: Any, seed: int) -> None:
    """Raise AssertionError unless a float32 result is close to the float64 one, relative to its largest element.

    If the largest element is below 1, the error is absolute: where large terms cancel, a relative error would be large.
    """
    if double.size == 0:
        return
    error = float(abs(single.astype(double.dtype) - double).max())
    size = max(1.0, float(abs(double).max()))
    if not error <= SINGLE_TOLERANCE * size:
        raise AssertionError(f"check_gradients: {name} {double.shape} in float32 is off by {error:.3g} from float64, "
                             f"whose largest element is {float(abs(double).max()):.3g} (seed={seed})")
