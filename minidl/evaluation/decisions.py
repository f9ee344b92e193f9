"""From logits to classes: what a model decides, how often that is correct, and the loss that fits its logits.

Labels are classes (N,), masks (N, H, W), in which each pixel has a class, or probabilities (N, C), as MixUp gives.
Labels equal to UNKNOWN do not count. A single logit means two classes: it is that of class 1 against class 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl.functional as F
from minidl.device import array_module
from minidl.nn import Module
from minidl.tensor import Tensor, as_array

UNKNOWN = -100                                   # the default of `ignore_index` in losses

Loss = Callable[[Any, Any], Tensor]


def decided(logits: Any) -> Any:
    """The class with the largest logit.   (N, C, ...)  ->  whole numbers (N, ...)"""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(int)
    if logits.shape[1] == 2:                     # ten times as fast as argmax
        return (logits[:, 1] > logits[:, 0]).astype(int)
    return logits.argmax(1)


def correct(logits: Any, labels: Any) -> tuple[Any, Any]:
    """(how many labels count, how many of them the model decides on): numbers, or of arrays on a GPU arrays.

    Arrays as in `decided`. Of probabilities, the part that counts as correct is the probability of the class that the
    model decides on.
    """
    predicted = decided(logits)
    if labels.dtype.kind == "f":
        counted, right = len(labels), labels[array_module(labels).arange(len(labels)), predicted].sum()
    else:
        counted, right = (labels != UNKNOWN).sum(), (predicted == labels).sum()
    return (int(counted), right.item()) if isinstance(labels, np.ndarray) else (counted, right)


def both_logits(logits: Any) -> Any:
    """The same logits, but two in place of one: softmax(0, z) = (1 - sigmoid(z), sigmoid(z)).   (N, C, ...)"""
    if logits.shape[1] != 1:
        return logits
    return F.cat([array_module(as_array(logits)).zeros_like(as_array(logits)), logits], 1)


def cross_entropy(logits: Any, labels: Any, weight: Any = None, *, label_smoothing: float = 0.0) -> Tensor:
    """`F.cross_entropy`, also of a single logit for two classes."""
    return F.cross_entropy(both_logits(logits), labels, weight, label_smoothing=label_smoothing)


def loss_of(model: Module) -> Loss:
    """The loss that a model is trained with: its method `loss(outputs, labels)`, if it has one, else cross entropy.

    Networks with several outputs in training mode, such as GoogLeNet, have their own.
    """
    own = getattr(model, "loss", None)
    return own if callable(own) else cross_entropy
