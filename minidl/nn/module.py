"""A network is a tree of modules, and a module is an object with tensors in it.

Every Module or Parameter assigned to an attribute, directly or inside a list, tuple or dict, belongs to the module, in
order of assignment. Any other Tensor belongs if it was there when `__init__` returned, or if `register_buffer` was
called for it. So an input or an output that a call leaves on the module is neither trained nor saved nor moved; nor are
NumPy arrays. A name that belongs may get another tensor.
A module computes its output in `forward`. Read `layers.py` next.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from minidl.arrays import plain_array
from minidl.device import Device, array_module, at, is_dtype
from minidl.missing import MODULE, Listed, answer
from minidl.modes import NonFiniteError
from minidl.nn.hooks import Hook, RemovableHandle, call_with_hooks, register
from minidl.scalars import check_set_to_none
from minidl.tensor import Tensor
from minidl.writes import written

Fusions = dict[type["Module"], dict[str, Any]]


class Parameter(Tensor):
    """A tensor to be trained. It stays a parameter while it is frozen, that is while `requires_grad` is False."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data, requires_grad)


def and_remember(init: Callable[..., None]) -> Callable[..., None]:
    """`__init__` of a class; when that of an object's own class returns, its tensors are those it was built with."""
    @functools.wraps(init)
    def remembering(self: Module, *values: Any, **settings: Any) -> None:
        init(self, *values, **settings)
        if type(self).__init__ is remembering:              # not that of a base class, called by the object's own
            remember(self)
    remembering.remembers = True                            # type: ignore[attr-defined]
    return remembering


class Module:
    """The base of all layers and networks: a subclass assigns its attributes and computes its output in `forward`.

    Names are dotted paths as in PyTorch: `self.layers = [Linear(2, 3)]` holds "layers.0.weight" and "layers.0.bias".
    Parameters are the tensors made as Parameter, and all others that require a gradient, or did when the module was
    built; the rest are buffers.
    """

    training: bool = True
    built_with: frozenset[str] | None = None    # the names of the tensors that were there when `__init__` returned,
    built_to_train: frozenset[str] = frozenset()           # and of those that required a gradient and are no Parameter
    registered: Mapping[str, bool] = MappingProxyType({})      # by `register_buffer`: {name: whether it is saved}
    architecture: dict[str, Any]                # set by the decorator `architecture`
    made_by: str = ""                           # likewise: the function that made it
    about: dict[str, Any]                       # the facts in a model file, set by `minidl.io.load_model`
    forward_hooks: tuple[Hook, ...] = ()
    forward_pre_hooks: tuple[Hook, ...] = ()
    fuses_after: ClassVar[Fusions] = {}         # see `sequential.py`
    fuses_before: ClassVar[Fusions] = {}
    transparent: ClassVar[bool] = False         # whether what is in it keeps the names that it has without it

    @and_remember
    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if not hasattr(cls.__init__, "remembers"):          # its own, or that of a class that is no Module
            cls.__init__ = and_remember(cls.__init__)       # type: ignore[method-assign]

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """Compute the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        """The output of `forward`, with the hooks run before and after it."""
        if self.built_with is None:                         # an `__init__` that was put in later, as by `dataclass`
            remember(self)
        try:
            if self.forward_hooks or self.forward_pre_hooks:
                return call_with_hooks(self, inputs, settings)
            return self.forward(*inputs, **settings)
        except NonFiniteError as error:
            if error.module is None:            # the innermost module is the first to get here
                error.module = self
            raise

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold. An output that a call left here is in it without the graph it came from."""
        return {name: without_graph(value) for name, value in vars(self).items()}

    # Hooks

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> RemovableHandle:
        """Call hook(module, args, output) after each `forward`; unless it returns None, that replaces the output.

        prepend      run it before the hooks registered so far, not after them
        with_kwargs  call hook(module, args, kwargs, output)
        always_call  not supported: a hook is not called when `forward` raises
        Returns a handle: handle.remove(), or the end of `with handle:`, removes the hook.
        """
        if always_call:
            raise ValueError("register_forward_hook: always_call=True is not supported; catch the error where the "
                             "module is called")
        return register(self, "forward_hooks", Hook(hook, with_kwargs), prepend)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:
        """Call hook(module, args) before each `forward`; unless it returns None, that replaces the arguments.

        The hook may return a tuple of arguments, or a single argument that is not a tuple. The settings are as in
        `register_forward_hook`; hook(module, args, kwargs) returns None or (args, kwargs).
        """
        return register(self, "forward_pre_hooks", Hook(hook, with_kwargs), prepend)

    # What belongs to it

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Assign a tensor, or None for one that comes later, that belongs to the module and is not trained.

        persistent  whether it is saved; one that is not moves with `to` all the same
        """
        kind = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{kind}: the name of a buffer must be a word without dots, not {name!r}")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"{kind}: the buffer {name!r} must be a Tensor or None, not {type(tensor).__name__}; write "
                            "Tensor(array)")
        if hasattr(self, name) and name not in self.registered:
            raise ValueError(f"{kind}: there is already an attribute {name!r}; register the buffer by another name")
        self.registered = {**self.registered, name: bool(persistent)}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Assign a Parameter, or None: the same as `self.name = parameter`."""
        if not isinstance(parameter, Parameter | None):
            raise TypeError(f"{type(self).__name__}: the parameter {name!r} must be a Parameter or None, not "
                            f"{type(parameter).__name__}; write nn.Parameter(array)")
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """Assign a module, or None: the same as `self.name = module`."""
        if not isinstance(module, Module | None):
            raise TypeError(f"{type(self).__name__}: {name!r} must be a Module or None, not {type(module).__name__}")
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for those directly below this module; a shared one is listed once."""
        return once((name, member) for name, member in members(self) if isinstance(member, Module))

    def children(self) -> Iterator[Module]:
        """The modules directly below this module; those in a plain list are among them."""
        return (module for _, module in self.named_children())

    def modules(self) -> Iterator[Module]:
        """This module and all below it; a shared one is listed once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for this module, named "", and for all below it; a shared one is listed once."""
        return once(modules(self))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, parameter) for every parameter here and below; a shared one is listed once."""
        return once((name, tensor) for name, tensor, is_buffer, _ in tensors(self) if not is_buffer)

    def parameters(self) -> list[Tensor]:
        """Every parameter here and below, frozen ones too; a shared one is listed once."""
        return Listed(tensor for _, tensor in self.named_parameters())

    def buffers(self) -> list[Tensor]:
        """Every tensor here and below that is not trained, such as running means; a shared one is listed once."""
        return Listed(tensor for _, tensor in self.named_buffers())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(name, buffer) for every buffer here and below; a shared one is listed once."""
        return once((name, tensor) for name, tensor, is_buffer, _ in tensors(self) if is_buffer)

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) for all that is saved; a shared one is listed under each of its names."""
        return ((name, tensor) for name, tensor, _, is_saved in tensors(self) if is_saved)

    # Changing all of it; each of these returns the module

    def train(self, mode: bool = True) -> Self:
        """Set training mode, or eval mode with mode=False; Dropout and batch normalization behave differently.

        It calls `train(mode)` of the modules below, so a subclass may override it, for example to keep a batch norm in
        eval mode.
        """
        self.training = bool(mode)
        for _, member in members(self):
            if isinstance(member, Module):
                member.train(mode)
        return self

    def eval(self) -> Self:
        """Set eval mode: the same as `train(False)`."""
        return self.train(False)

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call function(module) for all modules below this one, children first, and then for itself."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter require a gradient, or freeze it; buffers stay as they are."""
        for tensor in self.parameters():
            tensor.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> Self:
        """Set the gradient of every parameter to None."""
        check_set_to_none(type(self).__name__, set_to_none)
        for tensor in self.parameters():
            if tensor.requires_grad:
                tensor.grad = None
        return self

    def to(self, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> Self:
        """Move every tensor to a device, convert floating-point ones to a dtype, or both: model.to("gpu", np.float64).

        A tensor that changes loses its gradient. The state that an optimizer keeps for it follows at the next step.
        non_blocking  accepted; the copies are awaited all the same
        """
        if is_dtype(device):
            device, dtype = None, device
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise TypeError(f"to: dtype={dtype!r} must be a floating-point type; buffers of integers stay as they are")
        target = None if device is None else Device.parse(device)
        for _, tensor in once((name, tensor) for name, tensor, *_ in tensors(self)):
            array = tensor.data
            if dtype is not None and array.dtype.kind == "f":
                with at(array):
                    array = plain_array(array.astype(dtype, copy=False))
            array = array if target is None else target.put(array)
            if array is not tensor.data:
                required, tensor.node = tensor.requires_grad and tensor.is_leaf, None
                tensor.data, tensor.requires_grad = array, required        # a new leaf, with the new dtype
        return self

    def cpu(self) -> Self:
        """Move every tensor to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int = 0) -> Self:
        """Move every tensor to a GPU."""
        return self.to(f"gpu:{device}")

    def float(self) -> Self:
        """Convert every tensor of floats to float32."""
        return self.to(dtype=np.float32)

    def double(self) -> Self:
        """Convert every tensor of floats to float64."""
        return self.to(dtype=np.float64)

    # Saving

    def state_dict(self) -> dict[str, np.ndarray]:
        """{name: NumPy array} of all parameters and buffers, by PyTorch's names; a shared tensor under each of its own.

        The arrays are copies in C order, so further training does not change them.
        """
        return {name: np.array(tensor.numpy(), order="C") for name, tensor in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
        """Copy arrays (or tensors) into the tensors of those names, which keep their dtype and memory order.

        strict=False accepts missing and unknown names. Returns the lists (missing, unexpected).
        If anything does not fit, raises a ValueError that lists it all, and changes nothing.
        """
        own = dict(self.named_state())
        arrays = {name: x.numpy() if isinstance(x, Tensor) else np.asarray(x) for name, x in state.items()}
        missing = [name for name in own if name not in arrays]
        unexpected = [name for name in arrays if name not in own]
        faults = [misfit(name, own[name], array) for name, array in arrays.items() if name in own]
        if strict:
            faults += [f"{name} is missing" for name in missing]
            faults += [f"{name} is unexpected" for name in unexpected]
        if found := list(filter(None, faults)):
            raise ValueError(f"load_state_dict: this state does not fit {type(self).__name__}:\n  "
                             + "\n  ".join(found))
        for name, tensor in own.items():
            if name in arrays:
                with at(tensor.data):
                    tensor.data[...] = array_module(tensor.data).asarray(arrays[name])
                written(tensor.data)
        return missing, unexpected

    # Printing

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return ""

    def __repr__(self) -> str:
        inner = [f"({name}): {module!r}" for name, module in members(self) if isinstance(module, Module)]
        if not inner:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(filter(None, [self.extra_repr(), *inner])).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"


answer(Module, MODULE)


def remember(module: Module) -> None:
    """Note the tensors that a module has now as those it was built with."""
    vars(module).pop("built_with", None)
    own = {name: member for name, member in members(module) if isinstance(member, Tensor)}
    module.built_with = frozenset(own)
    if trained := frozenset(name for name, t in own.items() if t.requires_grad and not isinstance(t, Parameter)):
        module.built_to_train = trained


def members(module: Module) -> Iterator[tuple[str, Tensor | Module]]:
    """(name, Tensor or Module) for each that belongs to the module itself."""
    built_with, registered = module.built_with, module.registered
    for name, value in held(vars(module)):
        if isinstance(value, (Module, Parameter)) or name in registered or (
                value.is_leaf if built_with is None else name in built_with):
            yield name, value


def held(container: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, Tensor or Module) for each that a dictionary holds, directly or in lists, tuples and dictionaries."""
    for key, value in container.items():
        if isinstance(value, (Module, Tensor)):
            yield f"{prefix}{key}", value
        elif isinstance(value, (list, tuple)):
            yield from held(dict(enumerate(value)), f"{prefix}{key}.")
        elif isinstance(value, dict):
            yield from held(value, f"{prefix}{key}.")


def without_graph(value: Any) -> Any:
    """`value` with outputs of operations detached, also in lists, tuples and dictionaries; itself if it has none."""
    if isinstance(value, Tensor):
        return value if value.is_leaf else value.detach()
    if type(value) is dict:
        detached = {key: without_graph(item) for key, item in value.items()}
        return detached if any(detached[key] is not item for key, item in value.items()) else value
    if isinstance(value, list | tuple):
        items = list(map(without_graph, value))
        if any(new is not old for new, old in zip(items, value, strict=True)):
            return value._make(items) if hasattr(value, "_make") else type(value)(items)
    return value


def modules(module: Module, name: str = "") -> Iterator[tuple[str, Module]]:
    """(dotted name, module) for the module itself and for each below it."""
    yield name, module
    for key, member in members(module):
        if isinstance(member, Module):
            yield from modules(member, f"{name}.{key}" if name else key)


def tensors(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor, bool, bool]]:
    """(dotted name, tensor, whether it is a buffer, whether it is saved) for each tensor of the module or below it."""
    registered = module.registered
    for name, member in members(module):
        if isinstance(member, Module):
            yield from tensors(member, prefix if module.transparent else f"{prefix}{name}.")
        else:
            yield prefix + name, member, not is_parameter(module, name, member), registered.get(name, True)


def once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The (name, object) pairs, each object at its first name only."""
    seen = set()
    for name, thing in named:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


def is_parameter(module: Module, name: str, tensor: Tensor) -> bool:
    """Whether a tensor of a module is one of its parameters, which it remains while it is frozen."""
    if name in module.registered:
        return False
    return isinstance(tensor, Parameter) or (tensor.is_leaf and (tensor.requires_grad or name in module.built_to_train))


def misfit(name: str, tensor: Tensor, array: np.ndarray) -> str | None:
    """Why `array` cannot be copied into `tensor`, as a sentence; None if it can."""
    if array.shape != tensor.shape:
        return f"{name} has the shape {array.shape}, not {tensor.shape}"
    counts = array.dtype.kind == "f" and tensor.dtype.kind == "i" and holds_integers(array)
    if not np.can_cast(array.dtype, tensor.dtype, "same_kind") and not counts:
        return f"{name} has the dtype {array.dtype}, not {tensor.dtype}"
    return None


def holds_integers(array: np.ndarray) -> bool:
    """Whether all elements are integers, whatever their dtype."""
    return bool((np.isfinite(array) & (array == np.trunc(array))).all())
