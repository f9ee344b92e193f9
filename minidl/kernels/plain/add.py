"""The sum of two arrays."""


def add(a, b):
    """a + b, elementwise, with NumPy's broadcasting."""
    return a + b
