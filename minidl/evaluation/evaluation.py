"""What a model predicts, and how good that is: `predict`, `evaluate`, and the `Evaluation` that it returns.

Evaluation records no gradients and changes no weights: the model is in eval mode meanwhile, and then as it was before.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import minidl.functional as F
from minidl.data import DataLoader, ImageDataset
from minidl.device import CPU, Device, is_array
from minidl.evaluation import metrics
from minidl.evaluation.augmented import Augmented
from minidl.evaluation.decisions import UNKNOWN, Loss, loss_of
from minidl.evaluation.gather import Gathered, Images, Masks
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.shapes import on_empty_batch
from minidl.tensor import Tensor, as_array

BATCH = 1000                                    # images per batch; without gradients, memory allows many
PIXELS = 1 << 20                                # per batch, of large images
WAITING = 1 << 26                               # bytes of logits that a GPU keeps before they are read


@dataclass(frozen=True)
class Evaluation:
    """How good predictions are. For masks, each pixel counts as an image does otherwise, except in `loss`.

    loss       the mean over the images of the loss that the model is trained with
    confusion  the confusion matrix (see `metrics.py`), int64 (C, C)
    log_loss   the mean of -log p, where p is the probability of the true class
    brier      the mean of the sum over c of (p[c] - 1 if c is the true class else p[c])**2: Brier, 1950
    diagram    the reliability diagram (see `metrics.calibration`), float64 (3, 15)
    each       the results of each image, in the order of the set: `Images`, or `Masks`
    """

    loss: float
    confusion: np.ndarray
    log_loss: float = math.nan
    brier: float = math.nan
    diagram: np.ndarray | None = None
    each: Images | Masks | None = None

    @property
    def accuracy(self) -> float:
        """The fraction of images, or pixels, classified correctly."""
        return metrics.accuracy(self.confusion)

    @property
    def of_pixels(self) -> bool:
        """Whether the labels are masks."""
        return isinstance(self.each, Masks)

    @property
    def calibration_error(self) -> float:
        """The expected calibration error; NaN if no diagram was made."""
        return math.nan if self.diagram is None else metrics.expected_calibration_error(self.diagram)

    def summary(self) -> dict[str, float]:
        """{name: value} of the metrics that are one number. The AUC is there for two classes, top 5 for more than 5."""
        confusion, each = self.confusion, self.each
        values = {"accuracy": self.accuracy, "balanced_accuracy": metrics.balanced_accuracy(confusion)}
        if isinstance(each, Images) and len(confusion) > 5:
            values["top5_accuracy"] = metrics.top_k(each.ranks, 5)
        names = ("macro_precision", "macro_recall", "macro_f1")
        if self.of_pixels:
            names, values["mean_iou"] = ("macro_precision", "macro_recall", "mean_dice"), metrics.mean_over_classes(
                metrics.iou(confusion), confusion)
        for name, of_class in zip(names, metrics.precision_recall_f1(confusion), strict=True):
            values[name] = metrics.mean_over_classes(of_class, confusion)
        if isinstance(each, Images) and each.margins is not None:
            values["roc_auc"] = metrics.roc_auc(each.labels, each.margins)
        return {**values, "loss": self.loss, "log_loss": self.log_loss, "brier": self.brier,
                "expected_calibration_error": self.calibration_error}


def predict(model: Module, images: np.ndarray, device: str | Device = "cpu") -> np.ndarray:
    """The logits of preprocessed images.   float32 (N, C, H, W)  ->  NumPy (N, classes); N may be 0"""
    if hasattr(images, "batch"):
        raise TypeError(f"predict: images must be an array (N, C, H, W), not {type(images).__name__}; give "
                        "dataset.batch(range(len(dataset)))[0]")
    images = images if is_array(images) else as_array(images)
    if images.ndim < 2:
        raise ValueError(f"predict: images must be an array (N, C, H, W), not {images.shape}")
    size = batch_size(images.shape[1:])
    with eval_mode(model), no_grad():
        if len(images) == 0:
            return on_empty_batch(model, images.shape[1:], lambda x: model(x).numpy()[:0])
        parts = [model(Tensor(images[i : i + size], device=device)).numpy() for i in range(0, len(images), size)]
    return np.concatenate(parts)


def predict_augmented(model: Module, images: np.ndarray, tta: bool | str = True,
                      device: str | Device = "cpu") -> np.ndarray:
    """`predict` with test-time augmentation: the mean of the logits of several views of each image, see `Augmented`."""
    return predict(Augmented(model, tta), images, device)


def evaluate(model: Module, batches: Iterable[tuple[np.ndarray, np.ndarray]], classes: int,
             device: str | Device = "cpu", loss: Loss | None = None, *, tta: bool | str = False,
             ignore_index: int = UNKNOWN) -> Evaluation:
    """Compare a model's predictions with the labels, in one pass.   batches of (images (n, C, H, W), labels)

    labels        (n,), or masks (n, H, W) with logits (n, classes, H, W). A single logit means two classes, and class 1
                  is predicted where it is above 0
    loss          loss(logits, labels) is the mean over a batch; the default is `loss_of(model)`
    tta           test-time augmentation: the mean of the logits of several views of an image, see `Augmented`
    ignore_index  pixels of masks with this label are not counted
    Raises ValueError if there are no images, or if a label is none of the classes.
    """
    if hasattr(batches, "classes"):
        raise TypeError(f"evaluate: give the batches of the {type(batches).__name__}, in_order(dataset), not itself")
    loss = loss or loss_of(model)
    seen = Augmented(model, tta) if tta else model
    place, gathered = Device.parse(device), Gathered(classes, ignore_index)
    waiting = Waiting(gathered, 0 if place == CPU else WAITING)
    with place.current(), eval_mode(seen), no_grad():
        for images, labels in batches:
            logits = seen(Tensor(images, device=place))
            waiting.add(labels, logits, loss(logits, place.put(labels)))
        waiting.read()
    if not gathered.confusion.any():
        raise ValueError("evaluate: there are no images")
    loss_of_all = waiting.loss / gathered.images
    return Evaluation(loss_of_all, gathered.confusion, *gathered.means(), gathered.diagram, gathered.each())


class Waiting:
    """Logits and losses of batches that wait on a GPU, until they are `most` bytes, so that it need not wait for each.

    loss   the sum of the losses of the images that have been read
    """

    def __init__(self, gathered: Gathered, most: int) -> None:
        self.gathered, self.most, self.loss = gathered, most, 0.0
        self.batches: list[tuple[np.ndarray, Tensor, Tensor]] = []

    def add(self, labels: np.ndarray, logits: Tensor, loss: Any) -> None:
        """A batch: its labels, its logits, and the mean of its losses."""
        self.batches.append((labels, logits, loss if isinstance(loss, Tensor) else Tensor(loss)))
        if sum(logits.data.nbytes for _, logits, _ in self.batches) >= self.most:
            self.read()

    def read(self) -> None:
        """Bring what waits to the CPU: losses together, then logits."""
        if self.batches:
            losses = F.stack([loss.reshape(()) for *_, loss in self.batches]).numpy().tolist()
            for (labels, logits, _), loss in zip(self.batches, losses, strict=True):
                self.loss += loss * len(labels)
                self.gathered.add(labels, logits.numpy())
            self.batches.clear()


def in_order(dataset: ImageDataset, prefetch: int = 2, part: tuple[int, int] = (0, 1)) -> DataLoader:
    """Every image of a data set once, in order, not augmented, in large batches. Raises ValueError if it is empty.

    part   of each batch, see `DataLoader`
    """
    if len(dataset) == 0:
        raise ValueError(f"in_order: there are no images in {dataset!r}")
    shape = getattr(dataset, "image_shape", None) or dataset.batch([0])[0].shape[1:]
    return DataLoader(dataset, batch_size(shape), prefetch=prefetch, augment=False, part=part)


def batch_size(shape: Sequence[int]) -> int:
    """How many images of this shape (C, H, W) are evaluated at a time: fewer of large ones."""
    return max(1, min(BATCH, PIXELS // max(1, math.prod(shape[-2:]))))


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
