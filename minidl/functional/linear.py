"""Matrix products, and the linear layer."""

import math
from operator import matmul as numpy_matmul
from typing import Any

from minidl.functional.checks import check_dtypes
from minidl.functional.promotion import promoted
from minidl.kernels import backend
from minidl.tensor import Operand, op


@op
def matmul(a: Operand, b: Operand, /):
    """a @ b: a product for each pair of matrices, broadcast over all leading axes; a 1-D input is a vector.

    a (..., M, K), b (..., K, N)  ->  (..., M, N)
    """
    check_inner("matmul", a, b)
    a, b = promoted(a, b)
    rows = a[None, :] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    multiply = backend(a).matmul if a.dtype == b.dtype else numpy_matmul
    product = multiply(rows, columns)
    shape, is_vector = product.shape, b.ndim == 1

    def backward(grad):
        grad = grad.reshape(shape)

        def a_gradient():
            return multiply(grad, columns.swapaxes(-1, -2))

        def b_gradient():
            columns_gradient = multiply(rows.swapaxes(-1, -2), grad)
            return columns_gradient[..., 0] if is_vector else columns_gradient
        return a_gradient, b_gradient
    if a.ndim == 1:
        product = product[..., 0, :]
    return product[..., 0] if b.ndim == 1 else product, backward


@op
def linear(x: Operand, weight: Operand, bias: Operand = None, /, *, relu: bool = False):
    """x @ weight.T + bias.   x (..., K), weight (F, K), bias (F,) or None  ->  (..., F)

    relu  max(out, 0) in the same pass over memory, which PyTorch's function does not have
    """
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: x {x.shape} must end in K, the second length of the weight {weight.shape} (F, K)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} must be ({len(weight)},), one element per row of the weight")
    check_dtypes("linear", x, weight, bias)
    k, f, shape = x.shape[-1], len(weight), x.shape[:-1]
    n = math.prod(shape)
    rows = x.reshape(n, k)                                   # not -1, which NumPy cannot infer for an empty batch
    kernels = backend(x)
    out = kernels.matmul(rows, weight.T, bias, relu)
    rectified = out if relu else None                        # without ReLU, backward does not need `out`

    def backward(grad):
        grad = grad.reshape(n, f)
        if relu:
            grad = kernels.relu_gradient(grad, rectified)
        return (
            lambda: kernels.matmul(grad, weight).reshape(*shape, k),
            lambda: kernels.matmul(rows.T, grad).T,          # computed as (K, F), the memory order `matmul` reads
            lambda: kernels.axis_sums(grad, (0,))[0],
        )
    return out.reshape(*shape, f), backward


def check_inner(name: str, a: Any, b: Any) -> None:
    """Raise ValueError unless a and b can be multiplied."""
    if not (hasattr(a, "shape") and hasattr(b, "shape")) or a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"{name}: both inputs must have at least one axis; multiply by a number with *")
    inner = b.shape[-2] if b.ndim > 1 else len(b)
    if a.shape[-1] != inner:
        raise ValueError(f"{name}: a {a.shape} @ b {b.shape}: the last length of a, {a.shape[-1]}, is not {inner}")
