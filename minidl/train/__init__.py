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
    predict_augmented,
)
from minidl.report import report
from minidl.train.arguments import (
    add_recipe_arguments,
    add_training_arguments,
    adder,
    agreed,
    fit_settings,
    joined,
    parse,
    run_main,
    settled,
    training_parser,
    writes,
)
from minidl.train.budget import epochs_within, seconds_per_epoch
from minidl.train.by_flags import fit_by_flags, search_by_flags
from minidl.train.callbacks import Callback
from minidl.train.features import extract_features
from minidl.train.fit import fit
from minidl.train.folder import RunError
from minidl.train.interrupt import Interrupted
from minidl.train.losses import segmentation_loss
from minidl.train.lr_finder import RateSearch, find_lr
from minidl.train.recipes import fill_in
from minidl.train.run import Run, load_weights
from minidl.train.settings import Settings
from minidl.train.top import TOPS, new_top, parts_below, with_top, without_top

__all__ = [
    "TOPS",
    "Callback",
    "Evaluation",
    "Interrupted",
    "RateSearch",
    "Run",
    "RunError",
    "Settings",
    "accuracy",
    "add_recipe_arguments",
    "add_training_arguments",
    "adder",
    "agreed",
    "confusion_matrix",
    "epochs_within",
    "evaluate",
    "extract_features",
    "fill_in",
    "find_lr",
    "fit",
    "fit_by_flags",
    "fit_settings",
    "in_order",
    "joined",
    "load_weights",
    "loss_of",
    "new_top",
    "parse",
    "parts_below",
    "precision_recall_f1",
    "predict",
    "predict_augmented",
    "report",
    "run_main",
    "search_by_flags",
    "seconds_per_epoch",
    "segmentation_loss",
    "settled",
    "training_parser",
    "with_top",
    "without_top",
    "writes",
]
