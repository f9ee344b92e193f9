"""Keras's published weights of MobileNet-v1, converted to those of our `mobilenet_v1`.

Keras stores filters as (KH, KW, in, out), depthwise ones as (KH, KW, channels, 1), and names the arrays of a layer
`conv_dw_3/depthwise_kernel`, `conv_dw_3_bn/gamma` and so on, counting blocks from 1. Its pixels are in -1..1, and its
convolutions pad as TensorFlow does.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from minidl.io.checkpoint import CheckpointError
from minidl.io.imagenet import imagenet_facts

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
FILTERS = {"kernel": (3, 2, 0, 1), "depthwise_kernel": (2, 3, 0, 1)}         # the axes of (F, C/groups, KH, KW)
PARTS = {"dw": "depthwise", "pw": "pointwise"}


def is_keras(arrays: dict[str, np.ndarray]) -> bool:
    """Whether these are the arrays of Keras's MobileNet-v1."""
    return "conv_pw_1/kernel" in arrays and "conv_preds/kernel" in arrays


def from_keras(path: Path, arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """{our name: array}, and the facts about the network.   Raises CheckpointError for arrays not of MobileNet-v1."""
    weights = {}
    for name, array in arrays.items():
        layer, _, part = name.partition("/")
        if name == "conv_preds/kernel" and array.ndim == 4:
            weights["fc.weight"] = array[0, 0].T                     # (1, 1, features, classes) -> (classes, features)
        elif name == "conv_preds/bias":
            weights["fc.bias"] = array
        elif layer.endswith("_bn") and part in NORM and (ours := our_layer(layer.removesuffix("_bn"))):
            weights[f"{ours}.bn.{NORM[part]}"] = array
        elif part in FILTERS and array.ndim == 4 and (ours := our_layer(layer)):
            weights[f"{ours}.conv.weight"] = array.transpose(FILTERS[part])
        else:
            raise CheckpointError(f"{path}: {name} of shape {array.shape} is no array of Keras's MobileNet-v1")
    if "fc.weight" not in weights or "conv1.conv.weight" not in weights:
        raise CheckpointError(f"{path}: arrays of Keras's MobileNet-v1 are missing")
    classes = len(weights["fc.weight"])
    settings = {"num_classes": classes, "width": len(weights["conv1.conv.weight"]) / 32, "tf_padding": True}
    facts = imagenet_facts(mean=(0.5,) * 3, std=(0.5,) * 3)
    if classes != len(facts["classes"]):
        del facts["classes"]
    return weights, {**facts, "architecture": {"name": "mobilenet_v1", "settings": settings}}


def our_layer(layer: str) -> str | None:
    """Our name of one of Keras's layers: "blocks.2.depthwise" for "conv_dw_3"; None for an unknown layer."""
    if layer == "conv1":
        return "conv1"
    found = re.fullmatch(r"conv_(dw|pw)_([1-9]\d?)", layer)
    return found and f"blocks.{int(found[2]) - 1}.{PARTS[found[1]]}"
