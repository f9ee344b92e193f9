"""Local response norm, channels last."""

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, blocks, math_dtype, variant
from minidl.kernels.gpu.layout import channels_last, logical
from minidl.kernels.gpu.runtime.launcher import launch

FILE = "normalization/response_norm.cu"


def local_response_norm(x, size, alpha, beta, k):
    x = channels_last(x)
    out = array_module(x).empty_like(x)
    launch(x, FILE, "response_norm", (blocks(x.size),), (THREADS,), x, out, x.size, x.shape[3], size, alpha / size,
           beta, k, defines=variant(x.dtype))
    return logical(out)


def local_response_norm_gradient(grad, x, size, alpha, beta, k):
    grad, x = channels_last(grad.astype(x.dtype, copy=False)), channels_last(x)
    xp, grid, c, defines = array_module(x), (blocks(x.size),), x.shape[3], variant(x.dtype)
    direct, ratio = (xp.empty(x.shape, dtype=math_dtype(x.dtype)) for _ in range(2))
    dx = xp.empty_like(x)
    launch(x, FILE, "response_norm_ratios", grid, (THREADS,), grad, x, direct, ratio, x.size, c, size, alpha / size,
           beta, k, defines=defines)
    launch(x, FILE, "response_norm_gradient", grid, (THREADS,), direct, ratio, x, dx, x.size, c, size,
           2 * alpha * beta / size, defines=defines)
    return logical(dx)
