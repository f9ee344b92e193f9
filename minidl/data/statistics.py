"""The mean and the standard deviation of the channels of images, from a histogram of their bytes."""

from typing import Any

import numpy as np

CHUNK = 256                                      # images that are counted at a time


def statistics(images: Any) -> tuple[list[float], list[float]]:
    """The mean and the standard deviation of each channel, for pixels in 0..1; a deviation of 0 becomes 1."""
    counts = getattr(images, "histogram", None)              # which images that are streamed have
    mean, std = moments(histogram(images) if counts is None else counts)
    return mean, [value or 1.0 for value in std]


def histogram(images: np.ndarray) -> np.ndarray:
    """How often each brightness occurs in each channel of images bytes (N, C, H, W): int64 (C, 256)."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for first in range(0, len(images), CHUNK):
        for c, channel in enumerate(images[first:first + CHUNK].swapaxes(0, 1)):
            counts[c] += np.bincount(channel.ravel(), minlength=256)
    return counts


def moments(counts: np.ndarray) -> tuple[list[float], list[float]]:
    """The mean and the standard deviation of each row of a histogram (C, 256), for pixels in 0..1."""
    values, weights = np.arange(256) / 255, counts / np.maximum(counts.sum(1, keepdims=True), 1)
    mean = weights @ values
    return mean.tolist(), np.sqrt(np.maximum(weights @ values**2 - mean**2, 0)).tolist()
