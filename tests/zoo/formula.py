"""Weights and images from a formula, the same on every machine: what stored logits were computed with."""

import math
import zlib

import numpy as np


def noise(name, shape):
    """Numbers in [-1, 1), without order to the eye: the digits of large sines."""
    places = np.arange(1, math.prod(shape) + 1, dtype=np.float64) + zlib.crc32(name.encode()) % 99991
    fractions = np.sin(places * 12.9898) * 43758.5453
    return (2 * (fractions - np.floor(fractions)) - 1).astype(np.float32).reshape(shape)


def weights(shapes):
    """{name: array} for {name: shape}: signals keep their size, norms have moments that they might have learned."""
    return {name: weight(name, shape) for name, shape in shapes.items()}


def weight(name, shape):
    if name.endswith("num_batches_tracked"):
        return np.array(7)
    values = noise(name, shape)
    if name.endswith("running_var"):
        return 1 + values / 2
    if name.endswith("weight"):
        return 1 + values / 5 if len(shape) == 1 else values * np.float32(math.sqrt(6 / math.prod(shape[1:])))
    return values / 10


def images(*shape):
    return noise("images", shape)
