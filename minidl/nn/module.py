"""A network is a tree of modules, and a module is an object with tensors in it.

Nothing is registered: every Tensor or Module assigned to an attribute, directly or inside a list, tuple or dict,
belongs to the module, in order of assignment. NumPy arrays do not: they are neither trained nor saved nor moved. Nor do
tensors that an operation computed; to keep an output on the module, keep its array.
A module computes its output in `forward`. Read `layers.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from minidl.arrays import plain
from minidl.device import Device, array_module
from minidl.modes import NonFiniteError
from minidl.nn.hooks import Hook, RemovableHandle, call_with_hooks, register
from minidl.tensor import Tensor
from minidl.writes import written

Fusions = dict[type["Module"], dict[str, Any]]


class Parameter(Tensor):
    """A tensor to be trained. It stays a parameter while it is frozen, that is while `requires_grad` is False."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data, requires_grad)


class Module:
    """The base of all layers and networks: a subclass assigns its attributes and computes its output in `forward`.

    Names are dotted paths as in PyTorch: `self.layers = [Linear(2, 3)]` holds "layers.0.weight" and "layers.0.bias".
    Parameters are the tensors made as Parameter, and all others that require a gradient; the rest are buffers.
    """

    training: bool = True
    architecture: dict[str, Any]                # set by the decorator `architecture`
    about: dict[str, Any]                       # the facts in a model file, set by `minidl.io.load_model`
    forward_hooks: tuple[Hook, ...] = ()
    forward_pre_hooks: tuple[Hook, ...] = ()
    fuses_after: ClassVar[Fusions] = {}         # see `sequential.py`
    fuses_before: ClassVar[Fusions] = {}

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """Compute the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        """The output of `forward`, with the hooks run before and after it."""
        try:
            if self.forward_hooks or self.forward_pre_hooks:
                return call_with_hooks(self, inputs, settings)
            return self.forward(*inputs, **settings)
        except NonFiniteError as error:
            if error.module is None:            # the innermost module is the first to get here
                error.module = self
            raise

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

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for this module, named "", and for all below it; a shared one is listed once."""
        return once(walk(self, "", Module))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, parameter) for every parameter here and below; a shared one is listed once."""
        return ((name, tensor) for name, tensor in once(walk(self, "", Tensor)) if is_parameter(tensor))

    def parameters(self) -> list[Tensor]:
        """Every parameter here and below, frozen ones too; a shared one is listed once."""
        return [tensor for _, tensor in self.named_parameters()]

    def buffers(self) -> list[Tensor]:
        """Every tensor here and below that is saved but not trained, such as running means; each is listed once."""
        return [tensor for _, tensor in once(self.named_state()) if not is_parameter(tensor)]

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) for every parameter and buffer that is saved; a shared one under each of its names."""
        return walk(self, "", Tensor)

    # Changing all of it; each of these returns the module

    def train(self, mode: bool = True) -> Self:
        """Set training mode, or eval mode with mode=False; Dropout and batch normalization behave differently."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set eval mode: the same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter require a gradient, or freeze it; buffers stay as they are."""
        for tensor in self.parameters():
            tensor.requires_grad = requires_grad
        return self

    def zero_grad(self) -> Self:
        """Set the gradient of every parameter to None."""
        for tensor in self.parameters():
            if tensor.requires_grad:
                tensor.grad = None
        return self

    def to(self, device: str | Device | None = None, dtype: Any = None) -> Self:
        """Move every tensor to a device, convert floating-point ones to a dtype, or both.

        A tensor that changes loses its gradient. The state that an optimizer keeps is not moved: move the model before
        its first step.
        """
        target = None if device is None else Device.parse(device)
        for _, tensor in once(walk(self, "", Tensor)):
            array = tensor.data
            if dtype is not None and array.dtype.kind == "f":
                array = plain(array.astype(dtype, copy=False))
            array = array if target is None else target.put(array)
            if array is not tensor.data:
                required, tensor.requires_grad = tensor.requires_grad, False
                tensor.data, tensor.requires_grad = array, required        # a new leaf, with the new dtype
        return self

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
        own = dict(walk(self, "", Tensor))
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
                tensor.data[...] = array_module(tensor.data).asarray(arrays[name])
                written(tensor.data)
        return missing, unexpected

    # Printing

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return ""

    def __repr__(self) -> str:
        inner = [f"({name}): {module!r}" for name, module in members(vars(self)) if isinstance(module, Module)]
        if not inner:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(filter(None, [self.extra_repr(), *inner])).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"


def members(container: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, Tensor or Module) for what a dictionary holds, directly or in lists, tuples and dictionaries."""
    for key, value in container.items():
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            yield from members(value, f"{prefix}{key}.")
        elif isinstance(value, Module) or (isinstance(value, Tensor) and value.is_leaf):
            yield f"{prefix}{key}", value


def walk(module: Module, name: str, kind: type) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, object) for each object of type `kind` in a tree of modules, the root included."""
    if isinstance(module, kind):
        yield name, module
    for key, member in members(vars(module)):
        path = f"{name}.{key}" if name else key
        if isinstance(member, Module):
            yield from walk(member, path, kind)
        elif isinstance(member, kind):
            yield path, member


def once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The (name, object) pairs, each object at its first name only."""
    seen = set()
    for name, thing in named:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


def is_parameter(tensor: Tensor) -> bool:
    """Whether a tensor of a module is trained: a Parameter, frozen or not, or any other that requires a gradient."""
    return isinstance(tensor, Parameter) or tensor.requires_grad


def misfit(name: str, tensor: Tensor, array: np.ndarray) -> str | None:
    """Why `array` cannot be copied into `tensor`, as a sentence; None if it can."""
    if array.shape != tensor.shape:
        return f"{name} has the shape {array.shape}, not {tensor.shape}"
    if not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
        return f"{name} has the dtype {array.dtype}, not {tensor.dtype}"
    return None
