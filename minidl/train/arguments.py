"""The command line of a training script: flags with the same names and meanings in all of them, and exit codes.

A script makes a parser with its own defaults and adds the flags that only it needs. One that builds its optimizer
itself passes the rest on: `fit(model, optimizer, train_set, ..., **fit_settings(args))`. One that leaves optimizer and
schedule to the flags of `add_recipe_arguments` calls `fit_by_flags` instead (`by_flags.py`).
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from minidl import augment, errors
from minidl.evaluation.augmented import VIEWS
from minidl.flags import factor, number, numbers_of_epochs, whole
from minidl.precision import HALVES
from minidl.train.folder import BEST, choose_folder
from minidl.train.settings import Settings

NO_FLAG = {"average", "callbacks", "class_weights", "freeze", "loss", "mix", "monitor", "recipe", "schedule",
           "schedule_every"}
FLAGS = tuple(field.name for field in fields(Settings) if field.name not in NO_FLAG)
# not in the recipe: added by `fit`, or irrelevant
APART = {*FLAGS, "class_weights", "create", "cutmix", "data_dir", "distributed", "evaluate", "find_lr", "loss", "mixup",
         "optimizer", "weights"}
# came later: not in the recipe while they have these values, so that earlier runs can be resumed
LATER: dict[str, Any] = {"gamma": None, "layer_lr": [], "mask_classes": [], "milestones": None, "norm_decay": True,
                         "schedule_kind": "onecycle", "settings": [], "stream": False,
                         "warmup": 0}
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("onecycle", "cosine", "step", "multistep", "exponential", "poly", "warm-restarts", "plateau", "constant")

OWN = "(default: the network's own)"

Add = Callable[..., None]
Value = TypeVar("Value")


def training_parser(name: str, description: str, *, epochs: int, batch_size: int | None = None,
                    lr: float | None = None, momentum: float = 0.9, weight_decay: float | None = None,
                    validation: int = 0) -> argparse.ArgumentParser:
    """A parser with the common flags; `name` is that of the run's folder, the rest are defaults."""
    parser = argparse.ArgumentParser(description=description)
    add_training_arguments(parser, name, epochs=epochs, batch_size=batch_size, lr=lr, momentum=momentum,
                           weight_decay=weight_decay, validation=validation)
    return parser


def add_training_arguments(parser: argparse.ArgumentParser, name: str, *, epochs: int, batch_size: int | None,
                           lr: float | None, momentum: float, weight_decay: float | None,
                           validation: int | None) -> None:
    """Add the common flags to a parser; None as a default means that the program chooses."""
    parser.set_defaults(name=name)
    add_data(adder(parser, "data"), batch_size, validation)
    add_optimization(adder(parser, "optimization"), epochs, lr, momentum, weight_decay)
    add_regularization(adder(parser, "regularization"))
    add_run(adder(parser, "the run"), name)
    add_checks(adder(parser, "checks"))


def adder(parser: argparse.ArgumentParser, title: str) -> Add:
    """A function that adds a flag to the group with this title, and shows its default."""
    group = next((each for each in parser._action_groups if each.title == title), None)
    group = group or parser.add_argument_group(title)

    def add(*flags: str, default: Any = None, help: str, **settings: Any) -> None:
        shown = help if default is None or default is False or "action" in settings else f"{help} (default: {default})"
        group.add_argument(*flags, default=default, help=shown.replace("%", "%%"), **settings)
    return add


def own(default: Any) -> str:
    """What the help says where a script leaves the default to the recipe of the network."""
    return f" {OWN}" if default is None else ""


positive, not_negative = number(lambda x: x > 0, "above 0"), number(lambda x: x >= 0, "of at least 0")
below_one = number(lambda x: 0 <= x < 1, "from 0 up to, but not including, 1")


def add_data(add: Add, batch_size: int | None, validation: int | None) -> None:
    add("--data-dir", metavar="DIR", help="the folder of data sets (default: $MINIDL_DATA, else the user's cache)")
    add("-b", "--batch-size", type=whole(), default=batch_size, metavar="N", help=f"images per step{own(batch_size)}")
    add("--drop-last", action="store_true", default=False,
        help="leave out the last batch of an epoch if it is smaller")
    add("--limit", type=whole(), metavar="N", help="use only N of the training images")
    add("--validation", type=whole(0), default=validation, metavar="N",
        help="training images held out for validation; 0 for none")
    add("--balanced", action="store_true", default=False, help="every class equally often in each epoch")
    add("-j", "--workers", type=whole(0), default=2, metavar="N", dest="prefetch",
        help="batches that a thread prepares ahead; 0 for no thread")


def add_optimization(add: Add, epochs: int, lr: float | None, momentum: float, weight_decay: float | None) -> None:
    add("--epochs", type=whole(), default=epochs, metavar="N", help="passes over the training images")
    add("--lr", type=positive, default=lr, metavar="X", help=f"peak learning rate{own(lr)}")
    add("--momentum", type=below_one, default=momentum, metavar="X", help="momentum of SGD and RMSprop")
    add("--wd", "--weight-decay", type=not_negative, default=weight_decay, metavar="X", dest="weight_decay",
        help=f"weight decay (L2){own(weight_decay)}")
    add("--clip-norm", type=positive, metavar="X", help="scale down gradients whose norm is larger than this")
    add("--accumulate", type=whole(), default=1, metavar="N",
        help="split each batch into N parts and add up their gradients, to save memory")
    add("--find-lr", action="store_true", default=False,
        help="instead of training, try learning rates, draw the losses into lr_finder.png, and suggest one")


def add_regularization(add: Add) -> None:
    add("--label-smoothing", type=below_one, default=0.0, metavar="X",
        help="part of the target that is spread over all classes")
    add("--mixup", type=positive, metavar="A", help="blend pairs of images, with weights from Beta(A, A)")
    add("--cutmix", type=positive, metavar="A", help="put a part of one image into another; with --mixup, a batch gets "
        "one of the two")
    add("--ema-decay", type=below_one, metavar="X",
        help="validate and keep an exponential moving average of the weights with this decay")


def add_run(add: Add, name: str) -> None:
    add("--device", default="cpu", help="cpu, gpu or gpu:1; cuda is an alias of gpu")
    add("--amp", choices=HALVES, metavar="TYPE", help="half precision on a GPU: float16 or bfloat16")
    add("--graph", action=argparse.BooleanOptionalAction, help="capture a step and repeat it: the same results with "
        "less work for Python; on a GPU, a CUDA graph (default: on the CPU, in one process)")
    add("--resident", action=argparse.BooleanOptionalAction, help="keep the training images on the GPU (default: if "
        "they fit into a quarter of its free memory)")
    add("--distributed", action="store_true", default=False, help="train in all processes that mpiexec or srun has "
        "started: see docs/distributed.md")
    add("--sync-batch-norm", action="store_true", default=False, help="batch norms see the images of all processes")
    add("--compress", choices=("bfloat16",), metavar="TYPE", help="on slow networks: send gradients in "
        "half of the bytes, as bfloat16")
    add("--compare-weights", action=argparse.BooleanOptionalAction, default=True, help="with --distributed, compare "
        "the weights of all processes after each epoch")
    add("--seed", type=whole(0), default=0, metavar="N", help="seed for initial weights and shuffling")
    add("--patience", type=whole(), metavar="N", help="stop after N epochs without improvement")
    add("--output-dir", metavar="DIR", help=f"the folder of the run (default: runs/{name}, or the next free name)")
    add("--resume", metavar="PATH|auto", help="resume the run in this folder; auto: the newest run")
    add("--overwrite", action="store_true", default=False, help="replace the run in the folder of --output-dir")
    add("--evaluate", action="store_true", default=False, help="test instead of train: the best weights of the run "
        "that --resume names, or the weights in that file")
    add("--checkpoint-interval", type=not_negative, default=60, metavar="SECONDS",
        help="time between checkpoints within an epoch")
    add("--log-interval", type=not_negative, default=10, metavar="SECONDS",
        help="time between lines within an epoch when stderr is not a terminal; 0 for none")
    add("--tta", nargs="?", const=True, choices=VIEWS, default=False, metavar="VIEWS",
        help=f"test-time augmentation in the report: {', '.join(VIEWS)} (without a name: mirror, of masks turns)")
    add("--tensorboard", action="store_true", default=False, help="write the log for TensorBoard, too")


def add_checks(add: Add) -> None:
    add("--dry-run", action="store_true", default=False, help="take a few steps as a test, and keep nothing")
    add("--overfit", "--overfit-batch", action="store_true", default=False,
        help="train on one batch only, to see whether the network can learn at all, and keep nothing")
    add("--detect-nan", action="store_true", default=False,
        help="name the layer in which NaN or infinity first appears; slow")


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags from which `fit_by_flags` makes optimizer, schedule and loss."""
    add = adder(parser, "optimization")
    add("--optimizer", choices=OPTIMIZERS, metavar="NAME", help=f"{', '.join(OPTIMIZERS)} {OWN}; learning "
        "rate and weight decay have defaults for each")
    add("--schedule", choices=SCHEDULES, default="onecycle", dest="schedule_kind", metavar="NAME",
        help=f"how the learning rate changes: {', '.join(SCHEDULES)}")
    add("--warmup", type=whole(0), default=0, metavar="N",
        help="epochs in which the learning rate rises first; of onecycle, its rising part")
    add("--milestones", type=numbers_of_epochs, metavar="N,N", help="the epochs after which multistep multiplies the "
        "learning rate by gamma (default: after half and three quarters of them)")
    add("--gamma", type=positive, metavar="X", help="the factor of step, multistep and plateau (default: 0.1), and "
        "that of each epoch of exponential (default: so that 0.01 of the learning rate is left)")
    add("--layer-lr", type=factor, action="append", default=[], metavar="LAYER=X",
        help="multiply the learning rate of this part of the network; may be given several times")
    add("--no-norm-decay", action="store_false", default=True, dest="norm_decay",
        help="no weight decay of norms and biases")
    adder(parser, "regularization")("--class-weights", action="store_true", default=False,
                                    help="in the loss, classes with few images weigh more")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed flags, `settled`."""
    return settled(parser.parse_args(argv))


def joined(args: argparse.Namespace) -> argparse.Namespace:
    """The flags, with `communicator`: that of all processes with --distributed, else None."""
    args.communicator = None
    if args.distributed:
        from minidl.train.launched import join  # a program of one process imports nothing of it
        args.communicator = join(args)
    return args


def settled(args: argparse.Namespace) -> argparse.Namespace:
    """The flags; `output_dir` is a Path, `resume` a bool and, with --evaluate, `weights` the file to test."""
    args = joined(args)
    args.weights = None
    if args.evaluate and args.resume not in (None, "auto") and Path(args.resume).is_file():
        args.weights = Path(args.resume)
        return args
    resume = args.resume or ("auto" if args.evaluate else None)
    args.output_dir, args.resume = chosen_folder(args, resume)
    if args.evaluate:
        args.weights = args.output_dir / BEST
    return args


def chosen_folder(args: argparse.Namespace, resume: str | None) -> tuple[Path, bool]:
    """What `choose_folder` chooses, of several processes that of rank 0."""
    def choose() -> tuple[str, bool]:
        folder, resumes = choose_folder(args.name, args.output_dir, resume, args.overwrite)
        return str(folder), resumes
    folder, resumes = agreed(args, choose)
    return Path(folder), resumes


def agreed(args: argparse.Namespace, make: Callable[[], Value]) -> Value:
    """What `make()` returns; of several processes what it returns in the first, which must be JSON."""
    if args.communicator is None:
        return make()
    from minidl.train.ranks import of_first
    return of_first(args.communicator, make)


def writes(args: argparse.Namespace) -> bool:
    """Whether this process writes files: of several, rank 0 alone."""
    return args.communicator is None or args.communicator.rank == 0


def fit_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `fit` that the flags determine. Raises ValueError if they ask for no training."""
    if args.find_lr:                             # a script that can search has done so, and does not come here
        raise ValueError("--find-lr: this script has no search for a learning rate; leave the flag out")
    mixes = [kind(strength) for kind, strength in ((augment.MixUp, args.mixup), (augment.CutMix, args.cutmix))
             if strength is not None]
    recipe = {name: value for name, value in vars(args).items() if name not in APART}
    return {
        **{name: getattr(args, name) for name in FLAGS},
        "mix": mixes or None,
        "recipe": {name: value for name, value in recipe.items() if name not in LATER or value != LATER[name]},
    }


def run_main(main: Callable[[], int | None]) -> None:
    """Call `main()` and exit with its return value, or with one sentence on stderr and an exit code (`errors.py`)."""
    sys.exit(errors.run(main, os.path.basename(sys.argv[0]), "stopped at once; saved files are kept"))
