"""The learning-rate finder: a few steps with growing learning rates show which of them a network learns with.

Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3; it ends as fastai's `lr_find`
does. A running mean would show what happened some steps, and so a multiple of the learning rate, ago: therefore the
losses are smoothed by a window that reaches as far ahead as back.
"""

import copy
import math
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minidl.device
from minidl.data import DataLoader, ImageDataset
from minidl.data.protocol import Batch
from minidl.device import Device
from minidl.evaluation import Loss, loss_of
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.plot.figure import new_figure, write_png
from minidl.scalars import number, whole
from minidl.tensor import Tensor
from minidl.train.checks import check_data, check_training
from minidl.train.freezing import Freezing
from minidl.train.settings import frozen_epochs

WIDTH = 0.04                                     # standard deviation of the window, as a part of the planned steps
EXPLODED = 4.0                                   # the search ends when the loss is this many times the least mean
MEMORY = 0.8                                     # of the running mean of which that is the least
HARDLY = 0.02                                    # a loss that falls by a smaller part tells nothing by its slope
LEAST_STEPS = 10


@dataclass(frozen=True)
class RateSearch:
    """The learning rates of the steps, ascending, and the smoothed loss at each."""

    rates: list[float]
    losses: list[float]

    @property
    def suggestion(self) -> float:
        """The learning rate at which the smoothed loss falls most steeply over the logarithm of the learning rate.

        Where the loss hardly falls, as in deep networks without norms, a tenth of the rate at which the search ended.
        """
        least = int(np.argmin(self.losses))
        if self.losses[least] > (1 - HARDLY) * self.losses[0]:
            return self.rates[-1] / 10
        return self.rates[int(np.argmin(np.gradient(self.losses, np.log(self.rates))[: least + 1]))]

    def plot(self, path: str | Path, title: str = "") -> None:
        """Draw the losses over the learning rates, with the suggestion, as PNG."""
        figure = new_figure(7, 4.2, title)
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="#1f5fa8")
        axes.axvline(self.suggestion, color="#c1440e", linestyle=":", label=f"suggestion: {self.suggestion:.2g}")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss, smoothed")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        write_png(path, figure)


def find_lr(model: Module, optimizer: Optimizer, train_set: ImageDataset, *, loss: Loss | None = None,
            batch_size: int = 64, start: float = 1e-6, end: float = 10.0, steps: int = 100, freeze: Any = (),
            device: str | Device = "cpu", seed: int = 0, prefetch: int = 2) -> RateSearch:
    """Take steps whose learning rate grows exponentially from `start` to `end`, and return it with the smoothed loss.

    It ends early when the loss explodes. What learns is a copy: the model, the optimizer and the random numbers are
    afterwards as before. Groups of parameters keep the proportions of their learning rates; the rates are those of the
    group with the largest.

    loss, freeze, prefetch  as for `fit`; images are not mixed, and targets not smoothed
    steps                   if they are more than an epoch has, the next one begins
    seed                    seed for shuffling
    Raises ValueError if the loss is not finite from the first steps on.
    """
    check_training(model, optimizer, None)
    check_data(train_set, None, None)
    start, end = number("find_lr", "start", start, 0), number("find_lr", "end", end, 0)
    if not 0 < start < end:
        raise ValueError(f"find_lr: start={start:g} must be larger than 0, and less than end={end:g}")
    steps, batch_size = whole("find_lr", "steps", steps, LEAST_STEPS), whole("find_lr", "batch_size", batch_size)
    rates = np.geomspace(start, end, steps).tolist()
    loader = DataLoader(train_set, max(1, min(batch_size, len(train_set))), shuffle=True, seed=seed, drop_last=True,
                        prefetch=prefetch)
    with Device.parse(device).current(), random_numbers_kept(), closing(endless(loader)) as batches:
        trial, learner = copy.deepcopy((model, optimizer))
        trial.to(device)
        with Freezing(trial, frozen_epochs(freeze)) as freezing, np.errstate(over="ignore", invalid="ignore"):
            freezing.train(0)
            losses = search(trial, learner, batches, rates, loss or loss_of(trial), Device.parse(device))
    if len(losses) < 2:
        raise ValueError(f"find_lr: the loss is not finite at the smallest learning rate, start={start:g}, already")
    return RateSearch(rates[: len(losses)], smoothed(losses, WIDTH * steps))


def search(model: Module, optimizer: Optimizer, batches: Iterator[Batch], rates: list[float], loss: Loss,
           device: Device) -> list[float]:
    """The losses before the step with each learning rate, until they explode; the last is cut off where they do."""
    largest = max(group["lr"] for group in optimizer.param_groups)
    factors = [group["lr"] / largest if largest else 1.0 for group in optimizer.param_groups]
    losses: list[float] = []
    mean = least = math.inf
    for rate, (images, labels) in zip(rates, batches, strict=False):
        current = loss(model(Tensor(images, device=device)), device.put(labels))
        value = float(current)
        if not math.isfinite(value) or value > EXPLODED * least:
            return [*losses, EXPLODED * least] if losses else []
        losses.append(value)
        mean = value if mean == math.inf else MEMORY * mean + (1 - MEMORY) * value
        least = min(least, mean)
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = factor * rate
        optimizer.zero_grad()
        current.backward()
        optimizer.step()
    return losses


def smoothed(losses: list[float], deviation: float) -> list[float]:
    """The means over a Gaussian window, which is cut off at both ends of the list."""
    places = np.arange(len(losses))
    window = np.exp(-0.5 * ((places[:, None] - places) / deviation) ** 2)
    return (window @ losses / window.sum(1)).tolist()


def endless(loader: DataLoader) -> Generator[Batch, None, None]:
    """The batches of one epoch after another."""
    while True:
        yield from loader


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """A context after which the stream of random numbers goes on from where it was before."""
    state = minidl.device.random_state()
    try:
        yield
    finally:
        minidl.device.set_random_state(state)
