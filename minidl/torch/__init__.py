"""PyTorch's spellings: `import minidl.torch as torch`, for scripts and people that come from PyTorch.

    import minidl.torch as torch
    import minidl.torch.nn as nn
    import minidl.torch.nn.functional as F
    from minidl.torch import optim
    from minidl.torch.utils.data import DataLoader, TensorDataset

These are names for what is elsewhere in minidl, and thin adapters where PyTorch's form of a thing differs; nothing here
computes anything of its own, and nothing else imports this package. Names that are missing say what to write instead.
`docs/from_pytorch.md` shows a training script in both, and what differs.
"""

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from minidl import Tensor, missing, no_grad
from minidl.functional import (
    abs,
    add,
    amax,
    amin,
    argmax,
    argmin,
    argsort,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    cat,
    chunk,
    clamp,
    clone,
    cos,
    div,
    eq,
    exp,
    flatten,
    gather,
    ge,
    gt,
    le,
    log,
    log_softmax,
    logsumexp,
    lt,
    masked_fill,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    mul,
    ne,
    neg,
    norm,
    permute,
    pow,
    relu,
    remainder,
    reshape,
    sigmoid,
    sin,
    softmax,
    sort,
    split,
    sqrt,
    squeeze,
    stack,
    std,
    sub,
    sum,
    tanh,
    topk,
    transpose,
    unsqueeze,
    var,
    where,
)
from minidl.torch import cuda, nn, optim, utils
from minidl.torch.compare import all, allclose, any, equal, is_grad_enabled, is_tensor, isclose, numel
from minidl.torch.creation import (
    Generator,
    arange,
    as_tensor,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    manual_seed,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from minidl.torch.cuda import device
from minidl.torch.files import load, save

concat = concatenate = cat
clip, multiply, subtract, divide = clamp, mul, sub, div
logical_and, logical_or, logical_not, logical_xor = bitwise_and, bitwise_or, bitwise_not, bitwise_xor
inference_mode = no_grad
inf, nan, pi = float("inf"), float("nan"), np.pi

float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int64 = long = np.dtype(np.int64)
int32 = int = np.dtype(np.int32)
int16 = short = np.dtype(np.int16)
int8, uint8 = np.dtype(np.int8), np.dtype(np.uint8)
bool = np.dtype(np.bool_)
FloatTensor, LongTensor = Tensor, as_tensor

__all__ = [
    "FloatTensor", "Generator", "LongTensor", "Tensor", "abs", "add", "all", "allclose", "amax", "amin", "any",
    "arange", "argmax", "argmin", "argsort", "as_tensor", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor",
    "bool", "cat", "chunk", "clamp", "clip", "clone", "concat", "concatenate", "cos", "cuda", "device", "div", "divide",
    "double", "empty", "eq", "equal", "exp", "eye", "flatten", "float", "float32", "float64", "from_numpy", "full",
    "full_like", "gather", "ge", "gt", "inf", "inference_mode", "int", "int8", "int16", "int32", "int64",
    "is_grad_enabled", "is_tensor", "isclose", "le", "linspace", "load", "log", "log_softmax", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "long", "lt", "manual_seed", "masked_fill", "matmul",
    "max", "maximum", "mean", "min", "minimum", "mul", "multiply", "nan", "ne", "neg", "nn", "no_grad", "norm", "numel",
    "ones", "ones_like", "optim", "permute", "pi", "pow", "rand", "rand_like", "randint", "randn", "randn_like",
    "randperm", "relu", "remainder", "reshape", "save", "short", "sigmoid", "sin", "softmax", "sort", "split", "sqrt",
    "squeeze", "stack", "std", "sub", "subtract", "sum", "tanh", "tensor", "topk", "transpose", "uint8", "unsqueeze",
    "utils", "var", "where", "zeros", "zeros_like",
]  # fmt: skip

if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch", name, {**missing.TENSOR, **missing.TOP})
