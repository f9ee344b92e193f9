"""Batch norms of a graph folded into the convolutions before them: fewer nodes, the same result up to rounding.

With r = weight / sqrt(var + eps), norm(conv(x)) is the convolution with the weights r * w and the bias
r * (b - mean) + bias_of_norm. The arrays keep the convolution's names.
"""

from collections import Counter

import numpy as np
from onnx import NodeProto, numpy_helper

from minidl.onnx.graph import Graph, attributes_of


def fold_batch_norms(g: Graph) -> None:
    """Fold each batch norm whose input is a convolution that nothing else reads, and with weights of its own."""
    readers = Counter(name for node in g.nodes for name in node.input)
    constants = {node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in g.nodes
                 if node.op_type == "Constant"}
    arrays = {**constants, **g.initializers}
    convs = {node.output[0]: node for node in g.nodes if node.op_type == "Conv"}
    for norm in [node for node in g.nodes if node.op_type == "BatchNormalization"]:
        conv = convs.get(norm.input[0])
        if (conv is not None and readers[conv.output[0]] == 1 and conv.input[1] in g.initializers
                and all(readers[name] == 1 for name in conv.input[1:])
                and all(name in arrays for name in (*conv.input[1:], *norm.input[1:]))):
            fold(g, conv, norm, arrays)
    read = {name for node in g.nodes for name in node.input}
    g.initializers = {name: array for name, array in g.initializers.items() if name in read}
    g.nodes = [node for node in g.nodes if node.op_type != "Constant" or node.output[0] in read]


def fold(g: Graph, conv: NodeProto, norm: NodeProto, arrays: dict[str, np.ndarray]) -> None:
    """Fold one batch norm; its node is removed, and who read it reads the convolution."""
    scale, shift, mean, var = (arrays[name].astype(np.float64) for name in norm.input[1:])
    weight = arrays[conv.input[1]]
    bias = arrays[conv.input[2]] if len(conv.input) > 2 else 0.0
    r = scale / np.sqrt(var + attributes_of(norm).get("epsilon", 1e-5))
    stem = conv.input[1].removesuffix("weight").removesuffix(".")
    name = conv.input[2] if len(conv.input) > 2 else g.unique(f"{stem}.bias" if stem else "bias")
    g.initializers[conv.input[1]] = (weight * r[:, None, None, None]).astype(weight.dtype)
    g.initializers[name] = ((bias - mean) * r + shift).astype(weight.dtype)
    del conv.input[2:]
    conv.input.append(name)
    g.nodes.remove(norm)
    g.rename(norm.output[0], conv.output[0])
