"""The optimizers with PyTorch's further arguments, and states in PyTorch's form: {"state": ..., "param_groups": ...}.

The arithmetic and the form that `fit` saves are those of `minidl.optim`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import Tensor, optim
from minidl.device import CPU
from minidl.optim import Optimizer
from minidl.tensor import as_array

SLOTS: dict[str, dict[str, str]] = {             # {optimizer: {our array: PyTorch's}}
    "SGD": {"velocity": "momentum_buffer"},
    "Adam": {"mean": "exp_avg", "square": "exp_avg_sq"},
    "AdamW": {"mean": "exp_avg", "square": "exp_avg_sq"},
    "NAdam": {"mean": "exp_avg", "square": "exp_avg_sq"},
    "RMSprop": {"square": "square_avg", "velocity": "momentum_buffer", "mean": "grad_avg"},
    "Adagrad": {"square": "sum"},
}
SPEED = ("foreach", "fused", "capturable", "differentiable")             # how a step is done, not what it does
OTHERS = {"maximize": False, "amsgrad": False}                           # supported with these values alone


def check_others(name: str, settings: dict[str, Any]) -> None:
    """Raise ValueError for a setting of PyTorch's that would change the result."""
    for key, value in settings.items():
        if key in OTHERS and value != OTHERS[key]:
            raise ValueError(f"{name}: {key}={value!r} is not supported")
        if key not in OTHERS and key not in SPEED:
            raise TypeError(f"{name}: there is no setting {key}")


class InPyTorchsForm(Optimizer):
    """What the optimizers below add: step(closure), arguments about speed, and the form of states."""

    def __init__(self, params: Any, *values: Any, **settings: Any):
        others = {key: settings.pop(key) for key in (*SPEED, *OTHERS) if key in settings}
        check_others(type(self).__name__, others)
        super().__init__(params, *values, **settings)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take a step; with a `closure`, which computes gradients, call it before, and return what it returns."""
        loss = None if closure is None else closure()
        super().step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of a parameter: its arrays}, "param_groups": the settings, and the numbers}"""
        slots, state, groups, count = SLOTS[type(self).__name__], {}, [], 0
        own = Optimizer.state_dict(self)
        for i, (group, name, *_) in enumerate(self.members()):
            if name in own["numbers"]["steps"]:
                arrays = {theirs: Tensor(own["arrays"][f"{name}.{ours}"]) for ours, theirs in slots.items()
                          if f"{name}.{ours}" in own["arrays"]}
                state[i] = self.further(group, own["numbers"]["steps"][name], arrays)
        for group, settings in zip(self.param_groups, own["numbers"]["settings"], strict=True):
            numbers = list(range(count, count := count + len(group["params"])))
            groups.append({**settings, **dict.fromkeys(SPEED[:2]), **OTHERS, "params": numbers})
        return {"state": state, "param_groups": groups}

    def further(self, group: dict[str, Any], steps: int, arrays: dict[str, Tensor]) -> dict[str, Any]:
        """The state of one parameter: its arrays, and what PyTorch keeps beside them."""
        if isinstance(self, optim.SGD):
            return dict(arrays)
        if isinstance(self, optim.Adagrad):
            arrays["sum"] = arrays["sum"] + group["initial_accumulator_value"]
        product = {}
        if isinstance(self, optim.NAdam):
            product["mu_product"] = Tensor(self.product(group["betas"][0], group["momentum_decay"], steps))
        return {"step": Tensor(float(steps)), **arrays, **product}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state in PyTorch's form or in minidl's. Raises ValueError if it does not fit."""
        Optimizer.load_state_dict(self, self.in_our_form(state) if "param_groups" in state else state)

    def in_our_form(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state in PyTorch's form as `minidl.optim.Optimizer.load_state_dict` takes it."""
        name = type(self).__name__
        groups = state["param_groups"]
        numbers = [number for group in groups for number in group["params"]]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError(f"{name}.load_state_dict: the state is for groups of "
                             f"{[len(group['params']) for group in groups]} parameters, not of "
                             f"{[len(group['params']) for group in self.param_groups]}")
        for group in groups:
            check_others(name, {key: group[key] for key in OTHERS if key in group})
        settings = [{key: group[key] for key in self.settings if key in group} for group in groups]
        steps, arrays = {}, {}
        for number, (group, own, p, _) in zip(numbers, self.members(), strict=True):
            saved = state["state"].get(number)
            if saved and any(value is not None for value in saved.values()):
                steps[own] = int(as_array(saved["step"])) if "step" in saved else 1
                for ours, theirs in SLOTS[name].items():
                    if saved.get(theirs) is not None:
                        arrays[f"{own}.{ours}"] = np.asarray(CPU.put(as_array(saved[theirs])), p.dtype)
                if isinstance(self, optim.Adagrad):
                    arrays[f"{own}.square"] = arrays[f"{own}.square"] - group["initial_accumulator_value"]
        return {"arrays": arrays, "numbers": {"settings": settings, "steps": steps}}


class SGD(InPyTorchsForm, optim.SGD):
    """`minidl.optim.SGD`"""


class Adam(InPyTorchsForm, optim.Adam):
    """`minidl.optim.Adam`"""


class AdamW(InPyTorchsForm, optim.AdamW):
    """`minidl.optim.AdamW`"""


class NAdam(InPyTorchsForm, optim.NAdam):
    """`minidl.optim.NAdam`"""


class RMSprop(InPyTorchsForm, optim.RMSprop):
    """`minidl.optim.RMSprop`"""


class Adagrad(InPyTorchsForm, optim.Adagrad):
    """`minidl.optim.Adagrad`"""
