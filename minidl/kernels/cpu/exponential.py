"""exp(x) of float32 in steps that LLVM turns into vector code; the C library's exp takes one number at a time.

    x = n * log 2 + r  with a whole n and |r| <= log(2) / 2,   so   exp(x) = 2**n * exp(r)

exp(r) is its Taylor polynomial of degree 7, which differs there by less than float32 can tell. 2**n is the float32 with
n + 127 in the bits of its exponent. Doubles, which are for checking, take the C library's way.
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
ZERO, BIAS, EXPONENT = np.float32(0), np.int32(127), np.int32(23)


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


@overload(exp)
def exp_of(x):
    """Which exp Numba shall take for a type."""
    return (lambda x: exp32(x)) if x == types.float32 else (lambda x: math.exp(x))
