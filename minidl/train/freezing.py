"""Which parts of a model learn: those that are frozen do not, and those that their user put in eval mode stay in it.

Freezing takes two things. A parameter that requires no gradient is not changed by an optimizer. But a batch
normalization in training mode goes on moving its running statistics, and a dropout goes on dropping, whether their
parameters require gradients or not; so the frozen modules must be in eval mode too. See `docs/freezing.md`.
"""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from minidl.evaluation.evaluation import set_modes
from minidl.nn import Module
from minidl.nn.module import modules, tensors
from minidl.tensor import Tensor


def parts(model: Module, names: Sequence[str]) -> tuple[list[Module], list[Tensor]]:
    """The modules and the parameters in the parts of a model with these dotted names.

    A part is a module, a parameter, or a list or dictionary of modules. Raises ValueError for any other name.
    """
    own_modules = [(name, module) for name, module in modules(model) if name]
    own_parameters = [(name, tensor) for name, tensor, is_buffer, _ in tensors(model) if not is_buffer]
    for name in names:
        if not any(within(path, name) for path, _ in (*own_modules, *own_parameters)):
            known = [path for path, _ in (*own_modules, *own_parameters)]
            near = difflib.get_close_matches(name, known, 3) or known[:8]
            raise ValueError(f"fit: freeze={name!r} is no part of {type(model).__name__}; there are, for example, "
                             f"{', '.join(near)}")
    return ([module for path, module in own_modules if any(within(path, name) for name in names)],
            [tensor for path, tensor in own_parameters if any(within(path, name) for name in names)])


def within(path: str, name: str) -> bool:
    """Whether the dotted `path` is that of the part `name`, or of something in it."""
    return path == name or path.startswith(f"{name}.")


@contextmanager
def frozen(model: Module, names: Sequence[str]) -> Iterator[list[Module]]:
    """In the block, the parameters of the parts require no gradient; afterwards all is as before.

    Yields the modules in them, which must be in eval mode meanwhile: see `Modes`.
    """
    found, parameters = parts(model, names)
    modes = [(module, module.training) for module in found]
    inside = set(map(id, parameters))
    required = [p for p in model.parameters() if p.requires_grad and id(p) in inside]
    if names and not any(p.requires_grad and id(p) not in inside for p in model.parameters()):
        raise ValueError(f"fit: freeze={', '.join(names)!r} leaves nothing to train")
    for p in required:
        p.requires_grad = False
    try:
        yield found
    finally:
        for p in required:
            p.requires_grad = True
        set_modes(modes)


class Modes:
    """Sets the mode of each module of a model in training.

    Frozen modules are in eval mode. The others are in the mode that the model's `train()`, which may be overridden,
    gives them; but one that was in eval mode before stays in it, unless all were, as in a model that was evaluated.
    """

    def __init__(self, model: Module, frozen: Sequence[Module] = ()):
        self.model, self.frozen = model, {id(module) for module in frozen}
        self.left: set[int] = set()             # the ids of the modules that `train()` itself left in eval mode

    def resting(self) -> list[str]:
        """The names of the modules that are in eval mode because their user put them there."""
        free = [(name, module) for name, module in self.model.named_modules()
                if id(module) not in self.frozen | self.left]
        resting = [name for name, module in free if not module.training]
        return resting if len(resting) < len(free) else []

    def train(self) -> None:
        """Set all modes, at the beginning of an epoch."""
        resting, named = set(self.resting()), list(self.model.named_modules())
        self.model.train()
        self.left = {id(module) for _, module in named if not module.training}
        set_modes([(module, module.training and name not in resting and id(module) not in self.frozen)
                   for name, module in named])
