"""Local response normalization, channels last: numbers divided by a power of what neighbouring channels hold.

A window of channels must not reach into the next pixel. So some pixels at a time are copied into a buffer with
size - 1 zeros after each; the sum over windows then is the sum of `size` shifted views of that buffer, which is vector
code from one end to the other. Backward computes the divisors anew, which costs less than keeping them would.
"""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share

PIXELS = 32        # that a thread takes at a time


def local_response_norm(x, size, alpha, beta, k):
    """x / s**beta,  s[c] = k + alpha / size * sum of x[d]**2 over the channels d from c - size//2 to c + (size-1)//2.

    x (N, C, H, W)  ->  (N, C, H, W); channels that do not exist count as zeros
    """
    x = channels_last(x)
    out = empty(x.shape, x.dtype)
    respond(pixels(x), size, alpha, beta, k, pixels(out))
    return logical(out)


@kernel
def respond(thread, threads, x, size, alpha, beta, k, out):
    """out = x / s**beta, pixel by pixel"""
    n, c = x.shape
    width = c + size - 1
    for part in share(thread, threads, (n + PIXELS - 1) // PIXELS):
        first, count = part * PIXELS, min(PIXELS, n - part * PIXELS)
        spread = np.zeros(count * width, x.dtype)
        s, factor = np.empty_like(spread), np.empty_like(spread)
        for i in range(count):
            pixel, square = x[first + i], spread[i * width + size // 2:]
            for j in range(c):
                square[j] = pixel[j] * pixel[j]
        sum_windows(spread, size, alpha, k, s)
        power(s, beta, factor)
        for i in range(count):
            pixel, result, f = x[first + i], out[first + i], factor[i * width:]
            for j in range(c):
                result[j] = pixel[j] * f[j]


def local_response_norm_gradient(grad, x, size, alpha, beta, k):
    """The gradient by x:  grad / s**beta - 2 * alpha * beta / size * x * sum of grad * x / s**(beta + 1).

    The sum is over the channels whose windows see this one, from c - (size-1)//2 to c + size//2.
    """
    grad, x = channels_last(grad), channels_last(x)
    dx = empty(x.shape, x.dtype)
    respond_gradient(pixels(grad), pixels(x), size, alpha, beta, k, pixels(dx))
    return logical(dx)


@kernel
def respond_gradient(thread, threads, grad, x, size, alpha, beta, k, dx):
    """dx = grad / s**beta - 2 * alpha * beta / size * x * sums, pixel by pixel; `back` becomes those sums"""
    n, c = x.shape
    width, slope = c + size - 1, x.dtype.type(2 * beta)
    for part in share(thread, threads, (n + PIXELS - 1) // PIXELS):
        first, count = part * PIXELS, min(PIXELS, n - part * PIXELS)
        spread = np.zeros(count * width, x.dtype)
        s, factor, back = np.empty_like(spread), np.empty_like(spread), np.empty_like(spread)
        for i in range(count):
            pixel, square = x[first + i], spread[i * width + size // 2:]
            for j in range(c):
                square[j] = pixel[j] * pixel[j]
        sum_windows(spread, size, alpha, k, s)
        power(s, beta, factor)
        spread[:] = 0
        for i in range(count):
            pixel, g, f, divisor = x[first + i], grad[first + i], factor[i * width:], s[i * width:]
            scaled = spread[i * width + (size - 1) // 2:]
            for j in range(c):
                scaled[j] = g[j] * pixel[j] * f[j] / divisor[j]
        sum_windows(spread, size, alpha, 0, back)
        for i in range(count):
            pixel, g, f, b = x[first + i], grad[first + i], factor[i * width:], back[i * width:]
            result = dx[first + i]
            for j in range(c):
                result[j] = g[j] * f[j] - slope * pixel[j] * b[j]


@inner
def sum_windows(v, size, alpha, k, out):
    """out[i] = k + alpha / size * (v[i] + ... + v[i + size - 1]), as far as there is a whole window"""
    share, start = v.dtype.type(alpha / size), v.dtype.type(k)
    out[:] = v
    for i in range(1, size):
        shifted = v[i:]
        for j in range(len(shifted)):
            out[j] += shifted[j]
    for j in range(len(out)):
        out[j] = start + share * out[j]


@inner
def power(s, beta, out):
    """out = s**-beta; for the papers' 0.75 by square roots, which are vector code"""
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
