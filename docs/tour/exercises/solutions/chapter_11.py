"""Solutions of the exercises of chapter 11."""

import math

import numpy as np

import minidl.functional as F
from minidl import Tensor, optim


def occlusion(predict, image, target, size):
    """How far the probability of a class falls when a square of the image is covered."""
    whole = predict(image[None])[0, target]
    height, width = (n - size + 1 for n in image.shape[1:])
    drop = np.empty((height, width))
    for y in range(height):
        covered = np.repeat(image[None], width, axis=0)
        for x in range(width):
            covered[x, :, y:y + size, x:x + size] = image.min()
        drop[y] = whole - predict(covered)[:, target]
    return drop


def temperature_of(logits, labels, steps=200, lr=0.05):
    """The number T > 0 with the least cross entropy of logits / T (N, classes), labels (N,), by gradient descent."""
    logits = Tensor(np.asarray(logits, np.float64))
    logarithm = Tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.Adam([logarithm], lr=lr)
    for _ in range(steps):
        loss = F.cross_entropy(logits * F.exp(-logarithm), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return math.exp(logarithm.item())


def threshold(confidence, right, most):
    """The lowest confidence t such that of all predictions with confidence >= t at most the share `most` is wrong."""
    order = np.argsort(-confidence)
    values, wrong = confidence[order], np.cumsum(~right[order])
    last = np.append(values[1:] != values[:-1], True)            # the last one of equal confidences
    good = np.flatnonzero(last & (wrong / np.arange(1, len(values) + 1) <= most))
    return values[good[-1]] if len(good) else np.inf
