"""An exponential moving average of the weights: it often generalizes better than the weights of the last step."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from minidl.device import CPU, array_module
from minidl.kernels import Arrays, backend
from minidl.optim.optimizer import as_like, same
from minidl.scalars import flag, number
from minidl.tensor import Tensor
from minidl.writes import written


class HasParameters(Protocol):
    """What is needed of a model; `nn.Module` has it."""

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]: ...


class ExponentialMovingAverage:
    """average <- decay * average + (1 - decay) * x  for every parameter x of a model, starting from its own value.

    warmup  after n updates, the next one uses the decay min(decay, (1 + n) / (10 + n)), as TensorFlow's does, so that
            the initial weights soon lose their influence
    Buffers, such as running means, are not averaged: the model uses its own together with the averaged weights. The
    averages follow the model to another device or dtype. A copy has averages of its own; one that is made together with
    the model, `copy.deepcopy((model, average))`, averages the copied model.
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; in this form: Tarvainen and
    Valpola, "Mean teachers are better role models", NeurIPS 2017.
    """

    def __init__(self, model: HasParameters, decay: float = 0.999, *, warmup: bool = False):
        if not hasattr(model, "named_parameters"):
            raise TypeError(f"ExponentialMovingAverage: pass the model, not {type(model).__name__}")
        self.parameters = dict(model.named_parameters())
        if not self.parameters:
            raise ValueError("ExponentialMovingAverage: the model has no parameters")
        self.decay = number("ExponentialMovingAverage", "decay", decay, 0, 1)
        self.warmup, self.updates = flag("ExponentialMovingAverage", "warmup", warmup), 0
        self.averages = copies({name: p.data for name, p in self.parameters.items()})
        self.applied = False
        self.forget()

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
        if self.applied:
            raise RuntimeError("ExponentialMovingAverage: update() was called inside `with averaged()`")
        decay = number("ExponentialMovingAverage", "decay", self.decay, 0, 1)
        decay = min(decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else decay
        self.follow()
        for parameters, averages in self.parts:
            backend(averages[0]).lerp(averages, [p.data for p in parameters], 1 - decay)
            written(*averages)
        self.updates += 1

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """In the block, `with average.averaged():`, the model has the averaged weights; afterwards its own again.

        It has the averages themselves: what writes into its weights in the block writes into them.
        """
        if self.applied:
            raise RuntimeError("ExponentialMovingAverage: the model has the averaged weights already; "
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
            average[...] = array_module(average).asarray(arrays[name])
        written(*self.averages.values())


def copies(arrays: dict[str, Any]) -> dict[str, Any]:
    """A copy of each array, in its memory order."""
    return {name: array_module(array).array(array) for name, array in arrays.items()}
