"""exp, log and functions made of them, in float32 steps that LLVM turns into vector code.

    x = n * log 2 + r   with an integer n and |r| <= log(2) / 2,      so  exp(x) = 2**n * exp(r)
    x = 2**n * f        with an integer n and f from 0.7 to 1.4,      so  log(x) = n * log 2 + log(f)

exp(r) is its Taylor polynomial of degree 7. log(f) = 2 artanh(u) = 2 (u + u**3 / 3 + u**5 / 5 + ...) up to u**9, with
u = (f - 1) / (f + 1). The terms left out are too small for float32. 2**n is the float32 with n + 127 in its exponent
bits. float64, which is for checking, calls the C library, element by element.
"""

import math

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.plain.activation import SINGLE

LOG2_E = np.float32(1 / math.log(2))
LOG_2_HIGH = np.float32(0.693359375)                       # the first bits of log 2: n times it is exact
LOG_2_LOW = np.float32(math.log(2) - 0.693359375)
ROUNDER = np.float32(1.5 * 2**23)                          # x + ROUNDER has round(x) in its lowest bits
LEAST = np.float32(-87)                                    # exp(-87) is 1.6e-38; below, exp is 0
EXP_SERIES = tuple(np.float32([1 / math.factorial(k) for k in range(1, 8)]))        # (exp(r) - 1) / r
ARTANH_SERIES = tuple(np.float32([1 / k for k in range(1, 16, 2)]))              # artanh(u) / u, in u**2
NORMAL_SERIES = tuple(np.float32(SINGLE))
ZERO, HALF, ONE, TWO = np.float32([0, 0.5, 1, 2])
BIAS, EXPONENT = np.int32(127), np.int32(23)
ROOT_HALF = np.float32(math.sqrt(0.5)).view(np.int32)      # the bits of the smallest f
NEAR, NINE = np.float32(4.5), np.float32(9)


def of_float32(single):
    """Decorates a float64 function: kernels that call it with a float32 get `single` in its place."""
    def register(function):
        @overload(function)
        def choose(x):
            return (lambda x: single(x)) if x == types.float32 else function
        return function
    return register


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c, rounded once, by the processor's instruction for it, which LLVM does not choose by itself."""
    def generate(context, builder, signature, values):
        return builder.fma(*values)
    return a(a, a, a), generate


@intrinsic
def maximum(typingctx, a, b):
    """a if a > b, else b, without a branch, which LLVM would turn into a masked store."""
    def generate(context, builder, signature, values):
        return builder.select(builder.fcmp_ordered(">", *values), *values)
    return a(a, a), generate


@inner
def polynomial(x, coefficients):
    """c[0] + c[1] * x + c[2] * x**2 + ..."""
    total = coefficients[-1]
    for i in range(2, len(coefficients) + 1):
        total = fma(total, x, coefficients[-i])
    return total


@inner
def power_and_series(x):
    """2**n and exp(r) - 1, where x = n * log 2 + r."""
    rounded = fma(x, LOG2_E, ROUNDER)
    n = rounded - ROUNDER
    r = fma(n, -LOG_2_LOW, fma(n, -LOG_2_HIGH, x))
    power = np.int32((np.float32(rounded).view(np.int32) + BIAS) << EXPONENT).view(np.float32)
    return power, r * polynomial(r, EXP_SERIES)


@inner
def exp32(x):
    """exp of a float32, to 1 part in 10**7."""
    power, series = power_and_series(x)
    return ZERO if x < LEAST else (series + ONE) * power


@of_float32(exp32)
def exp(x):
    """exp(x) for x <= 0 or NaN, in kernels."""
    return math.exp(x)


@inner
def expm1_32(x):
    """exp(x) - 1 of a float32, to 2 parts in 10**7."""
    power, series = power_and_series(x)
    return -ONE if x < LEAST else fma(series, power, power - ONE)


@of_float32(expm1_32)
def expm1(x):
    """exp(x) - 1 for x <= 0 or NaN, in kernels; accurate for small x too."""
    return math.expm1(x)


@inner
def tanh32(x):
    """tanh of a float32, to 4 parts in 10**7:  tanh(|x|) = (1 - e) / (1 + e)  with  e = exp(-2 |x|)."""
    e = expm1_32(-TWO * abs(x))
    t = e / (e + TWO)
    return -t if x > ZERO else t                             # 0 has no sign: e is 0 there


@of_float32(tanh32)
def tanh(x):
    """The hyperbolic tangent, in kernels."""
    return math.tanh(x)


@inner
def log32(x):
    """log of a float32, to 1 part in 10**7."""
    bits = np.float32(x).view(np.int32)
    n = (bits - ROOT_HALF) >> EXPONENT
    f = np.int32(bits - (n << EXPONENT)).view(np.float32)
    u = (f - ONE) / (f + ONE)
    series = polynomial(u * u, ARTANH_SERIES[:5])
    n = np.float32(n)
    return n * LOG_2_HIGH + (n * LOG_2_LOW + TWO * u * series) if x == x else x       # NaN stays NaN


@of_float32(log32)
def log(x):
    """log(x) for finite x >= 1, or NaN, in kernels."""
    return math.log(x)


@inner
def log1p_32(x):
    """log(1 + x) of a float32, to 2 parts in 10**7: here f = 1 + x and u = x / (x + 2) <= 1/3, up to u**15."""
    u = x / (x + TWO)
    return TWO * u * polynomial(u * u, ARTANH_SERIES)


@of_float32(log1p_32)
def log1p(x):
    """log(1 + x) for x from 0 to 1, or NaN, in kernels; accurate for small x too."""
    return math.log1p(x)


@inner
def normal_cdf32(x):
    """The same of a float32, to 2 parts in 10**7; `plain/activation.py` has the series."""
    z = abs(x)
    s = NINE / (z + NEAR) - ONE
    above = polynomial(s, NORMAL_SERIES) * exp32(-HALF * (z * z))
    return ONE - above if x > ZERO else above


@of_float32(normal_cdf32)
def normal_cdf(x):
    """The standard normal distribution function, in kernels."""
    return 0.5 * math.erfc(-x * math.sqrt(0.5))
