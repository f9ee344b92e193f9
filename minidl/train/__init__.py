"""Training: `fit` does everything with one call. Read `loop.py` first, then `run.py`.

Training scripts take their flags, their messages and their exit codes from `arguments.py`.
"""

from minidl.evaluation import (
    Evaluation,
    accuracy,
    confusion_matrix,
    evaluate,
    in_order,
    loss_of,
    precision_recall_f1,
    predict,
)
from minidl.report import report
from minidl.train.arguments import add_training_arguments, fit_settings, parse, run_main, settled, training_parser
from minidl.train.budget import epochs_within, seconds_per_epoch
from minidl.train.features import extract_features
from minidl.train.fit import fit
from minidl.train.folder import RunError
from minidl.train.interrupt import Interrupted
from minidl.train.losses import segmentation_loss
from minidl.train.run import load_weights
from minidl.train.settings import Settings
from minidl.train.top import TOPS, new_top, parts_below, with_top, without_top

__all__ = [
    "TOPS",
    "Evaluation",
    "Interrupted",
    "RunError",
    "Settings",
    "accuracy",
    "add_training_arguments",
    "confusion_matrix",
    "epochs_within",
    "evaluate",
    "extract_features",
    "fit",
    "fit_settings",
    "in_order",
    "load_weights",
    "loss_of",
    "new_top",
    "parse",
    "parts_below",
    "precision_recall_f1",
    "predict",
    "report",
    "run_main",
    "seconds_per_epoch",
    "segmentation_loss",
    "settled",
    "training_parser",
    "with_top",
    "without_top",
]
