"""The nodes that each operation of `minidl.functional` becomes: standard operators, understood from opset 17 on.

WRITERS has them by the operation's name. A writer is given the graph, the step, and the step's inputs as names of the
graph (None for an input that is left out); it adds nodes and returns the name of the output.
"""

from collections.abc import Callable

from minidl.onnx.writing import elementwise, layers, pooling, shapes

WRITERS: dict[str, Callable] = {**elementwise.WRITERS, **layers.WRITERS, **pooling.WRITERS, **shapes.WRITERS}
