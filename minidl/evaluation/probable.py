"""The most probable classes of an image, by name."""

from collections.abc import Sequence

import numpy as np

from minidl.nn import Module


def class_names(model: Module, classes: int) -> list[str]:
    """The names of a model's classes, from its file, or else their indices.

    Raises ValueError if the file names another number of classes.
    """
    names = getattr(model, "about", {}).get("classes") or list(map(str, range(classes)))
    if len(names) != classes:
        raise ValueError(f"the model file names {len(names)} classes, but the model has {classes}")
    return names


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities in float64 of one row of logits, or of each.   (..., classes)  ->  (..., classes)"""
    logits = logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def most_probable(logits: np.ndarray, names: Sequence[str], top: int) -> list[dict]:
    """The `top` classes of an image with the highest probabilities.

    logits (classes,)  ->  [{"class", "index", "probability"}, ...], the most probable class first
    """
    probabilities = softmax(logits)
    return [{"class": names[i], "index": int(i), "probability": float(probabilities[i])}
            for i in np.argsort(-logits, kind="stable")[:top]]
