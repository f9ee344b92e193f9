"""Local response normalization, channels last: each element divided by a power of a sum over neighbouring channels.

A window of channels must not extend into the next pixel. So a few pixels at a time are copied into a buffer, with
size - 1 zeros around each; the sum over windows is then the sum of `size` shifted views of that buffer, which is vector
code from end to end. For size = 3, and two pixels with channels a, b, c and d, e, f:

    buffer         0 a b c 0 0 d e f 0
    shifted by 1   a b c 0 0 d e f 0
    shifted by 2   b c 0 0 d e f 0
    sum            A B C . . D E F          A = 0 + a + b,  B = a + b + c,  C = b + c + 0

Backward recomputes the divisors, which costs less than keeping them. Sums of many channels are computed in float64.
"""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import FEW, ceil_div, share

PIXELS = 32        # pixels of a buffer


def local_response_norm(x, size, alpha, beta, k):
    if size > FEW and x.dtype != np.float64:
        return local_response_norm(x.astype(np.float64), size, alpha, beta, k).astype(x.dtype)
    x = channels_last(x)
    out = empty(x.shape, x.dtype)
    normalize(pixels(x), size, alpha, beta, k, pixels(out))
    return logical(out)


@kernel
def normalize(thread, threads, x, size, alpha, beta, k, out):
    """out = x / s**beta, pixel by pixel"""
    n, c = x.shape
    width = c + size - 1
    for unit in share(thread, threads, ceil_div(n, PIXELS)):
        first, count = unit * PIXELS, min(PIXELS, n - unit * PIXELS)
        squared = np.zeros(count * width, x.dtype)
        s, factor = np.empty_like(squared), np.empty_like(squared)
        square_padded(x, first, count, size, squared)
        sum_windows(squared, size, alpha, k, s)
        inverse_power(s, beta, factor)
        for i in range(count):
            pixel, result, f = x[first + i], out[first + i], factor[i * width:]
            for j in range(c):
                result[j] = pixel[j] * f[j]


def local_response_norm_gradient(grad, x, size, alpha, beta, k):
    if size > FEW and x.dtype != np.float64:
        double = grad.astype(np.float64), x.astype(np.float64)
        return local_response_norm_gradient(*double, size, alpha, beta, k).astype(x.dtype)
    grad, x = channels_last(grad), channels_last(x)
    dx = empty(x.shape, x.dtype)
    differentiate(pixels(grad), pixels(x), size, alpha, beta, k, pixels(dx))
    return logical(dx)


@kernel
def differentiate(thread, threads, grad, x, size, alpha, beta, k, dx):
    """dx = grad / s**beta - 2 * beta * x * windows,  windows = alpha / size * sums of grad * x / s**(beta + 1)"""
    n, c = x.shape
    width, slope = c + size - 1, x.dtype.type(2 * beta)
    for unit in share(thread, threads, ceil_div(n, PIXELS)):
        first, count = unit * PIXELS, min(PIXELS, n - unit * PIXELS)
        padded = np.zeros(count * width, x.dtype)
        s, factor, windows = np.empty_like(padded), np.empty_like(padded), np.empty_like(padded)
        square_padded(x, first, count, size, padded)
        sum_windows(padded, size, alpha, k, s)
        inverse_power(s, beta, factor)
        padded[:] = 0
        for i in range(count):
            pixel, g, f, divisor = x[first + i], grad[first + i], factor[i * width:], s[i * width:]
            scaled = padded[i * width + (size - 1) // 2:]
            for j in range(c):
                scaled[j] = g[j] * pixel[j] * f[j] / divisor[j]
        sum_windows(padded, size, alpha, 0, windows)
        for i in range(count):
            pixel, g, f, sums = x[first + i], grad[first + i], factor[i * width:], windows[i * width:]
            result = dx[first + i]
            for j in range(c):
                result[j] = g[j] * f[j] - slope * pixel[j] * sums[j]


@inner
def square_padded(x, first, count, size, out):
    """The squared values of `count` pixels, size // 2 zeros before each; `out` holds zeros."""
    c = x.shape[1]
    for i in range(count):
        pixel, square = x[first + i], out[i * (c + size - 1) + size // 2:]
        for j in range(c):
            square[j] = pixel[j] * pixel[j]


@inner
def sum_windows(v, size, alpha, k, out):
    """out[i] = k + alpha / size * (v[i] + ... + v[i + size - 1]), up to the last whole window"""
    scale, start = v.dtype.type(alpha / size), v.dtype.type(k)
    out[:] = v
    for i in range(1, size):
        shifted = v[i:]
        for j in range(len(shifted)):
            out[j] += shifted[j]
    for j in range(len(out)):
        out[j] = start + scale * out[j]


@inner
def inverse_power(s, beta, out):
    """out = s**-beta; for the papers' beta = 0.75 by square roots, which are vector code"""
    one, exponent = s.dtype.type(1), s.dtype.type(-beta)
    if beta == 0.75:
        for j in range(len(s)):
            root = np.sqrt(s[j])
            out[j] = one / (root * np.sqrt(root))
    else:
        for j in range(len(s)):
            out[j] = s[j] ** exponent


def pixels(x):
    """(N, H, W, C)  ->  (N*H*W, C)"""
    n, h, w, c = x.shape
    return x.reshape(n * h * w, c)
