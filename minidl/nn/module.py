"""A network is a tree of modules, and a module is an object with tensors in it.

Nothing is registered: whatever Tensor or Module is an attribute of a module belongs to it, be it alone or in a list,
a tuple or a dictionary, in order of assignment. A NumPy array as an attribute belongs to nobody: it is neither trained
nor saved nor moved. Nor is a tensor that an operation made on the way to a loss; keep such an output as an array.
How to compute is told in each module's `forward`. Read `layers.py` next.
"""

import numpy as np

from minidl.device import Device, array_module
from minidl.tensor import NonFiniteError, Tensor


class Parameter(Tensor):
    """A tensor to be trained. It stays a parameter while it is frozen, that is while `requires_grad` is False."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad)


class Module:
    """What every layer and every network is: a subclass assigns attributes and says in `forward` what it computes.

    Names are dotted paths as in PyTorch: `self.layers = [Linear(2, 3)]` holds "layers.0.weight" and "layers.0.bias".
    Parameters are the tensors made as Parameter, and all others that want a gradient; the rest are buffers.
    """

    training = True

    def forward(self, *inputs, **settings):
        """Compute the output; every subclass has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs, **settings):
        try:
            return self.forward(*inputs, **settings)
        except NonFiniteError as error:
            if error.module is None:            # the innermost module comes first, and stays
                error.module = self
            raise

    # What belongs to it

    def named_modules(self):
        """(name, module) for this module, named "", and for all below it; a shared one comes once."""
        return once(walk(self, "", Module))

    def named_parameters(self):
        """(name, parameter) for every parameter here and below; a shared one comes once."""
        return ((name, tensor) for name, tensor in once(walk(self, "", Tensor)) if is_parameter(tensor))

    def parameters(self):
        """Every parameter here and below, frozen ones too; a shared one comes once."""
        return [tensor for _, tensor in self.named_parameters()]

    def buffers(self):
        """Every tensor here and below that is saved but not trained, such as running means."""
        return [tensor for _, tensor in once(walk(self, "", Tensor)) if not is_parameter(tensor)]

    # What can be done to all of it; each returns the module

    def train(self, mode=True):
        """Behave as in training, or, with mode=False, as in use: Dropout and batch normalization differ."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self):
        """Behave as in use: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, wanted=True):
        """Let every parameter want a gradient, or freeze it; buffers stay as they are."""
        for tensor in self.parameters():
            tensor.requires_grad = wanted
        return self

    def zero_grad(self):
        """Forget every gradient."""
        for tensor in self.parameters():
            if tensor.requires_grad:
                tensor.grad = None
        return self

    def to(self, device=None, dtype=None):
        """Move every tensor to a device, change those of floats to a dtype, or both; what changes forgets its gradient.

        An optimizer that has made steps keeps its state where it was: move the model before the first one.
        """
        place = None if device is None else Device.parse(device)
        for _, tensor in once(walk(self, "", Tensor)):
            array = tensor.data
            if dtype is not None and array.dtype.kind == "f":
                array = array.astype(dtype, copy=False)
            array = array if place is None else place.put(array)
            if array is not tensor.data:
                wanted, tensor.requires_grad = tensor.requires_grad, False
                tensor.data, tensor.requires_grad = array, wanted          # a new leaf, which knows the new dtype
        return self

    # Saving

    def state_dict(self):
        """{name: NumPy array} of all parameters and buffers, PyTorch's names, a shared tensor under each of its names.

        The arrays are copies in C order, so that training goes on without changing them.
        """
        return {name: np.array(tensor.numpy(), order="C") for name, tensor in walk(self, "", Tensor)}

    def load_state_dict(self, state, strict=True):
        """Copy arrays (or tensors) into the tensors of those names, which keep their dtype and order of memory.

        strict=False allows that names are missing or unknown. Returns the lists (missing, unexpected).
        Raises ValueError that tells all that does not fit, and then has changed nothing.
        """
        own = dict(walk(self, "", Tensor))
        arrays = {name: x.numpy() if isinstance(x, Tensor) else np.asarray(x) for name, x in state.items()}
        missing = [name for name in own if name not in arrays]
        unexpected = [name for name in arrays if name not in own]
        faults = [misfit(name, own[name], array) for name, array in arrays.items() if name in own]
        if strict:
            faults += [f"{name} is missing" for name in missing]
            faults += [f"{name} is unexpected" for name in unexpected]
        if faults := list(filter(None, faults)):
            raise ValueError(f"load_state_dict: this state is not of {type(self).__name__}:\n  " + "\n  ".join(faults))
        for name, tensor in own.items():
            if name in arrays:
                tensor.data[...] = array_module(tensor.data).asarray(arrays[name])
        return missing, unexpected

    # Printing

    def extra_repr(self):
        """The settings, as `print(model)` shall show them."""
        return ""

    def __repr__(self):
        inner = [f"({name}): {module!r}" for name, module in members(vars(self)) if isinstance(module, Module)]
        if not inner:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(filter(None, [self.extra_repr(), *inner])).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"


def members(container, prefix=""):
    """Yield (name, Tensor or Module) for what lies in a dictionary, and in the lists and dictionaries in it."""
    for key, value in container.items():
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            yield from members(value, f"{prefix}{key}.")
        elif isinstance(value, Module) or (isinstance(value, Tensor) and value.is_leaf):
            yield f"{prefix}{key}", value


def walk(module, name, kind):
    """Yield (dotted name, thing) for everything of the type `kind` in a tree of modules, the root included."""
    if isinstance(module, kind):
        yield name, module
    for key, member in members(vars(module)):
        path = f"{name}.{key}" if name else key
        if isinstance(member, Module):
            yield from walk(member, path, kind)
        elif isinstance(member, kind):
            yield path, member


def once(named):
    """The (name, thing) pairs without those whose thing came before."""
    seen = set()
    for name, thing in named:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


def is_parameter(tensor):
    """Whether a tensor that belongs to a module is there to be trained."""
    return isinstance(tensor, Parameter) or tensor.requires_grad


def misfit(name, tensor, array):
    """What keeps `array` from being copied into `tensor`, in words; None if nothing does."""
    if array.shape != tensor.shape:
        return f"{name} has the shape {array.shape}, not {tensor.shape}"
    if not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
        return f"{name} holds {array.dtype}, not {tensor.dtype}"
    return None
