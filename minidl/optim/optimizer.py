"""What all optimizers share: the parameters, what is remembered about each, and how to save it.

In training an optimizer alone writes into the arrays of parameters. Its state is a list, zipped with the parameters:
for each a dictionary with the number of its steps, and with arrays that are made at the first step and lie in memory as
the parameter does. Settings stand in `param_groups` and may differ from group to group. A subclass says in `update` how
a batch of parameters takes a step; the arithmetic is in `minidl/kernels/update.py`. Read `sgd.py` next.
"""

from operator import is_
from typing import NamedTuple

import numpy as np

from minidl.device import CPU, array_module
from minidl.kernels import Arrays, backend
from minidl.tensor import Tensor, watched


class Setting:
    """An attribute of an optimizer that stands in its groups: read from the first of them, and set in all."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, optimizer, owner=None):
        return self if optimizer is None else optimizer.param_groups[0][self.name]

    def __set__(self, optimizer, value):
        for group in optimizer.param_groups:
            group[self.name] = value


class Batch(NamedTuple):
    """Parameters that step together, because they have their settings and the number of their steps in common."""

    group: dict                                 # the settings
    parameters: list
    states: list
    xs: Arrays                                  # the data of each parameter
    slots: dict                                 # {name: Arrays}, what is kept of each

    def numbers(self, *settings):
        """These settings as Python numbers: NumPy's would turn float32 into float64."""
        return [float(self.group[name]) for name in settings]

    def slot(self, name):
        """The arrays of that name in the states, which are zeros at first."""
        if name not in self.slots:
            for x, state in zip(self.xs, self.states, strict=True):
                complete(state, x, [name])
            self.slots[name] = Arrays(state[name] for state in self.states)
        return self.slots[name]


class Optimizer:
    """Steps that make a loss smaller. A parameter without a gradient, such as a frozen one, is left as it is.

    parameters  tensors, or (name, tensor) pairs such as model.named_parameters() yields; names are for saving.
                Or groups with settings of their own: [{"params": body, "lr": 0.01}, {"params": head}]
    settings    for all groups that have none of their own. Each is an attribute that may be set at any time, and then
                is set for all groups; param_groups[0]["lr"] is that of the first
    """

    settings = ("lr",)                          # the names of the settings
    lr = Setting()

    def __init__(self, parameters, **settings):
        name = type(self).__name__
        self.param_groups, self.names, self.parameters = [], [], []
        for group in as_groups(name, parameters):
            if unknown := set(group) - {"params", *self.settings}:
                raise ValueError(f"{name}: a group has no {', '.join(sorted(unknown))}; "
                                 f"its settings are {', '.join(self.settings)}")
            pairs = as_pairs(group["params"], len(self.names))
            for key, p in pairs:
                if not isinstance(p, Tensor) or not p.is_leaf or p.dtype.kind != "f":
                    raise TypeError(f"{name}: {key} is no parameter, "
                                    "which is a tensor of floats that no operation made")
            self.names += [key for key, _ in pairs]
            self.parameters += [p for _, p in pairs]
            self.param_groups.append({**settings, **group, "params": [p for _, p in pairs]})
        if not self.parameters:
            raise ValueError(f"{name}: there are no parameters to optimize")
        if len(set(self.names)) < len(self.names) or len(set(map(id, self.parameters))) < len(self.parameters):
            raise ValueError(f"{name}: a parameter, or a name, was given twice")
        for group in self.param_groups:
            self.check(name, **{key: group[key] for key in self.settings})
        self.states = [{"steps": 0} for _ in self.parameters]
        self.batches, self.moved = [], []       # and the arrays that the batches were made of

    def check(self, name, lr):
        """Raise ValueError that begins with the optimizer's `name` unless the settings of a group make sense."""
        check_not_negative(name, lr=lr)

    def slots(self, group):
        """The names of the arrays that are kept beside each parameter of a group."""
        return ()

    def update(self, kernels, batch, grads):
        """Write into the parameters of one Batch, and into its slots; never into `grads`."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            if p.node is not None:
                p.node.grad = None

    def step(self):
        """Move every parameter that has a gradient."""
        arrays = [p.data for p in self.parameters if p.grad is not None]
        if len(arrays) != len(self.moved) or not all(map(is_, arrays, self.moved)):
            self.batches, self.moved = self.make_batches(), arrays
        for batch in self.batches:
            for state in batch.states:
                state["steps"] += 1
            update = watched(self.update, "step", type(self).__name__)
            update(backend(batch.xs[0]), batch, [p.grad for p in batch.parameters])

    def make_batches(self):
        """The parameters that have gradients, parted by group, number of steps, and kind of array."""
        parts = {}
        for group, _, p, state in self.members():
            if p.grad is not None:
                parts.setdefault((id(group), state["steps"], type(p.data), p.dtype), []).append((group, p, state))
        batches = []
        for part in parts.values():
            groups, parameters, states = zip(*part, strict=True)
            batches.append(Batch(groups[0], parameters, states, Arrays(p.data for p in parameters), {}))
        return batches

    def members(self):
        """(group, name, parameter, state) of every parameter."""
        groups = [group for group in self.param_groups for _ in group["params"]]
        return zip(groups, self.names, self.parameters, self.states, strict=True)

    def state_dict(self):
        """What is needed to go on exactly from here: {"arrays": {name: NumPy array}, "numbers": what JSON can hold}.

        The velocity of the parameter "conv.weight", say, is the array "conv.weight.velocity"; arrays are copies.
        """
        arrays, steps = {}, {}
        for group, name, p, state in self.members():
            if state["steps"]:
                slots = self.slots(group)
                complete(state, p.data, slots)
                steps[name] = state["steps"]
                arrays |= {f"{name}.{slot}": np.array(CPU.put(state[slot]), order="C") for slot in slots}
        settings = [{key: group[key] for key in self.settings} for group in self.param_groups]
        return {"arrays": arrays, "numbers": {"settings": settings, "steps": steps}}

    def load_state_dict(self, state):
        """Go on from a `state_dict`. Raises ValueError telling all that does not fit, and then has changed nothing."""
        arrays, steps, settings = state["arrays"], state["numbers"]["steps"], state["numbers"]["settings"]
        faults = [] if len(settings) == len(self.param_groups) else [
            f"it has {len(settings)} groups of parameters, not {len(self.param_groups)}"]
        shapes = {}
        for group, saved in zip(self.param_groups, settings, strict=False):
            faults += [f"the setting {key} is missing" for key in self.settings if key not in saved]
            shapes |= {f"{name}.{slot}": p.shape for owner, name, p, _ in self.members()
                       if owner is group and name in steps for slot in self.slots({**group, **saved})}
        faults += [f"{name} is unexpected" for name in steps if name not in self.names]
        faults += [f"{name} is unexpected" for name in arrays if name not in shapes]
        faults += [f"{name} is missing" for name in shapes if name not in arrays]
        faults += [f"{name} has the shape {arrays[name].shape}, not {shape}"
                   for name, shape in shapes.items() if name in arrays and arrays[name].shape != shape]
        if faults:
            raise ValueError(f"load_state_dict: this state is not of {type(self).__name__}:\n  " + "\n  ".join(faults))
        for group, saved in zip(self.param_groups, settings, strict=True):
            group.update((key, saved[key]) for key in self.settings)
        self.states = [{"steps": steps.get(name, 0)} for name in self.names]
        self.batches, self.moved = [], []
        for group, name, p, own in self.members():
            if own["steps"]:
                slots = self.slots(group)
                complete(own, p.data, slots)
                for slot in slots:
                    own[slot][...] = array_module(p.data).asarray(arrays[f"{name}.{slot}"])


def as_groups(optimizer, parameters):
    """What an optimizer was given as a list of dictionaries with "params"."""
    if isinstance(parameters, Tensor):
        raise TypeError(f"{optimizer}: give a list of parameters, not one tensor")
    parameters = list(parameters)
    if not parameters or not isinstance(parameters[0], dict):
        return [{"params": parameters}]
    if not all(isinstance(group, dict) and "params" in group for group in parameters):
        raise TypeError(f'{optimizer}: every group must be a dictionary with "params"')
    return parameters


def as_pairs(params, first):
    """The parameters of a group as a list of (name, parameter); those without a name are numbered, from `first` on."""
    params = [params] if isinstance(params, Tensor) else params
    return [p if isinstance(p, tuple) else (str(i), p) for i, p in enumerate(params, first)]


def complete(state, x, slots):
    """Give `state` the arrays that it lacks: zeros, in the order of memory of the parameter's array `x`."""
    for slot in slots:
        if slot not in state:
            state[slot] = array_module(x).zeros_like(x)


def check_not_negative(optimizer, **settings):
    """Raise ValueError unless every setting is 0 or more."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{optimizer}: {name}={value!r} must not be negative")
