"""What a model predicts, and how good that is. Read `metrics.py` first, then `gather.py` and `evaluation.py`."""

from minidl.evaluation.decisions import Loss, decided, loss_of
from minidl.evaluation.evaluation import Evaluation, evaluate, in_order, predict
from minidl.evaluation.gather import Images, Masks
from minidl.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    calibration,
    confusion_matrix,
    dice,
    expected_calibration_error,
    iou,
    precision_recall_f1,
    roc_auc,
    top_k,
)
from minidl.evaluation.mirrored import Mirrored

__all__ = [
    "Evaluation",
    "Images",
    "Loss",
    "Masks",
    "Mirrored",
    "accuracy",
    "balanced_accuracy",
    "calibration",
    "confusion_matrix",
    "decided",
    "dice",
    "evaluate",
    "expected_calibration_error",
    "in_order",
    "iou",
    "loss_of",
    "precision_recall_f1",
    "predict",
    "roc_auc",
    "top_k",
]
