"""What a model says about images, and how often it is right.

Nothing is recorded and nothing is learned here: the model is put into the state of use, and back as it was.
"""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

import minidl.functional as F
from minidl.data import DataLoader
from minidl.device import Device
from minidl.tensor import Tensor, no_grad
from minidl.train.metrics import accuracy, confusion_matrix

BATCH = 1000                                    # images at once: without gradients there is room for more


class Evaluation(NamedTuple):
    """What came out: the mean loss, and the confusion matrix (see `metrics.py`)."""

    loss: float
    confusion: np.ndarray

    @property
    def accuracy(self):
        """The part of the images that was told right."""
        return accuracy(self.confusion)


def predict(model, images, device="cpu"):
    """The logits for images that are ready to use.   float32 (N, C, H, W)  ->  NumPy (N, classes)"""
    with in_use(model), no_grad():
        parts = [model(Tensor(images[i : i + BATCH], device=device)).numpy() for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def loss_of(model):
    """The loss that a model is trained with: its own `loss(outputs, labels)`, if it has one, else cross entropy.

    Networks that give more than logits in training, as GoogLeNet does, have one of their own.
    """
    own = getattr(model, "loss", None)
    return own if callable(own) else F.cross_entropy


def evaluate(model, batches, classes, device="cpu", loss=None):
    """Hold a model against the labels.   batches of (images (n, C, H, W), labels (n,))  ->  Evaluation

    `loss(logits, labels)` gives the mean over a batch; by default it is `loss_of(model)`.
    """
    loss = loss or loss_of(model)
    place = Device.parse(device)
    total, confusion = 0.0, np.zeros((classes, classes), np.int64)
    with in_use(model), no_grad():
        for images, labels in batches:
            logits = model(Tensor(images, device=place))
            total += float(loss(logits, place.put(labels))) * len(labels)
            confusion += confusion_matrix(labels, logits.numpy().argmax(1), classes)
    return Evaluation(total / max(1, int(confusion.sum())), confusion)


def in_order(dataset, prefetch=2):
    """Every image of a data set once, in order, in large batches."""
    return DataLoader(dataset, BATCH, prefetch=prefetch)


@contextmanager
def in_use(model):
    """The model in the state of use for a while, then each of its modules as it was."""
    before = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
