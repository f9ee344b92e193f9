"""The average of the weights over the steps: it is often better than the weights of the last step."""

from contextlib import contextmanager

import numpy as np

from minidl.device import CPU, array_module
from minidl.kernels import Arrays, backend


class ExponentialMovingAverage:
    """average <- decay * average + (1 - decay) * x  for every parameter x of a model, beginning with the model's own.

    warmup  with n updates behind it, an update takes min(decay, (1 + n) / (10 + n)) for decay, as TensorFlow's does, so
            that the first weights are soon forgotten
    Buffers, such as running means, are not averaged: with the averaged weights the model uses those it has.
    Move the model to its device before. Polyak and Juditsky, "Acceleration of stochastic approximation by averaging",
    1992; in this form: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017.
    """

    def __init__(self, model, decay=0.999, *, warmup=False):
        if not 0 <= decay <= 1:
            raise ValueError(f"ExponentialMovingAverage: decay={decay!r} is not a number from 0 to 1")
        self.parameters = dict(model.named_parameters())
        if not self.parameters:
            raise ValueError("ExponentialMovingAverage: the model has no parameters")
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.averages = {name: array_module(p.data).array(p.data) for name, p in self.parameters.items()}
        self.in_use = False
        kinds = {}                              # those that are updated together
        for name, p in self.parameters.items():
            kinds.setdefault((type(p.data), p.dtype), []).append((p, self.averages[name]))
        self.parts = [([p for p, _ in part], Arrays(average for _, average in part)) for part in kinds.values()]

    def update(self):
        """Move the averages towards the weights: to be called after every step of the optimizer."""
        if self.in_use:
            raise RuntimeError("ExponentialMovingAverage: update() was called where the model has the averaged weights")
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warmup else self.decay
        for parameters, averages in self.parts:
            backend(averages[0]).lerp(averages, [p.data for p in parameters], 1 - float(decay))
        self.updates += 1

    @contextmanager
    def averaged(self):
        """Let the model have the averaged weights for a while: `with average.averaged():`, then its own again."""
        if self.in_use:
            raise RuntimeError("ExponentialMovingAverage: the model has the averaged weights already")
        own = {name: p.data for name, p in self.parameters.items()}
        self.in_use = True
        try:
            for name, p in self.parameters.items():
                p.data = self.averages[name]
            yield
        finally:
            for name, p in self.parameters.items():
                p.data = own[name]
            self.in_use = False

    def state_dict(self):
        """What is needed to go on exactly from here: {"arrays": {name: NumPy array}, "numbers": what JSON can hold}."""
        arrays = {name: np.array(CPU.put(average), order="C") for name, average in self.averages.items()}
        return {"arrays": arrays, "numbers": {"updates": self.updates}}

    def load_state_dict(self, state):
        """Go on from a `state_dict`. Raises ValueError telling all that does not fit, and then has changed nothing."""
        arrays = state["arrays"]
        faults = [f"{name} is unexpected" for name in arrays if name not in self.averages]
        faults += [f"{name} is missing" for name in self.averages if name not in arrays]
        faults += [f"{name} has the shape {arrays[name].shape}, not {average.shape}"
                   for name, average in self.averages.items()
                   if name in arrays and arrays[name].shape != average.shape]
        if faults:
            raise ValueError("load_state_dict: this average is of another model:\n  " + "\n  ".join(faults))
        self.updates = int(state["numbers"]["updates"])
        for name, average in self.averages.items():
            average[...] = array_module(average).asarray(arrays[name])
