"""Which parts of a model learn: those that are frozen do not, and those that their user put in eval mode stay in it.

Freezing takes two things. A parameter that requires no gradient is not changed by an optimizer. But a batch
normalization in training mode goes on moving its running statistics, and a dropout goes on dropping, whether their
parameters require gradients or not; so the frozen modules must be in eval mode too. See `docs/freezing.md`.
"""

import difflib
from collections.abc import Mapping, Sequence

from minidl.errors import for_command
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
            rest = f"is no part of {type(model).__name__}; there are, for example, {', '.join(near)}"
            raise for_command(ValueError(f"fit: freeze={name!r} {rest}"), f"--freeze {name} {rest}")
    return ([module for path, module in own_modules if any(within(path, name) for name in names)],
            [tensor for path, tensor in own_parameters if any(within(path, name) for name in names)])


def within(path: str, name: str) -> bool:
    """Whether the dotted `path` is that of the part `name`, or of something in it."""
    return path == name or path.startswith(f"{name}.")


class Modes:
    """Sets the mode of each module of a model in training.

    Frozen modules are in eval mode. The others are in the mode that the model's `train()`, which may be overridden,
    gives them; but one that was in eval mode before stays in it, unless all were, as in a model that was evaluated.
    """

    def __init__(self, model: Module):
        self.model = model
        self.frozen: set[int] = set()           # the ids of the frozen modules, and
        self.left: set[int] = set()             # of those that `train()` itself left in eval mode

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


class Freezing:
    """Freezes parts of a model in some epochs. A context: at its end, what is frozen is as before.

    freeze  {dotted name: the number of epochs in which this part is frozen, the first ones; None for all}
    """

    def __init__(self, model: Module, freeze: Mapping[str, int | None]) -> None:
        self.modes, self.freeze = Modes(model), freeze
        found, parameters = parts(model, list(freeze))
        inside = set(map(id, parameters))
        self.before = [(module, module.training) for module in found]
        self.learning = [p for p in model.parameters() if p.requires_grad and id(p) in inside]
        self.resting = {id(dict(model.named_modules())[name]) for name in self.modes.resting()}
        if freeze and not any(p.requires_grad and id(p) not in inside for p in model.parameters()):
            rest = "leaves nothing to train"
            raise for_command(ValueError(f"fit: freeze={', '.join(freeze)!r} {rest}"),
                              f"--freeze {' --freeze '.join(freeze)} {rest}")

    def __enter__(self) -> "Freezing":
        self.at(0)
        return self

    def __exit__(self, *_: object) -> None:
        for p in self.learning:
            p.requires_grad = True
        set_modes([(module, mode) for module, mode in self.before if id(module) in self.modes.frozen])

    def at(self, epoch: int) -> None:
        """Freeze the parts that are frozen in this epoch, and unfreeze the others."""
        names = [name for name, epochs in self.freeze.items() if epochs is None or epoch < epochs]
        found, parameters = parts(self.modes.model, names)
        inside = set(map(id, parameters))
        for p in self.learning:
            p.requires_grad = id(p) not in inside
        thawed = [module for module, _ in self.before if id(module) in self.modes.frozen - set(map(id, found))]
        set_modes([(module, id(module) not in self.resting) for module in thawed])
        self.modes.frozen = set(map(id, found))

    def train(self, epoch: int) -> None:
        """Set the model to training mode, at the beginning of an epoch."""
        self.at(epoch)
        self.modes.train()
