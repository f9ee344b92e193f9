"""Convolution: the same small filters, applied at every position of every image.

This function checks its inputs and records itself; the arithmetic is in `kernels/`. Read `kernels/plain/convolution.py`
for how it works.
"""

from typing import Any

from minidl.functional.checks import Padding, Pair, check_dtypes, check_pixels, window_of
from minidl.kernels import backend
from minidl.scalars import whole
from minidl.tensor import Operand, op


@op
def conv2d(x: Operand, weight: Operand, bias: Operand = None, /, stride: Pair = 1, padding: Padding = 0,
           dilation: Pair = 1, groups: int = 1, *, relu: bool = False):
    """out[n, f, oy, ox] = bias[f] + sum over c, ky, kx of x[n, c, oy*s + ky*d, ox*s + kx*d] * weight[f, c, ky, kx]

    x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW)
    stride, dilation  in pixels; one number, or (vertical, horizontal)
    padding           zeros on each side of x, given likewise; or "valid" (none), or "same" (OH, OW = H, W; stride 1)
    groups            the filters of group g read only the channels of group g
    relu              max(out, 0) in the same pass over memory, which PyTorch's function does not have
    OH = floor((H + 2*padding - dilation*(KH - 1) - 1) / stride) + 1
    """
    groups = whole("conv2d", "groups", groups, 1)
    check_shapes(x, weight, bias, groups)
    check_dtypes("conv2d", x, weight, bias)
    check_pixels("conv2d", x)
    window = window_of("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    kernels = backend(x)
    out = kernels.conv2d(x, weight, bias, window, groups, relu)
    rectified = out if relu else None                        # without ReLU, backward does not need `out`

    def backward(grad):
        if relu:
            grad = kernels.relu_gradient(grad, rectified)
        return (
            lambda: kernels.conv2d_input_gradient(grad, weight, x.shape, window, groups),
            lambda: kernels.conv2d_weight_gradient(grad, x, window, groups),
            lambda: kernels.axis_sums(grad, (0, 2, 3)).reshape(-1),
        )
    return out, backward


def check_shapes(x: Any, weight: Any, bias: Any, groups: int) -> None:
    """Raise ValueError unless the shapes of the arrays and the number of groups are consistent."""
    if x.ndim != 4:
        raise ValueError(f"conv2d: x must be images (N, C, H, W), not {x.shape}")
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError("conv2d: weight must be filters (F, C/groups, KH, KW) with no axis of length 0, "
                         f"not {weight.shape}")
    if len(weight) % groups or x.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"conv2d: with groups={groups}, weight {weight.shape} needs {weight.shape[1]} channels per "
                         f"group, but x {x.shape} has {x.shape[1]} channels; channels must be the product of the two, "
                         f"and groups must divide the {len(weight)} filters")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"conv2d: bias must be ({len(weight)},), one element per filter, not {bias.shape}")
