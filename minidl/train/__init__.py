"""Training: `fit` does it all with one call. Read `loop.py` first, then `run.py`.

Command lines take their flags from `arguments.py` and leave their errors to `command.py`.
"""

from minidl.train.arguments import fit_settings, parse, training_parser
from minidl.train.command import run_main
from minidl.train.evaluation import Evaluation, evaluate, in_order, loss_of, predict
from minidl.train.fit import fit
from minidl.train.folder import RunError
from minidl.train.interrupt import Interrupted
from minidl.train.metrics import accuracy, confusion_matrix, precision_recall_f1
from minidl.train.report import report
from minidl.train.run import load_weights

__all__ = [
    "Evaluation",
    "Interrupted",
    "RunError",
    "accuracy",
    "confusion_matrix",
    "evaluate",
    "fit",
    "fit_settings",
    "in_order",
    "load_weights",
    "loss_of",
    "parse",
    "precision_recall_f1",
    "predict",
    "report",
    "run_main",
    "training_parser",
]
