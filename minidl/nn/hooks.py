"""Forward hooks: functions that see what goes into a module and what comes out, and may replace either.

    with layer.register_forward_hook(lambda module, inputs, out: print(out.shape)):
        model(x)

They have PyTorch's meaning. A module without hooks has no attribute for them and calls its `forward` directly. Hooks
are not part of a module's state: they are neither saved by `state_dict` nor printed. As in PyTorch, `copy.deepcopy` and
`pickle` copy them with the module (pickle only functions that it can find by name); removing a hook from the copy does
not affect the original.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidl.nn.module import Module


@dataclass(frozen=True, eq=False)
class Hook:
    """One registered function. An object of its own, so that the same function can be registered twice."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    observes: bool = False              # whether layers are fused as if it were absent: see `is_hooked`


class RemovableHandle:
    """Returned by the registration of a hook; `remove` undoes it, and so does the end of a `with` block."""

    def __init__(self, module: Module, kind: str, hook: Hook):
        self.module, self.kind, self.hook = module, kind, hook

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        kept = tuple(hook for hook in getattr(self.module, self.kind) if hook is not self.hook)
        if kept:
            setattr(self.module, self.kind, kept)
        else:
            vars(self.module).pop(self.kind, None)       # the class says that there are none

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register(module: Module, kind: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
    """Add a hook of a kind, "forward_hooks" or "forward_pre_hooks", to a module.

    The tuple of hooks is replaced, never modified: a running call and a shallow copy keep the tuple they have.
    """
    if not callable(hook.function):
        raise TypeError(f"{type(module).__name__}: a hook must be a function, not {hook.function!r}")
    hooks = getattr(module, kind)
    setattr(module, kind, (hook, *hooks) if prepend else (*hooks, hook))
    return RemovableHandle(module, kind, hook)


def call_with_hooks(module: Module, inputs: tuple, settings: dict[str, Any]) -> Any:
    """Call forward(*inputs, **settings) of a module between its hooks."""
    for hook in module.forward_pre_hooks:
        inputs, settings = before_forward(hook, module, inputs, settings)
    out = module.forward(*inputs, **settings)
    for hook in module.forward_hooks:
        seen = (inputs, settings) if hook.with_kwargs else (inputs,)
        replaced = hook.function(module, *seen, out)
        if replaced is not None:
            out = replaced
    return out


def before_forward(hook: Hook, module: Module, inputs: tuple, settings: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """The (inputs, settings) that a pre-hook leaves: those given, or the ones it returns in their place."""
    if not hook.with_kwargs:
        replaced = hook.function(module, inputs)
        if replaced is not None:
            inputs = replaced if isinstance(replaced, tuple) else (replaced,)
        return inputs, settings
    replaced = hook.function(module, inputs, settings)
    if replaced is None:
        return inputs, settings
    if not isinstance(replaced, tuple) or len(replaced) != 2:
        raise TypeError(f"{type(module).__name__}: a pre-hook with kwargs must return None or (args, kwargs), "
                        f"not {replaced!r}")
    return replaced


def is_hooked(module: Module) -> bool:
    """Whether this module has hooks, or a `forward` assigned to the object, so that its calls must not be fused away.

    The hooks of `observe.py` do not count: they show the calls as they are made.
    """
    hooks = (*module.forward_pre_hooks, *module.forward_hooks)
    return "forward" in vars(module) or not all(hook.observes for hook in hooks)
