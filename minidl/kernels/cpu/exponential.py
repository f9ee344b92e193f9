"""exp and log of float32 in steps that LLVM turns into vector code; the C library's take one number at a time.

    x = n * log 2 + r  with a whole n and |r| <= log(2) / 2,       so  exp(x) = 2**n * exp(r)
    x = 2**n * f       with a whole n and f from 0.7 to 1.4,       so  log(x) = n * log 2 + log(f)

exp(r) is its Taylor polynomial of degree 7, and log(f) = 2 artanh(u) = 2 (u + u**3 / 3 + u**5 / 5 + ...) with
u = (f - 1) / (f + 1), up to u**9: what is left out is less than float32 can tell. 2**n is the float32 with n + 127 in
the bits of its exponent. Doubles, which are for checking, take the C library's way.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from minidl.kernels.cpu.compile import inner

LOG2_E = np.float32(1 / math.log(2))
LOG_2_HIGH = np.float32(0.693359375)                       # a few bits of log 2, so that n times it is exact
LOG_2_LOW = np.float32(math.log(2) - 0.693359375)
ROUNDER = np.float32(1.5 * 2**23)                          # added to x, it leaves round(x) in the lowest bits
LEAST = np.float32(-87)                                    # exp of less is taken for 0; exp(-87) is 1.6e-38
ONE, C2, C3, C4, C5, C6, C7 = (np.float32(1 / math.factorial(k)) for k in range(1, 8))
A3, A5, A7, A9 = (np.float32(1 / k) for k in (3, 5, 7, 9))
ZERO, TWO, BIAS, EXPONENT = np.float32(0), np.float32(2), np.int32(127), np.int32(23)
ROOT_HALF = np.float32(math.sqrt(0.5)).view(np.int32)      # the bits of the smallest f


def exp(x):
    """exp(x) for x <= 0 or NaN, in kernels."""
    return math.exp(x)


@inner
def exp32(x):
    """exp of a float32, to 1 part in 10**7."""
    rounded = x * LOG2_E + ROUNDER
    n = rounded - ROUNDER
    r = x - n * LOG_2_HIGH - n * LOG_2_LOW
    series = ((((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * r + ONE) * r + ONE
    power = np.int32((np.float32(rounded).view(np.int32) + BIAS) << EXPONENT).view(np.float32)
    return ZERO if x < LEAST else series * power


def log(x):
    """log(x) for x from 1 up to, but not, infinity, or NaN, in kernels."""
    return math.log(x)


@inner
def log32(x):
    """log of a float32, to 1 part in 10**7."""
    bits = np.float32(x).view(np.int32)
    n = (bits - ROOT_HALF) >> EXPONENT
    f = np.int32(bits - (n << EXPONENT)).view(np.float32)
    u = (f - ONE) / (f + ONE)
    square = u * u
    series = (((A9 * square + A7) * square + A5) * square + A3) * square + ONE
    n = np.float32(n)
    return n * LOG_2_HIGH + (n * LOG_2_LOW + TWO * u * series) if x == x else x       # NaN alone is not itself


@overload(exp)
def exp_of(x):
    """Which exp Numba shall take for a type."""
    return (lambda x: exp32(x)) if x == types.float32 else (lambda x: math.exp(x))


@overload(log)
def log_of(x):
    """Which log Numba shall take for a type."""
    return (lambda x: log32(x)) if x == types.float32 else (lambda x: math.log(x))
