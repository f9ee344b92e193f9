"""The order in which the axes of an array lie in memory, for kernels that run through arrays from end to end."""


def axes_by_stride(strides):
    """The axes that have these strides, the longest stride first."""
    return sorted(range(len(strides)), key=lambda axis: -strides[axis])


def in_memory_order(x):
    """x with its axes in the order of memory: a view."""
    return x.transpose(axes_by_stride(x.strides))


def contiguous(x):
    """(x in memory order, a copy only if it has gaps; the axes by which a transpose restores the order of x)."""
    if x.flags.c_contiguous:
        return x, range(x.ndim)
    order = axes_by_stride(x.strides)
    ordered = x.transpose(order)
    ordered = ordered if ordered.flags.c_contiguous else ordered.copy()
    return ordered, sorted(range(x.ndim), key=order.__getitem__)


def contiguous_like(axes, x, buffer):
    """x in the order that `contiguous` gave another array of its shape: a view, or else `buffer` with a copy of x."""
    x = x.transpose(sorted(range(x.ndim), key=axes.__getitem__))
    if x.flags.c_contiguous:
        return x
    buffer[...] = x
    return buffer
