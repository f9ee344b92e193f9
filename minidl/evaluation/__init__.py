"""What a model predicts, and how good that is. Read `metrics.py` first, then `gather.py` and `evaluation.py`."""

from minidl.evaluation.augmented import Augmented
from minidl.evaluation.decisions import Loss, decided, loss_of
from minidl.evaluation.evaluation import Evaluation, evaluate, in_order, predict, predict_augmented
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
from minidl.evaluation.rand import RandError, connected_components, rand_error, rand_errors

__all__ = [
    "Augmented",
    "Evaluation",
    "Images",
    "Loss",
    "Masks",
    "RandError",
    "accuracy",
    "balanced_accuracy",
    "calibration",
    "confusion_matrix",
    "connected_components",
    "decided",
    "dice",
    "evaluate",
    "expected_calibration_error",
    "in_order",
    "iou",
    "loss_of",
    "precision_recall_f1",
    "predict",
    "predict_augmented",
    "rand_error",
    "rand_errors",
    "roc_auc",
    "top_k",
]
