"""GELU, and the normal distribution that it is made of, in array code: neither NumPy nor CuPy has the error function.

For z >= 0 a standard normal variable exceeds z with probability exp(-z**2 / 2) * P(s), where s = 9 / (z + 4.5) - 1 runs
from 1 down to -1 and P is so smooth that a polynomial serves: here those that agree with it at the Chebyshev nodes.
(The form is that of Shepherd and Laframboise, Mathematics of Computation 36 (1981).)
"""

import math

from minidl.device import array_module
from minidl.tensor import op

# P's coefficients, lowest power first. The probability is off by 1e-7 with these, which is what float32 can hold ...
SINGLE = (
    0.08480341518119153, 0.1559431634626806, 0.12074443260629793, 0.07773168844190834, 0.04051194450656346,
    0.016147544551313956, 0.00420690025110533, 0.0002512497450304876, -0.0002667153900581353, -7.36640879320873e-05,
)  # fmt: skip
# ... and with these by 2e-15.
DOUBLE = (
    0.08480339210780061, 0.1559431432469836, 0.12074558636754523, 0.07773270188929231, 0.04050271072602256,
    0.016139324759319777, 0.004232771042265473, 0.0002749757499165693, -0.00029628620168000987, -0.00010268009110264752,
    1.1739591821742174e-05, 1.4216688657527131e-05, 1.9008877642319734e-07, -1.9296832789485613e-06,
    -1.1892686885330852e-07, 2.84215891388671e-07, 1.6267519248696814e-08, -4.0570173136673555e-08,
    -1.0632022023422348e-09, 3.794495067924133e-09,
)  # fmt: skip


@op
def gelu(x, /, *, approximate="none"):
    """x * Phi(x), where Phi(x) is the probability that a standard normal variable is below x.

    approximate="tanh":  x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, which is near it and cheaper
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate={approximate!r} is neither 'none' nor 'tanh'")
    xp = array_module(x)
    if approximate == "tanh":
        root, cubic = math.sqrt(2 / math.pi), 0.044715
        share = 0.5 * xp.tanh(x * (root + root * cubic * x * x)) + 0.5

        def backward(grad):
            steepness = share * (1 - share) * (2 * root + 6 * root * cubic * x * x)      # of `share`
            return grad * (share + x * steepness)
    else:
        share = normal_share(x)

        def backward(grad):
            density = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
            return grad * (share + x * density)
    return x * share, backward


def normal_share(x):
    """Phi(x) of an array: the probability that a standard normal variable is below each x."""
    xp = array_module(x)
    z = xp.abs(x)
    s = 9 / (z + 4.5) - 1
    *lower, highest = SINGLE if x.dtype == "float32" else DOUBLE
    above = xp.full_like(x, highest)
    for coefficient in reversed(lower):
        above *= s
        above += coefficient
    above *= xp.exp(-0.5 * z * z)
    return xp.abs((x > 0) - above)                                       # 1 - above where x > 0, else above
