"""What `fit` checks before it trains, so that a mistake costs no epoch."""

import math
from typing import Any

import numpy as np

from minidl.errors import for_command
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.module import tensors
from minidl.nn.normalization import BatchNorm
from minidl.nn.observe import observed
from minidl.nn.shapes import on_empty_batch
from minidl.optim import Optimizer
from minidl.train.freezing import Freezing
from minidl.train.settings import Settings


def check_training(model: Any, optimizer: Any, schedule: Any, average: Any = None) -> None:
    """Raise TypeError or ValueError unless the optimizer trains this model, and schedule and average belong to it."""
    if not isinstance(model, Module):
        raise TypeError(f"fit: the model must be an nn.Module, not {type(model).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: the optimizer must be one of minidl.optim, not {type(optimizer).__name__}")
    own = {id(tensor) for _, tensor, *_ in tensors(model)}
    if not any(id(p) in own for p in optimizer.parameters):
        raise ValueError(f"fit: no parameter of the {type(optimizer).__name__} belongs to this model; create the "
                         "optimizer with the parameters() of the model that is trained")
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ValueError("fit: the schedule sets the learning rate of another optimizer; create it with this one")
    if average is not None and not any(id(tensor) in own for tensor in average.parameters.values()):
        raise ValueError(f"fit: the {type(average).__name__} is of another model; create it with the model that is "
                         "trained")


def check_data(train_set: Any, validation_set: Any, test_set: Any) -> None:
    """Raise TypeError unless these are data sets, or None, and ValueError unless they have equally many classes."""
    given = {"validation_set": validation_set, "test_set": test_set}
    sets = {"train_set": train_set, **{name: dataset for name, dataset in given.items() if dataset is not None}}
    for name, dataset in sets.items():
        if missing := [needed for needed in ("batch", "classes", "__len__") if not hasattr(dataset, needed)]:
            lacks = "" if len(missing) == 3 else f", which has no {' and no '.join(missing)}"
            raise TypeError(f"fit: {name} must be a data set, such as ImageDataset(images, labels, classes), a "
                            "DataLoader of one, or a pair of arrays (images, labels), not "
                            f"{type(dataset).__name__}{lacks}")
        if len(dataset) and len(dataset.classes) != len(train_set.classes):
            raise ValueError(f"fit: {name} has {len(dataset.classes)} classes, but train_set has "
                             f"{len(train_set.classes)}")


def check_labels(train_set: Any, s: Settings) -> bool:
    """Whether the labels are masks. Raises ValueError if the settings do not suit them."""
    _, labels = train_set.batch(np.arange(1))
    masks = np.ndim(labels) > 1
    if masks and s.mix:
        raise ValueError(f"fit: mix={s.mix} mixes the labels of images; masks cannot be mixed")
    if not masks and s.monitor in ("iou", "dice"):
        raise ValueError(f"fit: monitor={s.monitor!r} is of masks, but each image has one label; there are 'accuracy' "
                         "and 'loss'")
    if s.class_weights is not None and len(s.class_weights) != len(train_set.classes):
        raise ValueError(f"fit: {len(s.class_weights)} class_weights for {len(train_set.classes)} classes")
    return masks


def check_length(s: Settings, batches: int) -> None:
    """Raise ValueError if the schedule ends before the run; there are `batches` in an epoch."""
    steps = s.epochs * (batches if s.schedule_every == "step" else 1)
    total = getattr(s.schedule, "total_steps", steps)
    if total < steps:
        raise ValueError(f"fit: the schedule ends after total_steps={total}, but the run takes {steps} steps: "
                         f"{s.epochs} epochs of {batches} batches, with schedule_every={s.schedule_every!r}")


def check_batch_norms(model: Module, freezing: Freezing, images: int, shape: tuple[int, ...], s: Settings,
                      ranks: int = 1) -> None:
    """Raise ValueError if a batch norm, in the mode in which it trains, would see a single value per channel.

    It has no variance then. That happens when a batch, or a part of one, holds a single image of the `images`, and the
    batch norm comes after all pixels are averaged, or follows a dense layer. Each of several ranks has its own part.
    """
    if 1 not in part_sizes(images, s.batch_size, s.accumulate, s.drop_last, 1 if s.sync_batch_norm else ranks):
        return
    freezing.train(s.epochs - 1)                 # when the least is frozen
    pixels = pixels_seen(model, shape)
    for name, module in model.named_modules():
        if isinstance(module, BatchNorm) and (module.training or module.running_mean is None) and (
                pixels.get(id(module), 1 if module.ndim == 2 else 2) == 1):
            raise single(f"{name or 'the model'} ({type(module).__name__})", images, s, ranks)


def single(layer: str, images: int, s: Settings, ranks: int) -> ValueError:
    """The error for a batch norm that sees a single image."""
    droppable = 1 not in part_sizes(images, s.batch_size, s.accumulate, True, ranks)

    def text(size: str, parts: str, drop: str, sync: str) -> str:
        remedies = [f"another {size}"] + [f"a smaller {parts}"] * (s.accumulate > 1) + [drop] * droppable
        remedies += [sync] * (ranks > 1)
        divided = f", on {ranks} ranks," if ranks > 1 else f", in {s.accumulate} parts," if s.accumulate > 1 else ""
        return (f"fit: {images} images in batches of {s.batch_size}{divided} leave a single image in a step, of which "
                f"{layer} would see one value per channel, without a variance; choose {' or '.join(remedies)}")
    return for_command(ValueError(text("batch_size", "accumulate", "drop_last=True", "sync_batch_norm=True")),
                       text("--batch-size", "--accumulate", "--drop-last", "--sync-batch-norm").removeprefix("fit: "))


def part_sizes(images: int, batch_size: int, accumulate: int, drop_last: bool, ranks: int = 1) -> set[int]:
    """The numbers of images that the parts of the batches of an epoch hold, on each rank."""
    full, rest = divmod(images, batch_size)
    batches = {batch_size} if full else set()
    if rest and not drop_last:
        batches.add(rest)
    sizes = set()
    for batch in batches:
        part = math.ceil(batch / ranks / accumulate)
        for own in {math.ceil(batch / ranks), batch // ranks}:
            sizes |= {min(part, own), own % part or part}
    return sizes


def pixels_seen(model: Module, shape: tuple[int, ...]) -> dict[int, int]:
    """{id of a batch norm: how many pixels of one image it sees}, for those that are called in eval mode."""
    pixels: dict[int, int] = {}

    def see(name: str, module: Module, inputs: tuple, settings: dict[str, Any], out: Any) -> None:
        if isinstance(module, BatchNorm):
            x = inputs[0] if inputs else settings["x"]
            pixels[id(module)] = math.prod(x.shape[2:])

    with observed(model, see), no_grad():
        model.eval()
        try:
            on_empty_batch(model, shape, model)
        except Exception:                        # training will fail too, and say why
            return {}
    return pixels
