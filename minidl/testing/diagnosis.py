"""What is wrong with a gradient: a table of some of its elements, and a guess at the mistake.

Finite differences give the derivative with respect to each single element. Its ratio to what backward gave has a
pattern for each usual mistake: -1 for a wrong sign, a constant for a forgotten factor, and so on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.device import CPU, Array
from minidl.tensor import Tensor, newest_first

MOST = 200                                       # elements whose derivative is computed
SHOWN = 6                                        # rows of the table
RTOL, ATOL = 1e-4, 1e-6
KINK = 1e-2                                      # the derivatives from both sides differ by more


class Check(NamedTuple):
    """What was checked: `run(arrays, cotangent)` gives the gradients of all inputs, as NumPy arrays."""

    function: Callable[..., Tensor]
    arrays: list[Any]
    cotangent: Any
    run: Callable[[list[Any], Any], list[np.ndarray]]
    eps: float
    seed: int


class Compared(NamedTuple):
    """Some elements of an input, at `places` of the flat array, with both gradients."""

    places: np.ndarray
    backward: np.ndarray
    numeric: np.ndarray
    wrong: np.ndarray
    kinks: np.ndarray                            # whether the derivatives from the left and the right differ


def explained(check: Check, names: list[str], first: int) -> str:
    """The message for a gradient that is wrong, of input number `first` or perhaps of others too."""
    grads = check.run(check.arrays, check.cotangent)
    compared = [compare(check, i, grad) for i, grad in enumerate(grads)]
    wrong = [i for i, each in enumerate(compared) if each.wrong.any()] or [first]
    parts = [f"check_gradients: backward of {op_name(check)} is wrong for "
             + " and ".join(f"{names[i]} {grads[i].shape}" for i in wrong)]
    parts += [table(names[i].partition(",")[0], grads[i].shape, compared[i]) for i in wrong]
    guesses = dict.fromkeys(guessed(check, i, grads, compared, names) for i in wrong)
    return "\n".join([*parts, *(f"  {guess}" for guess in guesses), f"  (seed={check.seed}, eps={check.eps:g})"])


def op_name(check: Check) -> str:
    """The function, and the ops in it if these are others."""
    name = getattr(check.function, "__name__", type(check.function).__name__)
    out = check.function(*(Tensor(a, requires_grad=True) for a in check.arrays))
    ops = [node.name for node in reversed(newest_first(out.node)) if node.backward] if out.node else []
    if name == "<lambda>":
        name = "this function" if len(ops) != 1 else ops[0]
    return name if ops in ([], [name]) else f"{name}, which consists of {', '.join(dict.fromkeys(ops))},"


def compare(check: Check, i: int, grad: np.ndarray) -> Compared:
    """Both gradients of input i at up to MOST of its elements."""
    size = grad.size
    places = np.arange(size) if size <= MOST else np.sort(np.random.default_rng(check.seed).choice(size, MOST, False))
    middle = weighted(check, check.arrays)
    right = np.array([weighted(check, moved(check.arrays, i, place, check.eps)) for place in places])
    left = np.array([weighted(check, moved(check.arrays, i, place, -check.eps)) for place in places])
    numeric, backward = (right - left) / (2 * check.eps), grad.ravel()[places]
    scale = max(1.0, float(np.abs(numeric).max(initial=0)))
    wrong = ~(np.abs(backward - numeric) <= ATOL * scale + RTOL * np.abs(numeric))
    kinks = np.abs(right - 2 * middle + left) / check.eps > KINK * scale
    return Compared(places, backward, numeric, wrong, kinks)


def weighted(check: Check, arrays: list[Any]) -> float:
    """sum(cotangent * f(arrays)), whose derivatives backward gives."""
    return float((check.function(*map(Tensor, arrays)).data * check.cotangent).sum())


def moved(arrays: list[Any], i: int, place: int, step: float) -> list[Any]:
    """The arrays, with a step added to one element of array i."""
    array: Array = arrays[i].copy()
    array[tuple(map(int, np.unravel_index(place, array.shape)))] += step
    return [*arrays[:i], array, *arrays[i + 1:]]


def table(name: str, shape: tuple[int, ...], found: Compared) -> str:
    """The wrong elements with the largest differences."""
    off = np.nan_to_num(np.abs(found.backward - found.numeric), nan=np.inf)
    rows = np.sort(np.argsort(-off, kind="stable")[:min(SHOWN, max(1, int(found.wrong.sum())))])
    lines = [("element", "backward", "numeric", "ratio")]
    for row in rows:
        index = ", ".join(map(str, np.unravel_index(found.places[row], shape)))
        ratio = f"{found.backward[row] / found.numeric[row] + 0.0:.4g}" if found.numeric[row] else "-"
        lines.append((f"{name}[{index}]" if shape else name, f"{found.backward[row]:.6g}",
                      f"{found.numeric[row]:.6g}", ratio))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = "\n".join("  " + "  ".join([line[0].ljust(widths[0]), *(
        cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]) for line in lines)
    return f"{text}\n  {found.wrong.sum()} of {len(found.places)} elements compared are wrong."


def guessed(check: Check, i: int, grads: list[np.ndarray], compared: list[Compared], names: list[str]) -> str:
    """What the mistake may be, as a sentence."""
    found, grad = compared[i], grads[i]
    if not np.isfinite(grad).all():
        return "Backward gives NaN or infinity: is there a division by zero, or a logarithm or a root of zero?"
    if found.kinks[found.wrong].any():
        return ("The derivatives from the left and from the right differ: is there a kink or a tie at this point, as "
                "relu has at 0? Check at a point without.")
    for j, other in enumerate(compared):
        if j != i and alike(found.backward, other.numeric) and alike(other.backward, found.numeric):
            return (f"The gradients of {names[min(i, j)]} and {names[max(i, j)]} are swapped: backward returns them in "
                    "the order of the arguments.")
    if not grad.any():
        return "Backward gives zeros: is the gradient computed, and returned?"
    if same(check.run(check.arrays, 2 * check.cotangent)[i], grad):
        return ("Backward gives the same whatever `grad` is: the chain rule is forgotten; multiply by `grad`, the "
                "gradient of the output.")
    return of_ratios(check, i, grad, found)


def of_ratios(check: Check, i: int, grad: np.ndarray, found: Compared) -> str:
    """What the ratios of the two gradients tell."""
    x, cotangent = (CPU.put(array) for array in (check.arrays[i], check.cotangent))
    factor = constant(found.backward, found.numeric)
    if factor is not None:
        return of_factor(factor, x.shape, cotangent.size)
    if grad.shape == cotangent.shape and same(grad, cotangent):
        return "Backward passes `grad` on as it is: multiply it by the derivative of the op."
    here = x.ravel()[found.places]
    if constant(found.backward * here, found.numeric) == 1:
        return "Each ratio is 1 / the element itself: a factor, the input, is missing."
    if constant(found.backward, found.numeric * here) == 1:
        return "Each ratio is the element itself: it is multiplied by the input once too often."
    if grad.ndim == 2 and grad.shape[0] == grad.shape[1] and len(found.places) == grad.size \
            and alike(grad.T.ravel(), found.numeric):
        return "The gradient is right, but transposed: use .T once more, or once less."
    if not found.wrong.all():
        return ("The other elements are right: look at what is special about these, such as a mask, a border, or a "
                "case distinction in the op.")
    return "No usual mistake fits: derive the formula again, and check each factor of it at one element."


def of_factor(factor: float, shape: tuple[int, ...], outputs: int) -> str:
    """What a constant ratio tells."""
    if factor == -1:
        return "Each ratio is -1: a sign is wrong."
    sizes = {n for n in (*shape, int(np.prod(shape)), outputs) if n > 1}
    for n in sorted(sizes):
        if np.isclose(factor, n, 1e-4) or np.isclose(factor, 1 / n, 1e-4):
            many = np.isclose(factor, n, 1e-4)
            return (f"Each ratio is {n if many else f'1/{n}'}: a {'division' if many else 'multiplication'} by {n} is "
                    f"missing, and {n} is the length of an axis or the number of elements; is a sum taken for a mean, "
                    "or a mean for a sum?")
    remedy = "minus sign and a factor are" if factor < 0 else "constant factor is"
    return f"Each ratio is {factor:.4g}: a {remedy} wrong; multiply by {1 / factor:.4g}."


def constant(a: np.ndarray, b: np.ndarray) -> float | None:
    """The constant c for which a = c * b; None if there is none."""
    largest = np.abs(b).argmax() if b.size else None
    if largest is None or not b[largest]:
        return None
    factor = a[largest] / b[largest]
    if not factor or not alike(a, factor * b):
        return None
    return float(round(factor)) if abs(factor - round(factor)) < 1e-4 and round(factor) else float(factor)


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two gradients agree as far as finite differences tell."""
    return a.shape == b.shape and np.allclose(a, b, RTOL, ATOL * max(1.0, float(np.abs(b).max(initial=0))))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two gradients are equal up to rounding."""
    return a.shape == b.shape and np.allclose(a, b, 1e-9, 1e-12)
