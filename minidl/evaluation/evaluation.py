"""What a model predicts for images, and how often it is correct.

Evaluation records no gradients and changes no weights: the model is in eval mode meanwhile, and then as it was before.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import minidl.functional as F
from minidl.data import DataLoader, ImageDataset
from minidl.device import Device, is_array
from minidl.evaluation.metrics import accuracy, confusion_matrix
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.shapes import on_empty_batch
from minidl.tensor import Tensor, as_array

BATCH = 1000                                    # images per batch; without gradients, memory allows many

Loss = Callable[[Any, Any], Tensor]


class Evaluation(NamedTuple):
    """The mean loss, and the confusion matrix (see `metrics.py`)."""

    loss: float
    confusion: np.ndarray

    @property
    def accuracy(self) -> float:
        """The fraction of images classified correctly."""
        return accuracy(self.confusion)


def predict(model: Module, images: np.ndarray, device: str | Device = "cpu") -> np.ndarray:
    """The logits of preprocessed images.   float32 (N, C, H, W)  ->  NumPy (N, classes); N may be 0"""
    if hasattr(images, "batch"):
        raise TypeError(f"predict: images must be an array (N, C, H, W), not {type(images).__name__}; give "
                        "dataset.batch(range(len(dataset)))[0]")
    images = images if is_array(images) else as_array(images)
    if images.ndim < 2:
        raise ValueError(f"predict: images must be an array (N, C, H, W), not {images.shape}")
    with eval_mode(model), no_grad():
        if len(images) == 0:
            return on_empty_batch(model, images.shape[1:], lambda x: model(x).numpy()[:0])
        parts = [model(Tensor(images[i : i + BATCH], device=device)).numpy() for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def loss_of(model: Module) -> Loss:
    """The loss that a model is trained with: its method `loss(outputs, labels)`, if it has one, else cross entropy.

    Networks with several outputs in training mode, such as GoogLeNet, have their own.
    """
    own = getattr(model, "loss", None)
    return own if callable(own) else F.cross_entropy


def evaluate(model: Module, batches: Iterable[tuple[np.ndarray, np.ndarray]], classes: int,
             device: str | Device = "cpu", loss: Loss | None = None) -> Evaluation:
    """Compare a model's predictions with the labels.   batches of (images (n, C, H, W), labels (n,))  ->  Evaluation

    `loss(logits, labels)` is the mean over a batch; the default is `loss_of(model)`. Raises ValueError if there are no
    images.
    """
    if hasattr(batches, "classes"):
        raise TypeError(f"evaluate: give the batches of the {type(batches).__name__}, in_order(dataset), not itself")
    loss = loss or loss_of(model)
    place = Device.parse(device)
    total, confusion = 0.0, np.zeros((classes, classes), np.int64)
    with eval_mode(model), no_grad():
        for images, labels in batches:
            logits = model(Tensor(images, device=place))
            total += float(loss(logits, place.put(labels))) * len(labels)
            confusion += confusion_matrix(labels, logits.numpy().argmax(1), classes)
    if not confusion.any():
        raise ValueError("evaluate: there are no images")
    return Evaluation(total / int(confusion.sum()), confusion)


def in_order(dataset: ImageDataset, prefetch: int = 2) -> DataLoader:
    """Every image of a data set once, in order, not augmented, in large batches. Raises ValueError if it is empty."""
    if len(dataset) == 0:
        raise ValueError(f"in_order: there are no images in {dataset!r}")
    return DataLoader(dataset, BATCH, prefetch=prefetch, augment=False)


@contextmanager
def eval_mode(model: Module) -> Iterator[None]:
    """A context with the model in eval mode; afterwards each module has its previous mode, and was told by `train`."""
    before = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        set_modes(before)


def set_modes(wanted: Sequence[tuple[Module, bool]]) -> None:
    """Call `train(mode)` of each module that has another mode than the wanted one. A module precedes those below it."""
    for module, mode in wanted:
        if module.training != mode:
            module.train(mode)
    for module, mode in wanted:                  # an overridden `train` may have chosen for others
        module.training = mode
