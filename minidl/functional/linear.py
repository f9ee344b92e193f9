"""Matrix products, and the layer made of one."""

import math

from minidl.kernels import backend
from minidl.tensor import op


@op
def matmul(a, b, /):
    """a @ b: a matrix product for each pair of matrices, broadcast over all axes in front; a 1-D input is a vector.

    a (..., M, K), b (..., K, N)  ->  (..., M, N)
    """
    check_inner("matmul", a, b)
    rows = a[None, :] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    product = multiply(rows, columns)
    shape = product.shape

    def backward(grad):
        grad = grad.reshape(shape)

        def by_a():
            return multiply(grad, columns.swapaxes(-1, -2))

        def by_b():
            share = multiply(rows.swapaxes(-1, -2), grad)
            return share[..., 0] if b.ndim == 1 else share
        return by_a, by_b
    if a.ndim == 1:
        product = product[..., 0, :]
    return product[..., 0] if b.ndim == 1 else product, backward


@op
def linear(x, weight, bias=None, /, *, relu=False):
    """x @ weight.T + bias.   x (..., K), weight (F, K), bias (F,) or None  ->  (..., F)

    relu  max(out, 0) in the same pass over memory, which PyTorch's function has not
    """
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: x {x.shape} must end in the second length of the weight {weight.shape} (F, K)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} must be ({len(weight)},), one number per row of the weight")
    check_dtypes("linear", x, weight, bias)
    k, f, shape = x.shape[-1], len(weight), x.shape[:-1]
    rows = x.reshape(math.prod(shape), k)                    # said in full: -1 cannot be worked out for an empty batch
    kernels = backend(x)
    out = kernels.matmul(rows, weight.T, bias, relu)
    rectified = out if relu else None                        # without ReLU, `out` is not needed again

    def backward(grad):
        grad = grad.reshape(len(rows), f)
        if relu:
            grad = kernels.relu_gradient(grad, rectified)
        return (
            lambda: kernels.matmul(grad, weight).reshape(*shape, k),
            lambda: kernels.matmul(rows.T, grad).T,          # made as (K, F): the order in which `matmul` reads it
            lambda: grad.sum(0),
        )
    return out.reshape(*shape, f), backward


def multiply(a, b):
    """a @ b by the fastest way there is."""
    return backend(a).matmul(a, b) if a.ndim == b.ndim == 2 and a.dtype == b.dtype else a @ b


def check_inner(name, a, b):
    """Raise ValueError unless a and b can be multiplied."""
    if not (hasattr(a, "shape") and hasattr(b, "shape")) or a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"{name}: both inputs must have at least one axis; multiply by a number with *")
    inner = b.shape[-2] if b.ndim > 1 else len(b)
    if a.shape[-1] != inner:
        raise ValueError(f"{name}: a {a.shape} @ b {b.shape}: the last length of a, {a.shape[-1]}, is not {inner}")


def check_dtypes(name, *arrays):
    """Raise TypeError unless all arrays (None is passed over) hold floats of one kind."""
    dtypes = [a.dtype for a in arrays if a is not None]
    if any(d != dtypes[0] for d in dtypes) or dtypes[0].kind != "f":
        raise TypeError(f"{name}: its inputs hold {', '.join(map(str, dtypes))}; it needs floats of one kind, "
                        "so convert with .astype(numpy.float32)")
