"""How many epochs fit into a time, measured before the training, so that a schedule of that length completes."""

import itertools
import statistics
import time

import numpy as np

from minidl.data import DataLoader, ImageDataset
from minidl.device import Device
from minidl.evaluation import evaluate, in_order, loss_of
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.scalars import number
from minidl.tensor import Tensor

WARM_UP, MEASURED = 3, 8                         # steps; the first ones compile kernels and fill caches


def seconds_per_epoch(model: Module, optimizer: Optimizer, train_set: ImageDataset,
                      validation_set: ImageDataset | None = None, batch_size: int = 128,
                      device: str | Device = "cpu") -> float:
    """The time of an epoch and its validation, from a few steps, batches included. The steps change the model."""
    model.to(device).train()
    place, loss = Device.parse(device), loss_of(model)
    loader = DataLoader(train_set, min(batch_size, len(train_set)), shuffle=True, seed=0, prefetch=0)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    times = []
    for images, labels in itertools.islice(batches, WARM_UP + MEASURED):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(model(Tensor(images, device=place)), place.put(labels)).backward()
        optimizer.step()
        float(np.asarray(optimizer.parameters[0].numpy()).flat[0])             # waits for a GPU
        times.append(time.perf_counter() - start)
    whole = statistics.median(times[WARM_UP:]) * len(train_set) / loader.batch_size
    if validation_set:
        few = validation_set.take(4 * batch_size)
        for _ in range(2):
            start = time.perf_counter()
            evaluate(model, in_order(few, 0), len(few.classes), device, loss)
        whole += (time.perf_counter() - start) * len(validation_set) / len(few)
    return whole


def epochs_within(minutes: float, seconds: float) -> int:
    """How many epochs of so many seconds fit into so many minutes; at least one."""
    return max(1, int(60 * number("epochs_within", "minutes", minutes, 0) / max(seconds, 1e-9)))
