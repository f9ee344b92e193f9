"""An exponential moving average of the weights: it often generalizes better than the weights of the last step."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from minidl.device import CPU, array_module
from minidl.kernels import Arrays, backend
from minidl.tensor import Tensor
from minidl.writes import written


class HasParameters(Protocol):
    """What is needed of a model; `nn.Module` has it."""

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]: ...


class ExponentialMovingAverage:
    """average <- decay * average + (1 - decay) * x  for every parameter x of a model, starting from its own value.

    warmup  after n updates, the next one uses the decay min(decay, (1 + n) / (10 + n)), as TensorFlow's does, so that
            the initial weights soon lose their influence
    Buffers, such as running means, are not averaged: the model uses its own together with the averaged weights.
    Move the model to its device first. Polyak and Juditsky, "Acceleration of stochastic approximation by averaging",
    1992; in this form: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.
    """

    def __init__(self, model: HasParameters, decay: float = 0.999, *, warmup: bool = False):
        if not 0 <= decay <= 1:
            raise ValueError(f"ExponentialMovingAverage: decay={decay!r} must be between 0 and 1")
        self.parameters = dict(model.named_parameters())
        if not self.parameters:
            raise ValueError("ExponentialMovingAverage: the model has no parameters")
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.averages = {name: array_module(p.data).array(p.data) for name, p in self.parameters.items()}
        self.applied = False
        kinds: dict[Any, list[Any]] = {}        # parameters that are updated together
        for name, p in self.parameters.items():
            kinds.setdefault((type(p.data), p.dtype), []).append((p, self.averages[name]))
        self.parts = [([p for p, _ in part], Arrays(average for _, average in part)) for part in kinds.values()]

    def update(self) -> None:
        """Move the averages towards the weights; call it after every step of the optimizer."""
        if self.applied:
            raise RuntimeError("ExponentialMovingAverage: update() was called inside `with averaged()`")
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        for parameters, averages in self.parts:
            backend(averages[0]).lerp(averages, [p.data for p in parameters], 1 - float(decay))
            written(*averages)
        self.updates += 1

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """In the block, `with average.averaged():`, the model has the averaged weights; afterwards its own again."""
        if self.applied:
            raise RuntimeError("ExponentialMovingAverage: the model has the averaged weights already; "
                               "`with averaged()` cannot be nested")
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
