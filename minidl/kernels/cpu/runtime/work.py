"""How work is divided: the units of each thread, and rounding up. Usable in kernels and in Python."""

from numba.extending import register_jitable

# The most partial sums of a reduction: enough work units for many threads. The shape alone decides their number, and
# their order is fixed, so no bit of a result depends on the number of threads.
REDUCTION_SPLITS = 16

# Numbers that are added one after the other in their own precision: float32 errs by 1e-6 at most. More are added in
# float64, or in blocks whose sums are.
FEW = 64

MIN_WORK = 4096         # elements that justify one more thread, in softmax and cross entropy
SERIAL_SIZE = 16384     # up to this many elements of an elementwise pass, one thread is done before the pool has woken
CHUNK = 8192            # elements: threads share an array in whole chunks, so that each begins at a cache line


@register_jitable
def ceil_div(a, b):
    """a / b, rounded up."""
    return (a + b - 1) // b


@register_jitable
def share(thread, threads, units):
    """The range of units for one of `threads` threads. Shares are consecutive, and their lengths differ by at most one.

    A unit's result must not depend on who computes it: so results don't depend on the number of threads.
    """
    return range(thread * units // threads, (thread + 1) * units // threads)


@register_jitable
def share_of_work(thread, threads, units, size):
    """`share` among no more threads than `size` elements are worth: one for each MIN_WORK of them, rounded up."""
    workers = min(threads, max(1, ceil_div(size, MIN_WORK)))
    return range(min(thread, workers) * units // workers, min(thread + 1, workers) * units // workers)


@register_jitable
def share_of_elements(thread, threads, size):
    """The elements from `first` up to `stop` that one thread does in an elementwise pass over `size` of them."""
    chunks = share(thread, threads, ceil_div(size, CHUNK))
    return chunks.start * CHUNK, min(size, chunks.stop * CHUNK)
