"""The command line of a training script: flags with the same names and meanings in all of them, and exit codes.

A script makes a parser with its own defaults, adds the flags that only it needs, and passes the result on:
`fit(model, optimizer, train_set, ..., **fit_settings(args))`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from minidl import errors
from minidl.flags import number, whole
from minidl.train.folder import BEST, choose_folder
from minidl.train.settings import Settings

NO_FLAG = ("class_weights", "freeze", "label_smoothing", "loss", "mix", "monitor", "recipe", "schedule",
           "schedule_every")
FLAGS = tuple(field.name for field in fields(Settings) if field.name not in NO_FLAG)
APART = {*FLAGS, "data_dir", "evaluate", "weights"}     # not in the recipe: added by `fit`, or irrelevant


def training_parser(name: str, description: str, *, epochs: int, batch_size: int, lr: float, momentum: float = 0.9,
                    weight_decay: float = 0.0, validation: int = 0) -> argparse.ArgumentParser:
    """A parser with the common flags; `name` is that of the run's folder, the rest are defaults."""
    parser = argparse.ArgumentParser(description=description)
    add_training_arguments(parser, name, epochs=epochs, batch_size=batch_size, lr=lr, momentum=momentum,
                           weight_decay=weight_decay, validation=validation)
    return parser


def add_training_arguments(parser: argparse.ArgumentParser, name: str, *, epochs: int, batch_size: int,
                           lr: float | None, momentum: float, weight_decay: float, validation: int | None) -> None:
    """Add the common flags to a parser; None as a default means that the program chooses."""
    parser.set_defaults(name=name)
    positive, not_negative = number(lambda x: x > 0, "above 0"), number(lambda x: x >= 0, "of at least 0")
    below_one = number(lambda x: 0 <= x < 1, "from 0 up to, but not including, 1")

    def add(*flags: str, default: Any = None, help: str, **settings: Any) -> None:
        shown = help if default is None else f"{help} (default: {default})"
        parser.add_argument(*flags, default=default, help=shown.replace("%", "%%"), **settings)

    add("--device", default="cpu", help="cpu, gpu or gpu:1; cuda is an alias of gpu")
    add("--data-dir", metavar="DIR", help="the folder of data sets (default: $MINIDL_DATA, else the user's cache)")
    add("--epochs", type=whole(), default=epochs, metavar="N", help="passes over the training images")
    add("-b", "--batch-size", type=whole(), default=batch_size, metavar="N", help="images per step")
    parser.add_argument("--drop-last", action="store_true",
                        help="leave out the last batch of an epoch if it is smaller")
    add("--accumulate", type=whole(), default=1, metavar="N",
        help="split each batch into N parts and add up their gradients, to save memory")
    add("--lr", type=positive, default=lr, metavar="X", help="peak learning rate")
    add("--momentum", type=below_one, default=momentum, metavar="X", help="SGD momentum")
    add("--wd", "--weight-decay", type=not_negative, default=weight_decay, metavar="X", dest="weight_decay",
        help="weight decay (L2)")
    add("--ema-decay", type=below_one, metavar="X",
        help="validate and keep an exponential moving average of the weights with this decay")
    add("--limit", type=whole(), metavar="N", help="use only the first N training images")
    add("--validation", type=whole(0), default=validation, metavar="N",
        help="training images held out for validation; 0 for none")
    add("--patience", type=whole(), metavar="N", help="stop after N epochs without improvement")
    add("--seed", type=whole(0), default=0, metavar="N", help="seed for initial weights and shuffling")
    add("-j", "--workers", type=whole(0), default=2, metavar="N", dest="prefetch",
        help="batches that a thread prepares ahead; 0 for no thread")
    add("--resume", metavar="PATH|auto", help="resume the run in this folder; auto: the newest run")
    parser.add_argument("--evaluate", action="store_true", help="test instead of train: the best weights of the run "
                        "that --resume names, or the weights in that file")
    add("--output-dir", metavar="DIR", help=f"the folder of the run (default: runs/{name}, or the next free name)")
    add("--checkpoint-interval", type=not_negative, default=60, metavar="SECONDS",
        help="time between checkpoints within an epoch")
    add("--log-interval", type=not_negative, default=10, metavar="SECONDS",
        help="time between lines within an epoch when stderr is not a terminal; 0 for none")
    parser.add_argument("--detect-nan", action="store_true",
                        help="name the layer in which NaN or infinity first appears; slow")
    parser.add_argument("--dry-run", action="store_true", help="take a few steps as a test, and keep nothing")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed flags, `settled`."""
    return settled(parser.parse_args(argv))


def settled(args: argparse.Namespace) -> argparse.Namespace:
    """The flags; `output_dir` is a Path, `resume` a bool and, with --evaluate, `weights` the file to test."""
    args.weights = None
    if args.evaluate and args.resume not in (None, "auto") and Path(args.resume).is_file():
        args.weights = Path(args.resume)
        return args
    resume = args.resume or ("auto" if args.evaluate else None)
    args.output_dir, args.resume = choose_folder(args.name, args.output_dir, resume)
    if args.evaluate:
        args.weights = args.output_dir / BEST
    return args


def fit_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `fit` that the flags determine."""
    return {
        **{name: getattr(args, name) for name in FLAGS},
        "recipe": {name: value for name, value in vars(args).items() if name not in APART},
    }


def run_main(main: Callable[[], int | None]) -> None:
    """Call `main()` and exit with its return value, or with one sentence on stderr and an exit code (`errors.py`)."""
    sys.exit(errors.run(main, os.path.basename(sys.argv[0]), "stopped at once; saved files are kept"))
