"""Half precision on a GPU: `autocast` computes products in it, and everything delicate in float32.

    with minidl.autocast("float16"):
        loss = F.cross_entropy(model(images), labels)

The two tables say which operations do; they are PyTorch's for CUDA, with the functions that only minidl has. All other
operations compute in the dtype of their inputs, the wider one if there are two. Weights stay float32: each is converted
where it is used, and its gradient comes back as float32. An operation with a float64 or no float input is left alone.
Micikevicius et al., "Mixed precision training", ICLR 2018.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.device import array_module, at
from minidl.modes import mode
from minidl.scope import scope

IN_HALF = frozenset({"conv2d", "conv_transpose2d", "linear", "matmul"})
IN_FLOAT32 = frozenset({
    "binary_cross_entropy_with_logits", "cross_entropy", "dice_loss", "exp", "focal_loss", "group_norm", "l1_loss",
    "layer_norm", "local_response_norm", "log", "log_softmax", "logsumexp", "mse_loss", "nll_loss", "pow",
    "smooth_l1_loss", "softmax", "softplus", "sum", "var",
})  # fmt: skip

FLOAT32 = np.dtype(np.float32)
HALVES = ("float16", "bfloat16")


def half(name: Any, owner: str = "autocast") -> np.dtype[Any]:
    """The dtype called "float16" or "bfloat16", which needs the package ml_dtypes. ValueError for any other."""
    given = getattr(name, "name", None) or getattr(name, "__name__", None) or name
    if given not in HALVES:
        raise ValueError(f"{owner}: {name!r} is neither 'float16' nor 'bfloat16'")
    if given == "float16":
        return np.dtype(np.float16)
    try:
        return np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        raise ValueError(f"{owner}: 'bfloat16' needs the package ml_dtypes; install it with `pip install ml_dtypes`, "
                         "or use 'float16'") from None


@scope
def autocast(dtype: Any = "float16", enabled: bool = True) -> Iterator[None]:
    """Compute products in half precision in this block: `with minidl.autocast("bfloat16"):`, or as a decorator.

    dtype    "float16" or "bfloat16"; gradients in float16 need a `GradScaler`, those in bfloat16 do not
    enabled  False: what is inside of another block computes in its own dtype again
    It is for the forward pass and the loss. The backward pass needs no block: each gradient has the dtype of its input.
    """
    before, wanted = mode.half, half(dtype) if enabled else None
    try:
        mode.half = wanted
        yield
    finally:
        mode.half = before


def cast(name: str, arrays: list[Any]) -> list[Any]:
    """The inputs of the operation `name` in the dtype in which `autocast` has it computed."""
    if name not in IN_HALF and name not in IN_FLOAT32:
        return arrays
    floats = [x for x in arrays if hasattr(x, "dtype") and (x.dtype.kind == "f" or x.dtype == mode.half)]
    if not floats or any(x.dtype.itemsize == 8 for x in floats):
        return arrays
    if array_module(*floats) is np:
        raise TypeError(f"{name}: autocast is for arrays on a GPU, and these are on the CPU, which computes in "
                        "float32; move model and data with .to('gpu'), or leave autocast out")
    dtype = mode.half if name in IN_HALF else FLOAT32
    with at(floats[0]):
        return [x.astype(dtype, copy=False) if any(x is y for y in floats) else x for x in arrays]
