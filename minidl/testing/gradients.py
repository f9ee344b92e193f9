"""The gradient check: what backward says, against what moving the inputs a little shows.

Along a direction d, the derivative of sum(cotangent * f(x)) is (f(x + eps*d) - f(x - eps*d)) / (2*eps), summed with the
cotangent, and it must equal sum(x.grad * d). One random direction per input is enough to catch a wrong formula, and
the cotangent must be random too: under all ones, softmax and batch norm have no gradient, and any formula passes.
"""

import numpy as np

from minidl.device import array_module
from minidl.tensor import Tensor

SINGLE_TOLERANCE = 1e-4


def check_gradients(function, *arrays, seed=0, eps=1e-6, rtol=1e-5, atol=1e-7, float32=True):
    """Raise AssertionError unless backward is right for the Tensor that `function` makes of Tensors of `arrays`.

    function    takes as many Tensors as there are arrays; whatever else it needs (labels, settings) it brings along
    arrays      NumPy or CuPy arrays of floats, away from kinks and ties: within eps of one there is no derivative
    seed        draws the directions and the gradient that is sent back
    eps         how far the inputs are moved
    rtol, atol  how nearly the two derivatives agree
    float32     whether to run in float32 too, and hold output and gradients against those in float64

    Also checked: nothing writes to the inputs, to the output or to the gradient sent back; each gradient has the
    shape and the dtype of its input, and the output has that dtype too.
    """
    for i, array in enumerate(arrays):
        if getattr(getattr(array, "dtype", None), "kind", None) != "f":
            raise TypeError(f"check_gradients: input {i} must be an array of floats, not {array!r:.60}")
    rng, xp = np.random.default_rng(seed), array_module(*arrays)
    doubles = [a.astype(xp.float64, copy=False) for a in arrays]
    out, cotangent, grads = differentiate(function, doubles, rng, seed)

    for i, grad in enumerate(grads):
        direction = xp.asarray(rng.standard_normal(grad.shape))
        difference = shifted(function, doubles, i, eps * direction) - shifted(function, doubles, i, -eps * direction)
        numeric = float((difference * cotangent).sum()) / (2 * eps)
        analytic = float((grad * direction).sum())
        if not abs(analytic - numeric) <= atol + rtol * abs(numeric):       # so written, NaN fails
            raise AssertionError(f"check_gradients: input {i} {grad.shape}: backward says {analytic:.10g}, "
                                 f"the central difference {numeric:.10g} (seed={seed}, eps={eps})")
    if float32:
        singles = [a.astype(xp.float32) for a in arrays]
        single_out, _, single_grads = differentiate(function, singles, np.random.default_rng(seed), seed)
        compare("the output", single_out, out, seed)
        for i, (single, grad) in enumerate(zip(single_grads, grads, strict=True)):
            compare(f"the gradient of input {i}", single, grad, seed)


def differentiate(function, arrays, rng, seed):
    """Run forward and backward once, and watch: the output, the random gradient sent back, the gradients got."""
    xp, dtype = array_module(*arrays), arrays[0].dtype
    before = [a.copy() for a in arrays]
    inputs = [Tensor(a, requires_grad=True) for a in arrays]
    out = function(*inputs)
    if not isinstance(out, Tensor):
        raise TypeError(f"check_gradients: the function returned a {type(out).__name__}, not a Tensor")
    if out.dtype != dtype:
        raise AssertionError(f"check_gradients: inputs of {dtype} gave an output of {out.dtype}")
    cotangent = xp.asarray(rng.standard_normal(out.shape)).astype(dtype)
    out_before, cotangent_before = out.data.copy(), cotangent.copy()
    out.backward(cotangent)

    watched = [(f"input {i}", a, b) for i, (a, b) in enumerate(zip(arrays, before, strict=True))]
    watched += [("the output", out.data, out_before), ("the gradient sent back", cotangent, cotangent_before)]
    for name, array, original in watched:
        if not same(array, original):
            raise AssertionError(f"check_gradients: {name} {array.shape} was written to (seed={seed})")
    for i, x in enumerate(inputs):
        if x.grad is None:
            raise AssertionError(f"check_gradients: no gradient came back to input {i} {x.shape}")
        if x.grad.shape != x.shape or x.grad.dtype != dtype:
            raise AssertionError(f"check_gradients: input {i} is {x.shape} of {dtype}, "
                                 f"its gradient {x.grad.shape} of {x.grad.dtype}")
    return out.data, cotangent, [x.grad for x in inputs]


def shifted(function, arrays, i, step):
    """The output when input i is moved by `step`."""
    return function(*(Tensor(a + step if j == i else a) for j, a in enumerate(arrays))).data


def same(a, b):
    """Whether two arrays hold the same elements, NaN counting as equal to NaN."""
    return bool(((a == b) | ((a != a) & (b != b))).all())


def compare(name, single, double, seed):
    """Raise AssertionError unless a result in float32 is near the one in float64, by the size of its largest element.

    Below 1 that size counts as 1: where large terms cancel, float32 leaves more than it would of a small result.
    """
    if double.size == 0:
        return
    error = float(abs(single.astype(double.dtype) - double).max())
    size = max(1.0, float(abs(double).max()))
    if not error <= SINGLE_TOLERANCE * size:
        raise AssertionError(f"check_gradients: {name} {double.shape} in float32 is off by {error:.3g} from float64, "
                             f"whose largest element is {float(abs(double).max()):.3g} (seed={seed})")
