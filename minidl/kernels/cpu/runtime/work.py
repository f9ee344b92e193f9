"""How work is divided: the units of each thread, and rounding up. Usable in kernels and in Python."""

from numba.extending import register_jitable

# The most partial results of a long sum: enough work units for many threads. The number is fixed, and so is the order in
# which they are added, so that no bit of a result depends on the number of threads.
REDUCTION_SPLITS = 16


@register_jitable
def ceil_div(a, b):
    """a / b, rounded up."""
    return (a + b - 1) // b


@register_jitable
def share(thread, threads, units):
    """The units, a range, that one thread of `threads` does: consecutive ones, as many as any other does, or one less.

    A unit's result must not depend on who computes it: so results don't depend on the number of threads.
    """
    return range(thread * units // threads, (thread + 1) * units // threads)
