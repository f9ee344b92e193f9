"""Averages of the weights along a run: they often generalize better than the weights of the last step.

An `ExponentialMovingAverage` is kept beside the weights and changes nothing in training; `Lookahead` puts its average
into the model every few steps.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from minidl.capture import by_host
from minidl.device import CPU, array_module, at
from minidl.kernels import Arrays, backend
from minidl.optim.optimizer import as_like, same
from minidl.scalars import flag, number, whole
from minidl.tensor import Tensor
from minidl.writes import written


class HasParameters(Protocol):
    """What is needed of a model; `nn.Module` has it."""

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]: ...
    def named_buffers(self) -> Iterable[tuple[str, Tensor]]: ...


class Average:
    """What both averages share: the arrays, their use by the model, and how they are saved.

    The averages start from the model's own values, and follow it to another device or dtype. A copy has averages of its
    own; one that is made together with the model, `copy.deepcopy((model, average))`, averages the copied model.
    `parameters` are the tensors that are averaged, by name.
    """

    def __init__(self, model: HasParameters):
        name = type(self).__name__
        if not hasattr(model, "named_parameters"):
            raise TypeError(f"{name}: pass the model, not {type(model).__name__}")
        self.parameters = dict(model.named_parameters())
        if not self.parameters:
            raise ValueError(f"{name}: the model has no parameters")
        self.parameters |= self.further(model)
        self.averages = copies({name: p.data for name, p in self.parameters.items()})
        self.updates, self.applied = 0, False
        self.forget()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.described()})"

    def described(self) -> str:
        """The settings."""
        return ""

    def further(self, model: HasParameters) -> dict[str, Tensor]:
        """Tensors that are averaged besides the parameters."""
        return {}

    def forget(self) -> None:
        """Forget what earlier updates found out."""
        self.parts: list[tuple[list[Tensor], Arrays]] = []       # parameters that are updated together
        self.parted: list[Any] = []                              # the arrays in the parts

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in vars(self).items() if key not in ("parts", "parted")}
        return {**state, "averages": copies(self.averages), "applied": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.forget()

    def follow(self) -> None:
        """Give the averages the device, dtype and memory order of the weights, if these have got other arrays."""
        weights = [p.data for p in self.parameters.values()]
        if same([*weights, *self.averages.values()], self.parted):
            return
        self.averages = {name: as_like(self.averages[name], p.data) for name, p in self.parameters.items()}
        kinds: dict[Any, list[Any]] = {}
        for name, p in self.parameters.items():
            kinds.setdefault((type(p.data), p.dtype), []).append((p, self.averages[name]))
        self.parts = [([p for p, _ in part], Arrays(average for _, average in part)) for part in kinds.values()]
        self.parted = [*weights, *self.averages.values()]

    def update(self) -> None:
        """Move the averages towards the weights; call it after every step of the optimizer."""
        if by_host(self.update):
            return
        if self.applied:
            raise RuntimeError(f"{type(self).__name__}: update() was called inside `with averaged()`")
        self.move()
        self.updates += 1

    def move(self) -> None:
        """What an update does."""
        raise NotImplementedError(f"{type(self).__name__} has no move")

    def approach(self, part: float) -> None:
        """Move each average this part of the way to its weight."""
        self.follow()
        for parameters, averages in self.parts:
            with at(averages[0]):
                backend(averages[0]).lerp(averages, [p.data for p in parameters], part)
            written(*averages)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """In the block, `with average.averaged():`, the model has the averaged weights; afterwards its own again.

        It has the averages themselves: what writes into its weights in the block writes into them.
        """
        if self.applied:
            raise RuntimeError(f"{type(self).__name__}: the model has the averaged weights already; "
                               "`with averaged()` cannot be nested")
        self.follow()
        own = {name: p.data for name, p in self.parameters.items()}
        self.applied = True
        try:
            for name, p in self.parameters.items():
                p.data = self.averages[name]
            yield
        finally:
            for name, p in self.parameters.items():
                p.data = own[name]
            self.applied = False

    def state_dict(self) -> dict[str, Any]:
        """The state for resuming exactly: {"arrays": {name: NumPy array}, "numbers": a dictionary for JSON}."""
        arrays = {name: np.array(CPU.put(average), order="C") for name, average in self.averages.items()}
        return {"arrays": arrays, "numbers": {"updates": self.updates}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`. If anything does not fit, raises ValueError with the list and changes nothing."""
        arrays = state["arrays"]
        faults = [f"{name} is unexpected" for name in arrays if name not in self.averages]
        faults += [f"{name} is missing" for name in self.averages if name not in arrays]
        faults += [f"{name} has the shape {arrays[name].shape}, not {average.shape}"
                   for name, average in self.averages.items()
                   if name in arrays and arrays[name].shape != average.shape]
        if faults:
            raise ValueError("load_state_dict: this average does not fit the model:\n  " + "\n  ".join(faults))
        self.updates = int(state["numbers"]["updates"])
        for name, average in self.averages.items():
            with at(average):
                average[...] = array_module(average).asarray(arrays[name])
        written(*self.averages.values())


class ExponentialMovingAverage(Average):
    """average <- decay * average + (1 - decay) * x  for every parameter x of a model, starting from its own value.

    warmup  after n updates, the next one uses the decay min(decay, (1 + n) / (10 + n)), as TensorFlow's does, so that
            the initial weights soon lose their influence
    Buffers, such as running means, are not averaged: the model uses its own together with the averaged weights.
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; in this form: Tarvainen and
    Valpola, "Mean teachers are better role models", NeurIPS 2017.
    """

    def __init__(self, model: HasParameters, decay: float = 0.999, *, warmup: bool = False):
        self.decay = number("ExponentialMovingAverage", "decay", decay, 0, 1)
        self.warmup = flag("ExponentialMovingAverage", "warmup", warmup)
        super().__init__(model)

    def described(self) -> str:
        return f"decay={self.decay}, warmup={self.warmup}"

    def move(self) -> None:
        decay = number("ExponentialMovingAverage", "decay", self.decay, 0, 1)
        self.approach(1 - (min(decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else decay))


class Lookahead(Average):
    """Every `steps` updates:  slow <- slow + alpha * (x - slow),  x <- slow;  x is every parameter and float buffer.

    The optimizer explores with the weights x, and the slow weights follow. They are the result of the run: evaluate and
    save the model in the block `with lookahead.averaged():`.
    alpha  from 0 to 1, or a function of the number of updates so far: `lambda n: 1 - 0.77 * (n / total)**3` begins as
           if there were no slow weights, and ends with an average of many steps
    Running means and variances are buffers, and belong to the weights with which they were found.
    Zhang, Lucas, Hinton and Ba, "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019.
    """

    def __init__(self, model: HasParameters, steps: int = 5, alpha: float | Callable[[int], float] = 0.5):
        self.steps, self.alpha = whole("Lookahead", "steps", steps), alpha
        self.alpha_at(0)
        super().__init__(model)

    def described(self) -> str:
        return f"steps={self.steps}, alpha={'a function' if callable(self.alpha) else self.alpha}"

    def alpha_at(self, updates: int) -> float:
        """alpha after this many updates."""
        return number("Lookahead", "alpha", self.alpha(updates) if callable(self.alpha) else self.alpha, 0, 1)

    def further(self, model: HasParameters) -> dict[str, Tensor]:
        return {name: buffer for name, buffer in model.named_buffers() if buffer.dtype.kind == "f"}

    def move(self) -> None:
        updates = self.updates + 1
        if updates % self.steps:
            return
        self.approach(self.alpha_at(updates))
        for name, p in self.parameters.items():
            with at(p.data):
                p.data[...] = self.averages[name]
        written(*(p.data for p in self.parameters.values()))


def copies(arrays: dict[str, Any]) -> dict[str, Any]:
    """A copy of each array, in its memory order."""
    copied = {}
    for name, array in arrays.items():
        with at(array):
            copied[name] = array_module(array).array(array)
    return copied
