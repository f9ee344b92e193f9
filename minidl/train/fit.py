"""`fit`: train a classifier on a data set with one call. This file sets things up; the loop itself is in `loop.py`."""

import tempfile
from contextlib import nullcontext
from pathlib import Path

from minidl.data import DataLoader
from minidl.device import Device
from minidl.optim import ExponentialMovingAverage, ReduceLROnPlateau
from minidl.train.evaluation import loss_of
from minidl.train.folder import RunError, RunFolder
from minidl.train.interrupt import Interruption
from minidl.train.log import write_log
from minidl.train.loop import Loop
from minidl.train.progress import Progress
from minidl.train.report import report
from minidl.train.run import Run, load_weights


def fit(model, optimizer, train_set, validation_set=None, test_set=None, *, output_dir, epochs, batch_size=128,
        loss=None, schedule=None, schedule_every="step", device="cpu", seed=0, patience=None, prefetch=2,
        accumulate=1, ema_decay=None, resume=False, checkpoint_interval=60.0, log_interval=10.0, detect_nan=False,
        dry_run=False, recipe=None):
    """Train a classifier, and leave in `output_dir` all that is to be known of it. Returns the rows of the log.

    train_set            an ImageDataset; shuffled anew for each epoch, by `seed`
    validation_set       held out, to choose the best epoch; without it the last one is the best
    test_set             looked at once, at the end, with the best weights
    loss                 loss(logits, labels) -> the mean over the batch; by default the model's own, if it has a
                         method of this name, else cross entropy
    schedule             of the optimizer's learning rate; takes a step after every "step" or every "epoch"
    accumulate           work on each batch in so many parts, one after the other: the same step in less memory, but
                         for batch normalization, which then sees the parts
    ema_decay            judge and keep the exponential moving average of the weights, with this decay and its warm-up
    patience             stop after so many epochs in a row that were not the best
    prefetch             how many batches are prepared ahead
    resume               go on with the run in `output_dir`, if there is one, as if it had never been stopped
    checkpoint_interval  seconds between checkpoints within an epoch; there is one at the end of each anyway
    log_interval         seconds between lines within an epoch, where there is no terminal for a bar; 0 for none
    detect_nan           look for NaN and infinity behind every operation; slow
    dry_run              take a few steps, go all the way to the report, and leave nothing behind
    recipe               whatever else the numbers depend on: kept in args.json, and held against when resuming

    The folder gets args.json, log.csv, curves.png, last.safetensors (all that it takes to go on), best.safetensors (the
    weights) and, given a test_set, report.txt, metrics.json and confusion.png. The model ends with the best weights.
    Raises RunError or CheckpointError if the folder holds another run, Interrupted after Ctrl-C, NonFiniteError if the
    loss is not finite, OSError if the folder cannot be written to. Whatever was saved before is kept.
    """
    if schedule_every not in ("step", "epoch"):
        raise ValueError(f"fit: schedule_every={schedule_every!r} is neither 'step' nor 'epoch'")
    if isinstance(schedule, ReduceLROnPlateau) and schedule_every == "step":
        raise ValueError("fit: ReduceLROnPlateau waits for the loss of whole epochs; set schedule_every='epoch'")
    if accumulate < 1:
        raise ValueError(f"fit: accumulate={accumulate} must be at least 1")
    if epochs < 1:
        raise ValueError(f"fit: epochs={epochs} must be at least 1")
    validation_set = validation_set or None      # an empty one is none
    if patience is not None and validation_set is None:
        raise ValueError("fit: patience needs a validation_set; without it no epoch is better than another")
    if dry_run:
        few = [part if part is None else part.take(2 * batch_size) for part in (train_set, validation_set, test_set)]
        train_set, validation_set, test_set = few
        epochs, resume = 1, False
    loss = loss or loss_of(model)
    device = Device.parse(device)
    model.to(device)
    recipe = {**(recipe or {}), "epochs": epochs, "batch_size": batch_size, "seed": seed, "patience": patience,
              "accumulate": accumulate, "ema_decay": ema_decay,
              "optimizer": type(optimizer).__name__, "schedule": schedule and type(schedule).__name__,
              "train_images": len(train_set), "validation_images": len(validation_set or ())}
    average = None if ema_decay is None else ExponentialMovingAverage(model, ema_decay, warmup=True)
    run = Run(model, optimizer, schedule, recipe, about=describe_data(train_set), average=average)
    loader = DataLoader(train_set, batch_size, shuffle=True, seed=seed, prefetch=prefetch)
    with tempfile.TemporaryDirectory() if dry_run else nullcontext(output_dir) as path:
        folder = begin(run, RunFolder(Path(path)), resume)
        with Interruption() as interruption, Progress(epochs, len(train_set), run.position, log_interval) as progress:
            loop = Loop(run, folder, loader, validation_set, progress, interruption, device=device, epochs=epochs,
                        loss=loss, schedule_every=schedule_every, accumulate=accumulate, patience=patience,
                        checkpoint_interval=checkpoint_interval, detect_nan=detect_nan)
            loop.go()
        loop.draw()
        load_weights(model, folder.best)
        if test_set is not None:
            report(model, test_set, device, loss, folder=folder)
    print("\na dry run: nothing is kept" if dry_run else f"\nall of this is in {output_dir}/")
    return run.position.rows


def begin(run, folder, resume):
    """Open the folder, and bring the run to where it stood, or save it as it starts; returns the folder."""
    if folder.holds_run and not resume:
        raise RunError(f"{folder.path} holds a run already: resume it, or name another folder")
    folder.prepare(run.recipe)
    if folder.holds_run:
        run.load(folder.last)
        write_log(folder.log, run.position.rows)
        print(f"resuming {folder.path} after {run.position}", flush=True)
    else:
        run.save(folder.last)
    return folder


def describe_data(dataset):
    """What one has to know of the training images to use the weights on others."""
    return {"classes": dataset.classes, "mean": dataset.mean, "std": dataset.std, "input": dataset.images.shape[1:]}
