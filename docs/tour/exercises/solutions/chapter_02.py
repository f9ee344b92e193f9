"""Solutions of the exercises of chapter 2."""

import numpy as np

from minidl.tensor import newest_first, op


def unbroadcast(grad, shape):
    """Exercise 2.1: the array `grad` summed to `shape`, the shape that an input had before it was broadcast."""
    extra = grad.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, grad.shape[extra:], strict=True)):
        raise ValueError(f"an array of shape {shape} cannot be broadcast to {grad.shape}")
    repeated = tuple(extra + i for i, n in enumerate(shape) if n != grad.shape[extra + i])
    return grad.sum(tuple(range(extra)) + repeated, keepdims=True).reshape(shape)


def gradients(out, inputs):
    """Exercise 2.2: the gradients of the sum of the elements of `out` by each tensor in `inputs`, as arrays."""
    grads = {out.node: np.ones_like(out.data)}
    for node in newest_first(out.node):
        if node not in grads or node.backward is None:
            continue
        shares = node.backward(grads[node])
        for parent, share in zip(node.parents, shares if isinstance(shares, tuple) else (shares,), strict=False):
            if parent is not None and share is not None:
                share = unbroadcast(share() if callable(share) else share, parent.shape)
                grads[parent] = grads[parent] + share if parent in grads else share
    return [grads[x.node] if x.node in grads else np.zeros_like(x.data) for x in inputs]


@op
def unit_rows(x, /):
    """Exercise 2.3: x / sqrt(sum of x * x over the last axis): rows of length 1. No row is zero."""
    length = np.sqrt((x * x).sum(-1, keepdims=True))
    out = x / length

    def backward(grad):
        return (grad - out * (grad * out).sum(-1, keepdims=True)) / length
    return out, backward
