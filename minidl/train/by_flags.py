"""From flags to a run: the optimizer, the schedule and the loss that `add_recipe_arguments` lets the user choose."""

import math
from argparse import Namespace
from typing import Any

from minidl.data import DataLoader, ImageDataset
from minidl.errors import for_command
from minidl.nn import Module
from minidl.optim import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    Optimizer,
    PolynomialLR,
    ReduceLROnPlateau,
    RMSprop,
    StepLR,
    parameter_groups,
)
from minidl.optim.schedules import Schedule
from minidl.report.log import Row
from minidl.text import write
from minidl.train.arguments import fit_settings
from minidl.train.fit import fit
from minidl.train.lr_finder import find_lr

LEFT = 0.01                                      # of the learning rate, after an exponential decay


def fit_by_flags(args: Namespace, model: Module, train_set: ImageDataset, validation_set: ImageDataset | None = None,
                 test_set: ImageDataset | None = None, **settings: Any) -> list[Row]:
    """`fit` with the optimizer, the schedule and the settings of the flags; with --find-lr, only search for a rate.

    settings  further ones of `fit`, which take precedence
    """
    optimizer = optimizer_for(args, model)
    if args.find_lr:
        search_by_flags(args, model, optimizer, train_set, **settings)
        return []
    loader = DataLoader(train_set, args.batch_size, drop_last=args.drop_last, balanced=args.balanced)
    schedule, every = schedule_for(args, optimizer, len(loader))
    weights = train_set.class_weights() if args.class_weights else None
    return fit(model, optimizer, train_set, validation_set, test_set, **{
        **fit_settings(args), "schedule": schedule, "schedule_every": every, "class_weights": weights, **settings})


def search_by_flags(args: Namespace, model: Module, optimizer: Optimizer, train_set: ImageDataset,
                    freeze: Any = (), **settings: Any) -> None:
    """`find_lr` with the settings of the flags: writes lr_finder.png into the run's folder, and prints the result."""
    found = find_lr(model, optimizer, train_set, batch_size=args.batch_size, device=args.device, seed=args.seed,
                    prefetch=args.prefetch, freeze=freeze, loss=settings.get("loss"))
    args.output_dir.mkdir(parents=True, exist_ok=True)
    path = args.output_dir / "lr_finder.png"
    found.plot(path, f"{type(model).__name__}, {type(optimizer).__name__}, {args.batch_size} images per step")
    write(f"{len(found.rates)} steps with learning rates from {found.rates[0]:.2g} to {found.rates[-1]:.2g}, drawn in "
          f"{path}\nsuggestion: --lr {found.suggestion:.2g}")


def optimizer_for(args: Namespace, model: Module) -> Optimizer:
    """The optimizer of --optimizer, with its groups of parameters."""
    try:
        groups = parameter_groups(model, args.lr, args.weight_decay, dict(args.layer_lr), args.norm_decay)
    except ValueError as error:
        raise for_command(error, str(error).replace("parameter_groups: factors", "--layer-lr")) from None
    if args.optimizer == "sgd":
        return SGD(groups, args.lr, args.momentum, weight_decay=args.weight_decay, nesterov=args.momentum > 0)
    if args.optimizer == "rmsprop":
        return RMSprop(groups, args.lr, weight_decay=args.weight_decay, momentum=args.momentum)
    return {"adam": Adam, "adamw": AdamW}[args.optimizer](groups, args.lr, weight_decay=args.weight_decay)


def schedule_for(args: Namespace, optimizer: Optimizer,
                 steps: int) -> tuple[Schedule | ReduceLROnPlateau | None, str]:
    """The schedule of --schedule, and whether it counts steps or epochs; an epoch has this many steps."""
    kind, epochs, warmup = args.schedule_kind, args.epochs, args.warmup
    check_schedule(args)
    gamma = 0.1 if args.gamma is None else args.gamma
    if kind == "onecycle":
        rising = warmup / epochs if warmup else 0.3
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, epochs * steps, pct_start=rising, cycle_momentum=False), "step"
    if kind == "plateau":
        after: Any = ReduceLROnPlateau(optimizer, factor=gamma, patience=max(1, epochs // 10))
        return warmed_up(optimizer, after, warmup), "epoch"
    left = (epochs - warmup) * steps             # after the warm-up
    if kind == "cosine":
        after = CosineAnnealingLR(optimizer, left)
    elif kind == "poly":
        after = PolynomialLR(optimizer, left, power=0.9)
    elif kind == "warm-restarts":                # periods of 1, 2 and 4 parts of the epochs
        after = CosineAnnealingWarmRestarts(optimizer, math.ceil(left / 7), T_mult=2)
    elif kind == "exponential":
        of_run = LEFT if args.gamma is None else args.gamma ** (epochs - warmup)
        after = ExponentialLR(optimizer, of_run ** (1 / left))
    elif kind == "step":
        after = StepLR(optimizer, math.ceil(left / 3), gamma)
    elif kind == "multistep":
        milestones = args.milestones or [warmup + (epochs - warmup) * part for part in (1 / 2, 3 / 4)]
        after = MultiStepLR(optimizer, [round((epoch - warmup) * steps) for epoch in milestones], gamma)
    else:
        after = None
    return warmed_up(optimizer, after, warmup * steps), "step"


def warmed_up(optimizer: Optimizer, after: Any, steps: int) -> Any:
    """The schedule, with a linear warm-up of this many steps in front."""
    return LinearWarmup(optimizer, steps, 1 / (steps + 1), after=after) if steps else after


def check_schedule(args: Namespace) -> None:
    """Raise ValueError for flags that the schedule does not use, or that do not fit."""
    kind = args.schedule_kind
    if args.warmup >= args.epochs and args.warmup:
        raise ValueError(f"--warmup {args.warmup} must be less than --epochs {args.epochs}")
    if args.milestones and kind != "multistep":
        raise ValueError(f"--milestones belongs to --schedule multistep, not to {kind}")
    if args.milestones and args.milestones[0] <= args.warmup:
        raise ValueError(f"--milestones {args.milestones[0]} must come after the epochs of --warmup {args.warmup}")
    if args.gamma is not None and kind not in ("step", "multistep", "plateau", "exponential"):
        raise ValueError(f"--gamma belongs to --schedule step, multistep, plateau and exponential, not to {kind}")
    if args.gamma is not None and args.gamma >= 1:
        raise ValueError(f"--gamma {args.gamma:g} must be less than 1, so that the learning rate falls")
