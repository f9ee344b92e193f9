"""`fit`: train a classifier on a data set with one call. This file sets everything up; `loop.py` holds the loop."""

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minidl import nn
from minidl.data import DataLoader, ImageDataset
from minidl.data.resident import Resident, kept_on
from minidl.described import text
from minidl.device import Device
from minidl.errors import for_command
from minidl.io.facts import ABOUT, facts_of
from minidl.kernels import settings
from minidl.nn import Module
from minidl.optim import ExponentialMovingAverage, GradScaler, Optimizer
from minidl.optim.average import Average
from minidl.report.log import Row
from minidl.report.report import report_run
from minidl.text import write
from minidl.train.callbacks import Callback, Callbacks
from minidl.train.checks import check_batch_norms, check_data, check_labels, check_length, check_training
from minidl.train.folder import RunError, RunFolder
from minidl.train.freezing import Freezing
from minidl.train.given import data_sets
from minidl.train.interrupt import Interruption
from minidl.train.loop import Loop
from minidl.train.losses import SegmentationLoss
from minidl.train.mixing import Mixed
from minidl.train.one_rank import OneRank
from minidl.train.progress import Progress
from minidl.train.records import Curves, LiveCurves, LogFile, in_notebook
from minidl.train.rehearsal import Overfit, rehearsed
from minidl.train.run import Length, Run, load_weights
from minidl.train.settings import Settings
from minidl.train.tensorboard import TensorBoard

Data: TypeAlias = Any                            # a data set, a DataLoader of one, or a pair of arrays: see `given.py`


def fit(model: Module, optimizer: Optimizer, train_set: Data, validation_set: Data | None = None,
        test_set: Data | None = None, **settings: Any) -> list[Row]:
    """Train a classifier, of images or of pixels, save it with its results, and return the rows of the log.

    Each set is a data set, a DataLoader of one, or a pair of arrays (images, labels): see `given.py`.
    train_set       shuffled differently in each epoch; a loader also gives batch_size and the like
    validation_set  selects the best epoch; without it, or with an empty one, the last epoch is the best
    test_set        evaluated once, at the end, with the best weights; an empty one counts as none, and then the report
                    is of the validation set
    settings        output_dir and epochs, and any other field of `Settings` (`settings.py`)

    The folder receives args.json, log.csv, curves.png, last.safetensors (the complete state of the run),
    best.safetensors (the best weights), report.html and, with a test_set or a validation_set, report.txt, metrics.json
    and confusion.png. The model ends with the best weights.

    Each epoch begins with `model.train()`. Modules that are in eval mode then, while others are in training mode, stay
    in it; if all are in eval mode, as in a model that was loaded or evaluated, all are set to training mode. The
    setting `freeze` names parts of the model that do not learn.

    Raises ValueError for settings that make no sense or would fail in the course of an epoch, RunError or
    CheckpointError if the folder holds another run, Interrupted after Ctrl-C, NonFiniteError if the loss is not finite,
    OSError if the folder cannot be written to. Files saved before are kept.
    """
    given = {"train_set": train_set, "validation_set": validation_set, "test_set": test_set}
    sets, settings = data_sets(given, settings)
    train_set, validation_set, test_set = sets.values()
    s = Settings(**settings)
    ranks = OneRank() if s.communicator is None else ranks_of(s)
    with ranks.together():
        return trained(ranks, ranks.settled(s), ranks.prepared(model), optimizer, train_set, validation_set, test_set)


def trained(ranks: OneRank, s: Settings, model: Module, optimizer: Optimizer, train_set: ImageDataset,
            validation_set: ImageDataset | None, test_set: ImageDataset | None) -> list[Row]:
    """`fit` on one of the ranks."""
    check_training(model, optimizer, s.schedule, s.average)
    check_data(train_set, validation_set, test_set)
    validation_set, test_set = validation_set or None, test_set or None
    if s.patience is not None and validation_set is None:
        reason = "without it no epoch is better than another"
        raise for_command(ValueError(f"fit: patience needs a validation_set; {reason}"),
                          f"--patience needs --validation N, the images held out for it; {reason}")
    s, (train_set, validation_set, test_set) = rehearsed(s, (train_set, validation_set, test_set))
    recipe = recipe_of(s, optimizer, train_set, validation_set)
    ranks.compare_start(recipe, model, train_set)
    model.to(s.device)
    source = Mixed(train_set, s.mixes) if s.mixes else kept_on(train_set, Device.parse(s.device), s.resident)
    loader = DataLoader(source, s.batch_size, shuffle=True, seed=s.seed, drop_last=s.drop_last, balanced=s.balanced,
                        prefetch=0 if isinstance(source, Resident) else s.prefetch, part=(ranks.rank, ranks.size))
    about = describe_data(train_set, getattr(model, "about", {}))
    masks = check_labels(train_set, s)
    check_length(s, len(loader))
    callbacks = Callbacks([*(recorders(s) if ranks.writes else []), *s.callbacks])
    with (Device.parse(s.device).current(), Freezing(model, s.frozen) as freezing,
          nullcontext(s.output_dir) if s.keeps else tempfile.TemporaryDirectory() as path):
        check_batch_norms(model, freezing, len(train_set), image_shape(train_set), s, ranks.size)
        average = average_of(model, s)
        length = Length(s.epochs, len(loader), len(loader) * s.batch_size if s.drop_last else len(train_set))
        run = Run(model, optimizer, s.schedule, recipe, about, average, length, Path(path))
        run.scaler = GradScaler() if s.amp == "float16" else None
        folder = begin(run, RunFolder(Path(path)), s, ranks)
        model.about = facts_of("fit", nn.Module(), {key: run.about[key] for key in ABOUT if key in run.about})
        if ranks.writes and (resting := freezing.modes.resting()):
            write(f"in eval mode, and left in it: {', '.join(resting[:5])}{', ...' if len(resting) > 5 else ''}")
        with callbacks.told(run), Interruption(alone=ranks.size == 1) as interruption:
            Loop(run, folder, loader, validation_set, callbacks, interruption, s, freezing, masks, ranks).go()
        if run.position.best:
            if ranks.writes:
                load_weights(model, folder.best)
            ranks.share(model)
        if run.position.best and not s.overfit and ranks.writes:
            report_run(model, train_set, validation_set, test_set, s.device, s.loss, folder=folder.path,
                       best=run.position.best["epoch"], tta=s.tta)
    if ranks.writes:
        write(f"\nresults are in {s.output_dir}/" if s.keeps else
              f"\n{'a dry run' if s.dry_run else 'one batch only'}: nothing is kept")
    return run.position.rows


def ranks_of(s: Settings) -> OneRank:
    """The ranks of the communicator."""
    from minidl.train.ranks import Ranks  # a program of one process imports nothing of it
    assert s.communicator is not None
    return Ranks(s.communicator, s)


def average_of(model: Module, s: Settings) -> Average | None:
    """The average of the weights that is validated and kept, if there is one."""
    return s.average if s.ema_decay is None else ExponentialMovingAverage(model, s.ema_decay, warmup=True)


def recorders(s: Settings) -> list[Callback]:
    """The library's own callbacks."""
    return [LogFile(), Progress(s.log_interval), Curves(), *([TensorBoard()] if s.tensorboard else []),
            *([LiveCurves(display)] if (display := in_notebook()) else []), *([Overfit()] if s.overfit else [])]


def recipe_of(s: Settings, optimizer: Optimizer, train_set: ImageDataset,
              validation_set: ImageDataset | None) -> dict[str, Any]:
    """Everything that the result depends on: a checkpoint of another recipe is not resumed.

    Settings that came later are left out while they are not used, so that earlier runs can be resumed.
    """
    names = ("epochs", "batch_size", "seed", "patience", "accumulate", "ema_decay")
    names_later = ("amp", "drop_last", "label_smoothing", "class_weights", "monitor", "clip_norm", "balanced",
                   "sync_batch_norm", "compress")
    later: dict[str, Any] = {name: getattr(s, name) for name in names_later if getattr(s, name)}
    if s.device != "cpu" and settings.matmul_precision != "float32":
        later["matmul_precision"] = settings.matmul_precision
    if s.frozen:
        later["freeze"] = list(s.frozen) if set(s.frozen.values()) == {None} else s.frozen
    if s.mixes:
        later["mix"] = ", ".join(map(repr, s.mixes))
    if s.average is not None:
        later["average"] = repr(s.average)
    if isinstance(s.loss, SegmentationLoss):     # other losses have no name
        later["loss"] = repr(s.loss)
    if getattr(train_set, "transform", None) is not None:
        later["transform"] = " ".join(repr(train_set.transform).split())
    return {**(s.recipe or {}), **{name: getattr(s, name) for name in names}, **later,
            "optimizer": repr(optimizer), "schedule": None if s.schedule is None else text(s.schedule),
            "train_images": len(train_set), "validation_images": len(validation_set or ())}


def begin(run: Run, folder: RunFolder, s: Settings, ranks: OneRank) -> RunFolder:
    """Open the folder, and either restore the run from it or save the run's initial state; returns the folder."""
    def prepare() -> bool:
        if folder.holds_run and not (s.resume or s.overwrite):
            raise RunError(f"{folder.path} already holds a run: resume=True continues it, overwrite=True replaces it, "
                           "and another output_dir starts one")
        if s.overwrite:
            folder.clear()
        folder.prepare(run.recipe, run.about)
        return folder.holds_run
    ranks.begin(run)
    if ranks.of_first(prepare):
        run.load(folder.last, ranks.read)
        if ranks.writes:
            if run.extended:
                folder.describe(run.recipe, run.about)
            write(f"resuming {folder.path} after {run.position}", flush=True)
    elif ranks.writes:
        run.save(folder.last)
    return folder


def describe_data(dataset: ImageDataset, before: Mapping[str, Any]) -> dict[str, Any]:
    """The facts about the training images that are needed to use the weights on others, and their classes.

    before   the facts in the file that the model came from: images are resized as before, if the set does not say how
    """
    shape = image_shape(dataset)
    counts = getattr(dataset, "class_counts", None)
    resize = getattr(dataset, "resize", None) or (before.get("resize") if list(shape) == before.get("input") else None)
    pixels = {} if hasattr(dataset, "features") else {"mean": dataset.mean, "std": dataset.std}
    return {"classes": dataset.classes, **pixels, **({"input": shape} if len(shape) == 3 else {}),
            **({"resize": resize} if resize else {}), **({"class_counts": counts().tolist()} if counts else {})}


def image_shape(dataset: ImageDataset) -> tuple[int, ...]:
    """The shape of an image as the model gets it: (C, H, W), or another one of features."""
    return dataset.batch(np.arange(1))[0].shape[1:]
