"""What a model predicts, and how good that is. Read `evaluation.py` first, then `metrics.py`."""

from minidl.evaluation.evaluation import Evaluation, Loss, evaluate, in_order, loss_of, predict
from minidl.evaluation.metrics import accuracy, confusion_matrix, precision_recall_f1

__all__ = [
    "Evaluation",
    "Loss",
    "accuracy",
    "confusion_matrix",
    "evaluate",
    "in_order",
    "loss_of",
    "precision_recall_f1",
    "predict",
]
