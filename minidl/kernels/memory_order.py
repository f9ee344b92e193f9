"""The order in which the axes of an array lie in memory, for kernels that run through arrays from end to end."""


def axes_by_stride(strides):
    """The axes that have these strides, the longest stride first."""
    return sorted(range(len(strides)), key=lambda axis: -strides[axis])


def in_memory_order(x):
    """x with its axes in the order of memory: a view."""
    return x.transpose(axes_by_stride(x.strides))
