"""What all optimizers share: the parameters, the state kept for each of them, and how it is saved.

During training only the optimizer writes into the arrays of parameters. Its state is a list parallel to the parameters:
for each one a dictionary with the number of its steps, and with arrays that are created at the first step and follow
the parameter in dtype, device and memory order. The settings are in `param_groups` and may differ between groups. A
subclass defines in `update` how a batch of parameters takes a step; the arithmetic is in
`kernels/plain/optimizers.py`. Read `sgd.py` next.

What a step finds out is kept for the next one, and belongs to these very arrays: a copy of the optimizer and a pickle
leave it out. A copy made together with its model, `copy.deepcopy((model, optimizer))`, trains the copied model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from operator import is_
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl.arrays import is_float
from minidl.capture import by_host, each_time, if_capture_fails, varying
from minidl.described import changed
from minidl.device import CPU, array_module, at, device_of
from minidl.kernels import Arrays, backend, expect_training
from minidl.kernels.plain.optimizers import kept_unless
from minidl.missing import OPTIMIZER, answer
from minidl.modes import mode, watched
from minidl.scalars import check_set_to_none, number, plain
from minidl.tensor import Tensor
from minidl.writes import written

Parameters = Iterable[Tensor | tuple[str, Tensor] | dict[str, Any]]


class Setting:
    """An attribute of an optimizer that is stored in its groups: read from the first of them, and set in all."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type | None = None) -> Any:
        return self if optimizer is None else optimizer.param_groups[0][self.name]

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        checked = [optimizer.checked({**group, self.name: value}) for group in optimizer.param_groups]
        for group, given, settings in zip(optimizer.param_groups, optimizer.given, checked, strict=True):
            group[self.name] = given[self.name] = settings[self.name]


class Batch(NamedTuple):
    """Parameters that are updated together, because they share their settings and their number of steps."""

    group: dict[str, Any]                       # the settings
    parameters: list[Tensor]
    states: list[dict[str, Any]]
    xs: Arrays                                  # the data of each parameter
    slots: dict[str, Arrays]                    # the state of each parameter, by name

    def numbers(self, *settings: str) -> list[float]:
        """These settings as floats; of a captured step, the learning rate as an array."""
        return [varying(self.lr) if name == "lr" else float(self.group[name]) for name in settings]

    def lr(self) -> float:
        """The present learning rate."""
        return float(self.group["lr"])

    def slot(self, name: str) -> Arrays:
        """The arrays of that name in the states; initially zeros. They follow the parameters: see `as_like`."""
        if name not in self.slots:
            for x, state in zip(self.xs, self.states, strict=True):
                complete(state, x, [name])
                state[name] = as_like(state[name], x)
            self.slots[name] = Arrays(state[name] for state in self.states)
        return self.slots[name]


class Optimizer:
    """Updates parameters so that a loss decreases. One without a gradient, such as a frozen one, is not changed.

    parameters  tensors, or (name, tensor) pairs such as model.named_parameters() yields; the names are for saving.
                Or groups with settings of their own: [{"params": body, "lr": 0.01}, {"params": head}]
    settings    the defaults of all groups. Each is an attribute: setting it, at any time, sets it in all groups;
                param_groups[0]["lr"] is the setting of the first group alone. They are Python's numbers; NumPy's are
                converted. Raises ValueError for one that makes no sense: when it is set, or at the next step
    """

    settings: tuple[str, ...] = ("lr",)         # the names of the settings
    later: ClassVar[dict[str, Any]] = {}        # settings that states saved by earlier versions lack, and their values
    lr = Setting()
    skip: Any = None                            # float32 () on a GPU: unless it is 0, a step changes nothing, and
    skipped: Any = None                         # float64 () counts it: see `grad_scaler.py`

    def __init__(self, parameters: Parameters, **settings: Any):
        name = type(self).__name__
        self.param_groups: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.parameters: list[Tensor] = []
        for group in as_groups(name, parameters):
            if unknown := set(group) - {"params", *self.settings}:
                raise ValueError(f"{name}: a group has no setting {', '.join(sorted(unknown))}; "
                                 f"the settings are {', '.join(self.settings)}")
            pairs = as_pairs(group["params"], len(self.names))
            for key, p in pairs:
                if not isinstance(p, Tensor) or not p.is_leaf or not is_float(p.dtype):
                    raise TypeError(f"{name}: {key} is not a parameter; a parameter is a Tensor of floats that is not "
                                    "the output of an operation")
            self.names += [key for key, _ in pairs]
            self.parameters += [p for _, p in pairs]
            self.param_groups.append({**settings, **group, "params": [p for _, p in pairs]})
        if not self.parameters:
            raise ValueError(f"{name}: there are no parameters to optimize")
        if len(set(self.names)) < len(self.names) or len(set(map(id, self.parameters))) < len(self.parameters):
            raise ValueError(f"{name}: a parameter, or a name, occurs twice")
        for group in self.param_groups:
            group.update(self.checked(group))
        self.given = [{key: group[key] for key in self.settings} for group in self.param_groups]
        self.states: list[dict[str, Any]] = [{"steps": 0} for _ in self.parameters]
        self.scheduled: list[dict[str, float]] = [{} for _ in self.param_groups]     # see `schedules/schedule.py`
        self.forget()
        expect_training(name, [p.data for p in self.parameters])

    def __repr__(self) -> str:
        """The settings with which it was made, or that were set as attributes: a schedule changes those in use only."""
        groups = [changed(self, given) for given in self.given]
        if len(groups) > 1:
            counts = [len(group["params"]) for group in self.param_groups]
            groups = [f"{count} parameter{'s' * (count != 1)} with {settings or 'the defaults'}"
                      for count, settings in zip(counts, groups, strict=True)]
        return f"{type(self).__name__}({'; '.join(groups)})"

    def forget(self) -> None:
        """Forget what earlier steps found out."""
        self.batches: list[Batch] = []
        self.batched: list[Any] = []            # the arrays in the batches
        self.seen: list[list[Any]] = [[] for _ in self.param_groups]     # the settings at the last step

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in ("batches", "batched", "seen", "skipped")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.forget()

    def checked(self, group: dict[str, Any]) -> dict[str, Any]:
        """The settings of a group, with Python's numbers in place of NumPy's. Raises ValueError for invalid ones."""
        settings = {key: plain(group[key]) for key in self.settings}
        self.check(type(self).__name__, **settings)
        return settings

    def check(self, name: str, *values: Any, **settings: Any) -> None:
        """Raise ValueError, beginning with the optimizer's `name`, unless the `settings` of a group are valid."""
        check_not_negative(name, lr=settings["lr"])

    def slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names of the arrays in the state of each parameter of a group."""
        return ()

    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        """Write into the parameters of one Batch, and into its slots; never into `grads`."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None."""
        check_set_to_none(type(self).__name__, set_to_none)
        nodes = [p.node for p in self.parameters if p.node is not None]
        for node in nodes:
            node.grad = None
        if mode.varying is not None:
            mode.varying.clear(nodes)

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        if by_host(self.step):
            return
        for i, group in enumerate(self.param_groups):
            values = [group[key] for key in self.settings]
            if not same(values, self.seen[i]):
                group.update(self.checked(group))
                self.seen[i] = [group[key] for key in self.settings]
        arrays = [p.data for p in self.parameters if p.grad is not None]
        if not same(arrays, self.batched):
            self.batches, self.batched = self.make_batches(), arrays
        for batch in self.batches:
            each_time(partial(count_step, batch.states))
            if_capture_fails(partial(count_step, batch.states, -1))
            update = watched(self.update, "step", type(self).__name__)
            with at(batch.xs[0]):
                self.update_unless_skipped(update, batch, [p.grad for p in batch.parameters])
        each_time(partial(written, *arrays))

    def update_unless_skipped(self, update: Any, batch: Batch, grads: list[Any]) -> None:
        """Update the parameters of a batch, unless `skip` is there and not 0."""
        kernels, ready = backend(batch.xs[0]), getattr(type(self).update, "gpu_ready", False)
        if mode.varying is not None and not ready:
            raise RuntimeError(f"a graph would bake in the numbers that {type(self).__name__} changes in each step")
        batch.xs.unless = self.skip
        try:
            if ready and kernels.__name__.endswith(".gpu"):
                update(kernels, batch, grads)
            else:
                with kept_unless(batch.xs, *(batch.slot(slot) for slot in self.slots(batch.group))):
                    update(kernels, batch, grads)
        finally:
            batch.xs.unless = None

    def steps_of(self, batch: Batch) -> Any:
        """The number of this step of a batch; where steps are skipped, which the GPU alone knows, an array."""
        steps = varying(lambda: batch.states[0]["steps"])
        return steps if self.skipped is None else steps - self.skipped

    def settle(self) -> None:
        """Take the steps that were skipped out of the number of steps, for which the GPU is waited for."""
        if self.skipped is not None and (count := int(self.skipped)):
            for state in self.states:
                state["steps"] = max(0, state["steps"] - count)
            with at(self.skipped):
                self.skipped.fill(0)

    def make_batches(self) -> list[Batch]:
        """The parameters that have gradients, in batches of equal group, number of steps, and kind of array."""
        parts: dict[Any, list[Any]] = {}
        for group, name, p, state in self.members():
            if p.grad is not None:
                if p.grad.shape != p.shape:
                    raise ValueError(f"{type(self).__name__}: {name} has the shape {p.shape}, but its gradient "
                                     f"{p.grad.shape}; call zero_grad() when a parameter gets another array")
                parts.setdefault((id(group), state["steps"], type(p.data), p.dtype), []).append((group, p, state))
        batches = []
        for part in parts.values():
            groups, parameters, states = zip(*part, strict=True)
            xs = Arrays(p.data for p in parameters)
            batches.append(Batch(groups[0], list(parameters), list(states), xs, {}))
        return batches

    def members(self) -> Iterator[tuple[dict[str, Any], str, Tensor, dict[str, Any]]]:
        """(group, name, parameter, state) of every parameter."""
        groups = [group for group in self.param_groups for _ in group["params"]]
        return zip(groups, self.names, self.parameters, self.states, strict=True)

    def state_dict(self) -> dict[str, Any]:
        """The state for resuming exactly: {"arrays": {name: NumPy array}, "numbers": a dictionary for JSON}.

        For example, the velocity of the parameter "conv.weight" is the array "conv.weight.velocity"; arrays are copies.
        """
        self.settle()
        arrays: dict[str, np.ndarray] = {}
        steps: dict[str, int] = {}
        for group, name, p, state in self.members():
            if state["steps"]:
                slots = self.slots(group)
                complete(state, p.data, slots)
                steps[name] = state["steps"]
                arrays |= {f"{name}.{slot}": np.array(CPU.put(state[slot]), order="C") for slot in slots}
        settings = [self.checked(group) for group in self.param_groups]
        return {"arrays": arrays, "numbers": {"settings": settings, "steps": steps}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`. If anything does not fit, raises ValueError with the list and changes nothing."""
        arrays, steps = state["arrays"], state["numbers"]["steps"]
        settings = [{**self.later, **saved} for saved in state["numbers"]["settings"]]
        faults = [] if len(settings) == len(self.param_groups) else [
            f"it has {len(settings)} groups of parameters, not {len(self.param_groups)}"]
        shapes: dict[str, tuple[int, ...]] = {}
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
            raise ValueError(f"load_state_dict: this state does not fit {type(self).__name__}:\n  "
                             + "\n  ".join(faults))
        for group, checked in zip(self.param_groups, [self.checked(saved) for saved in settings], strict=True):
            group.update(checked)
        self.states = [{"steps": steps.get(name, 0)} for name in self.names]
        self.forget()
        for group, name, p, own in self.members():
            if own["steps"]:
                slots = self.slots(group)
                complete(own, p.data, slots)
                with at(p.data):
                    for slot in slots:
                        own[slot][...] = array_module(p.data).asarray(arrays[f"{name}.{slot}"])


answer(Optimizer, OPTIMIZER)


def as_groups(optimizer: str, parameters: Parameters) -> list[dict[str, Any]]:
    """The parameters given to an optimizer as a list of dictionaries with "params"."""
    if isinstance(parameters, Tensor):
        raise TypeError(f"{optimizer}: pass a list of parameters, not one Tensor")
    if hasattr(parameters, "named_parameters"):
        raise TypeError(f"{optimizer}: pass model.parameters(), not the model")
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{optimizer}: pass model.parameters() first, not {parameters!r}")
    groups: list[Any] = list(parameters)
    if not groups or not isinstance(groups[0], dict):
        return [{"params": groups}]
    if not all(isinstance(group, dict) and "params" in group for group in groups):
        raise TypeError(f'{optimizer}: every group must be a dictionary with "params"')
    return groups


def as_pairs(params: Any, first: int) -> list[tuple[str, Tensor]]:
    """The parameters of a group as a list of (name, parameter); those without a name are numbered from `first`."""
    params = [params] if isinstance(params, Tensor) else params
    return [p if isinstance(p, tuple) else (str(i), p) for i, p in enumerate(params, first)]


def complete(state: dict[str, Any], x: Any, slots: Iterable[str]) -> None:
    """Add the arrays that `state` lacks: zeros, in the memory order of the parameter's array `x`."""
    for slot in slots:
        if slot not in state:
            with at(x):
                state[slot] = array_module(x).zeros_like(x)


def as_like(array: Any, x: Any) -> Any:
    """`array` itself if it has the device, dtype and memory order of x, else a copy that has them."""
    if array.shape != x.shape:
        raise ValueError(f"an array of shape {array.shape} was kept for a parameter whose shape is now {x.shape}; "
                         "create the optimizer, or the average, again")
    if (type(array) is type(x) and array.dtype == x.dtype and array.strides == x.strides
            and device_of(array) == device_of(x)):
        return array
    with at(x):
        copy = array_module(x).empty_like(x)
        same_place = type(array) is type(x) and device_of(array) == device_of(x)
        copy[...] = array if same_place else array_module(x).asarray(CPU.put(array))
    return copy


def gpu_ready(update: Any) -> Any:
    """Mark an `update` whose changing numbers come from `numbers` and `steps_of`, and whose kernels know `unless`."""
    update.gpu_ready = True
    return update


def count_step(states: list[dict[str, Any]], by: int = 1) -> None:
    """Count a step in the state of each parameter."""
    for state in states:
        state["steps"] += by


def same(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists hold the same objects."""
    return len(first) == len(second) and all(map(is_, first, second))


def check_not_negative(optimizer: str, **settings: Any) -> None:
    """Raise ValueError unless every setting is a number of at least 0."""
    for name, value in settings.items():
        number(optimizer, name, value, 0)
