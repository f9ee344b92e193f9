"""What all optimizers share: the parameters, what is remembered about each, and how to save it.

In training an optimizer alone writes into the arrays of parameters. Its state is a list, zipped with the parameters:
for each a dictionary with the number of its steps, and with arrays that are made at the first step and lie in memory as
the parameter does. A subclass says in `update` how one parameter takes a step. Read `sgd.py` next.
"""

import numpy as np

from minidl.device import CPU, array_module
from minidl.tensor import Tensor


class Optimizer:
    """Steps that make a loss smaller.

    parameters  tensors, or (name, tensor) pairs such as model.named_parameters() yields; names are for saving
    lr          the learning rate, an attribute that may be set at any time
    """

    slots = ()                                  # the arrays that are kept beside each parameter, by name
    settings = ("lr",)                          # the attributes that are saved

    def __init__(self, parameters, lr):
        name = type(self).__name__
        if isinstance(parameters, Tensor):
            raise TypeError(f"{name}: give a list of parameters, not one tensor")
        pairs = [p if isinstance(p, tuple) else (str(i), p) for i, p in enumerate(parameters)]
        if not pairs:
            raise ValueError(f"{name}: there are no parameters to optimize")
        for key, p in pairs:
            if not isinstance(p, Tensor) or not p.is_leaf or p.dtype.kind != "f":
                raise TypeError(f"{name}: {key} is no parameter, which is a tensor of floats that no operation made")
        self.names, self.parameters = map(list, zip(*pairs, strict=True))
        if len(set(self.names)) < len(pairs) or len(set(map(id, self.parameters))) < len(pairs):
            raise ValueError(f"{name}: a parameter, or a name, was given twice")
        check_not_negative(name, lr=lr)
        self.lr = lr
        self.states = [{"steps": 0} for _ in pairs]

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            if p.requires_grad:
                p.grad = None

    def step(self):
        """Move every parameter that has a gradient."""
        for p, state in zip(self.parameters, self.states, strict=True):
            if p.grad is not None:
                self.complete(state, p)
                state["steps"] += 1
                self.update(p.data, p.grad, state)

    def update(self, x, grad, state):
        """Write into the array `x` of one parameter, and into its `state`; never into `grad`."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def complete(self, state, p):
        """Give `state` the arrays that it lacks: zeros, in the parameter's order of memory."""
        for slot in self.slots:
            if slot not in state:
                state[slot] = array_module(p.data).zeros_like(p.data)

    def state_dict(self):
        """What is needed to go on exactly from here: {"arrays": {name: NumPy array}, "numbers": what JSON can hold}.

        The velocity of the parameter "conv.weight", say, is the array "conv.weight.velocity"; arrays are copies.
        """
        arrays, steps = {}, {}
        for name, p, state in zip(self.names, self.parameters, self.states, strict=True):
            if state["steps"]:
                self.complete(state, p)
                steps[name] = state["steps"]
                arrays |= {f"{name}.{slot}": np.array(CPU.put(state[slot]), order="C") for slot in self.slots}
        settings = {key: getattr(self, key) for key in self.settings}
        return {"arrays": arrays, "numbers": {"settings": settings, "steps": steps}}

    def load_state_dict(self, state):
        """Go on from a `state_dict`. Raises ValueError telling all that does not fit, and then has changed nothing."""
        arrays, steps, settings = state["arrays"], state["numbers"]["steps"], state["numbers"]["settings"]
        shapes = {f"{name}.{slot}": p.shape
                  for name, p in zip(self.names, self.parameters, strict=True) if name in steps for slot in self.slots}
        faults = [f"{name} is unexpected" for name in steps if name not in self.names]
        faults += [f"{name} is unexpected" for name in arrays if name not in shapes]
        faults += [f"{name} is missing" for name in shapes if name not in arrays]
        faults += [f"{name} has the shape {arrays[name].shape}, not {shape}"
                   for name, shape in shapes.items() if name in arrays and arrays[name].shape != shape]
        faults += [f"the setting {key} is missing" for key in self.settings if key not in settings]
        if faults:
            raise ValueError(f"load_state_dict: this state is not of {type(self).__name__}:\n  " + "\n  ".join(faults))
        for key in self.settings:
            setattr(self, key, settings[key])
        self.states = [{"steps": steps.get(name, 0)} for name in self.names]
        for name, p, own in zip(self.names, self.parameters, self.states, strict=True):
            if own["steps"]:
                self.complete(own, p)
                for slot in self.slots:
                    own[slot][...] = array_module(p.data).asarray(arrays[f"{name}.{slot}"])


def check_not_negative(optimizer, **settings):
    """Raise ValueError unless every setting is 0 or more."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{optimizer}: {name}={value!r} must not be negative")
