"""The elementwise sum of two arrays, as array code."""


def add(a, b):
    """a + b, elementwise, with NumPy's broadcasting."""
    return a + b
