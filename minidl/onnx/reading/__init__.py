"""What each operator of ONNX computes, on tensors and arrays.

OPERATORS has a function for each, called with the Operator and its inputs: a Tensor for floats, an array for integers,
truth values and constants, None for an input that is left out. It returns the output, or a tuple of several.
"""

from collections.abc import Callable

from minidl.onnx.reading import arithmetic, arrange, images

OPERATORS: dict[str, Callable] = {**arithmetic.OPERATORS, **arrange.OPERATORS, **images.OPERATORS}
