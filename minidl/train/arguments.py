"""The flags that all training commands share, with the same names and the same meaning.

An example makes a parser with its own defaults, adds what only it needs, and hands the answers on:
`fit(model, optimizer, train_set, ..., **fit_settings(args))`.
"""

import argparse
import math
from pathlib import Path

from minidl.train.folder import BEST, choose_folder

SETTINGS = ("accumulate", "batch_size", "checkpoint_interval", "detect_nan", "device", "dry_run", "ema_decay", "epochs",
            "log_interval", "output_dir", "patience", "prefetch", "resume", "seed")
APART = (*SETTINGS, "data_dir", "evaluate", "weights")          # fit compares these itself, or they change no number


def training_parser(name, description, *, epochs, batch_size, lr, momentum=0.9, weight_decay=0.0, validation=0):
    """A parser with the common flags; `name` is that of the run's folder, the rest are defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.set_defaults(name=name)
    positive, not_negative = number(lambda x: x > 0, "above 0"), number(lambda x: x >= 0, "at least 0")
    below_one = number(lambda x: 0 <= x < 1, "from 0 up to, but not, 1")

    def add(*flags, default=None, help, **settings):
        shown = help if default is None else f"{help} ({default})"
        parser.add_argument(*flags, default=default, help=shown.replace("%", "%%"), **settings)

    add("--device", default="cpu", help="cpu, gpu or gpu:1; cuda is an alias")
    add("--data-dir", metavar="DIR", help="where data sets are; else $MINIDL_DATA, else the user's cache folder")
    add("--epochs", type=whole(1), default=epochs, metavar="N", help="passes over the training images")
    add("-b", "--batch-size", type=whole(1), default=batch_size, metavar="N", help="images per step")
    add("--accumulate", type=whole(1), default=1, metavar="N", help="parts to cut a batch into, to save memory")
    add("--lr", type=positive, default=lr, metavar="X", help="learning rate, where it is largest")
    add("--momentum", type=below_one, default=momentum, metavar="X", help="how much of its speed SGD keeps")
    add("--wd", "--weight-decay", type=not_negative, default=weight_decay, metavar="X", dest="weight_decay",
        help="how much weights shrink")
    add("--ema-decay", type=below_one, metavar="X", help="keep the moving average of the weights, with this decay")
    add("--limit", type=whole(1), metavar="N", help="use the first N training images only")
    add("--validation", type=whole(0), default=validation, metavar="N", help="training images held out; 0 for none")
    add("--patience", type=whole(1), metavar="N", help="stop after so many epochs in a row that were not the best")
    add("--seed", type=whole(0), default=0, metavar="N", help="of the first weights and the order of images")
    add("-j", "--workers", type=whole(0), default=2, metavar="N", dest="prefetch",
        help="batches prepared ahead in a thread; 0 for no thread")
    add("--resume", metavar="PATH|auto", help="go on with the run in this folder, or with the newest one")
    parser.add_argument("--evaluate", action="store_true", help="train nothing: test the best weights of the run that "
                        "--resume names, or the weights in that file")
    add("--output-dir", metavar="DIR", help=f"where all goes; else runs/{name}, or the next free name after it")
    add("--checkpoint-interval", type=not_negative, default=60, metavar="SECONDS",
        help="between checkpoints in an epoch")
    add("--log-interval", type=not_negative, default=10, metavar="SECONDS",
        help="between lines in an epoch, where there is no terminal; 0 for none")
    parser.add_argument("--detect-nan", action="store_true",
                        help="find the layer in which NaN or infinity begins; slow")
    parser.add_argument("--dry-run", action="store_true",
                        help="take a few steps, to see whether all works, and keep nothing")
    return parser


def parse(parser, argv=None):
    """The answers, with `output_dir` a Path and `resume` a bool; with --evaluate, `weights` is the file to test."""
    args = parser.parse_args(argv)
    args.weights = None
    if args.evaluate and args.resume not in (None, "auto") and Path(args.resume).is_file():
        args.weights = Path(args.resume)
        return args
    resume = args.resume or ("auto" if args.evaluate else None)
    args.output_dir, args.resume = choose_folder(args.name, args.output_dir, resume)
    if args.evaluate:
        args.weights = args.output_dir / BEST
    return args


def fit_settings(args):
    """What `fit` is to be called with, beside the model, the optimizer and the data."""
    return {
        **{name: getattr(args, name) for name in SETTINGS},
        "recipe": {name: value for name, value in vars(args).items() if name not in APART},
    }


def whole(least):
    """A type of argument: a whole number of at least `least`."""
    def parse_whole(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value
    parse_whole.__name__ = "whole number"           # argparse names the type in its error
    return parse_whole


def number(fits, wanted):
    """A type of argument: a finite number that `fits`; `wanted` says which ones do."""
    def parse_number(text):
        value = float(text)
        if not (math.isfinite(value) and fits(value)):
            raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
        return value
    parse_number.__name__ = "number"
    return parse_number
