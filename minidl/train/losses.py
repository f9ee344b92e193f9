"""What training minimizes: the loss of a run, and losses for masks."""

import inspect
from functools import partial
from typing import Any

import numpy as np

import minidl.functional as F
from minidl.device import Device, device_of
from minidl.evaluation.decisions import UNKNOWN, Loss, cross_entropy, loss_of
from minidl.nn import Module
from minidl.scalars import number
from minidl.tensor import Tensor, as_array
from minidl.train.settings import Settings

KINDS = ("ce", "dice", "both")


class SegmentationLoss:
    """What `segmentation_loss` returns. It prints the call that makes it, which is part of a run's recipe."""

    def __init__(self, kind: str, weight: Any, label_smoothing: float, smooth: float) -> None:
        if kind not in KINDS:
            raise ValueError(f"segmentation_loss: kind={kind!r} is none of {', '.join(map(repr, KINDS))}")
        self.kind = kind
        self.weight = None if weight is None else np.asarray(weight, np.float32)
        self.label_smoothing = number("segmentation_loss", "label_smoothing", label_smoothing, 0, 1)
        self.smooth = number("segmentation_loss", "smooth", smooth, 0)

    def __call__(self, logits: Any, target: Any) -> Tensor:
        """The mean over the pixels, for Dice over images and classes; pixels whose target is -100 do not count."""
        terms = []
        if self.kind != "dice":
            weight = None if self.weight is None else device_of(as_array(logits)).put(self.weight)
            terms.append(cross_entropy(logits, target, weight, label_smoothing=self.label_smoothing))
        if self.kind != "ce":
            terms.append(F.dice_loss(logits, target, smooth=self.smooth, ignore_index=UNKNOWN))
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    def __repr__(self) -> str:
        weight = None if self.weight is None else self.weight.tolist()
        settings = {"weight": (weight, None), "label_smoothing": (self.label_smoothing, 0.0),
                    "smooth": (self.smooth, 1.0)}
        shown = [f"{name}={value}" for name, (value, default) in settings.items() if value != default]
        return f"segmentation_loss({', '.join([repr(self.kind), *shown])})"


def segmentation_loss(kind: str = "both", *, weight: Any = None, label_smoothing: float = 0.0,
                      smooth: float = 1.0) -> SegmentationLoss:
    """A loss for masks: `fit(..., loss=segmentation_loss("both"))`.

    kind                     "ce": cross entropy; "dice": 1 - Dice, which sees small classes as well as large ones; or
                             "both": their sum
    weight, label_smoothing  as for F.cross_entropy, which they concern
    smooth                   as for F.dice_loss, which it concerns
    Logits are (N, C, H, W), masks (N, H, W); C = 1 means two classes. Isensee et al., "nnU-Net", Nature Methods 2021.
    """
    return SegmentationLoss(kind, weight, label_smoothing, smooth)


def training_loss(model: Module, s: Settings, device: Device) -> Loss:
    """The loss that a run minimizes: `loss(outputs of the model in training mode, labels)`.

    It is the setting `loss`, else the model's own, else cross entropy, with the settings `label_smoothing` and
    `class_weights`. A loss of the model's own takes these inside, by its parameter `criterion`.
    """
    if s.loss is not None:
        return s.loss
    own: Any = loss_of(model)
    if s.label_smoothing == 0 and s.class_weights is None:
        return own
    weight = None if s.class_weights is None else device.put(np.array(s.class_weights, np.float32))
    criterion = partial(cross_entropy, weight=weight, label_smoothing=s.label_smoothing)
    if own is cross_entropy:
        return criterion
    if "criterion" not in inspect.signature(own).parameters:
        raise ValueError(f"fit: {type(model).__name__} has a loss of its own without a parameter `criterion`, so "
                         "label_smoothing and class_weights do not reach it; give a `loss`")
    return partial(own, criterion=criterion)
