"""Watching a whole network while it runs: for its summary, its drawing, folding, and looking inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minidl.nn.hooks import Hook, register
from minidl.nn.module import Module


@contextmanager
def observed(model: Module, after: Callable[..., Any], before: Callable[..., Any] | None = None) -> Iterator[None]:
    """In the block, see every call of every module of `model`; at the end all modules are `restored`.

    before(name, module, inputs, settings)       is called before `forward`
    after(name, module, inputs, settings, out)   is called after it; unless it returns None, that replaces the output
    The calls are those that are made without observers: a ReLU that Sequential fuses into the layer beside it is not
    called and is not seen.
    """
    with restored(model):
        for name, module in model.named_modules():
            if before is not None:
                hook = Hook(functools.partial(before, name), with_kwargs=True, observes=True)
                register(module, "forward_pre_hooks", hook, prepend=True)
            register(module, "forward_hooks", Hook(functools.partial(after, name), with_kwargs=True, observes=True))
        yield


@contextmanager
def restored(model: Module) -> Iterator[None]:
    """After the block, every module of `model` has the attributes it had before: its mode and its hooks, too."""
    before = [(module, dict(vars(module))) for _, module in model.named_modules()]
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
