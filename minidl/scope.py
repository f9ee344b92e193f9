"""`scope` makes context managers that are also decorators, of functions and of generators.

A context manager of `contextlib` can decorate a generator function, too, but without effect: it ends before the first
step of the generator runs.
"""

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec

P = ParamSpec("P")


def scope(function: Callable[P, Iterator[None]]) -> Callable[P, "Scope"]:
    """Turn a generator function with one `yield` into a context manager that is also a decorator.

    The result is used as `with f():`, `@f()` or, if it needs no arguments, `@f`.
    """
    manager = contextmanager(function)

    @functools.wraps(function)
    def opened(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and inspect.isroutine(args[0]) and not kwargs:
            return Scope(manager)(args[0])
        return Scope(functools.partial(manager, *args, **kwargs))
    return opened


class Scope(AbstractContextManager):
    """What `scope` makes: `enter()` gives a context manager, a new one for each block and for each decorated call."""

    def __init__(self, enter: Callable[[], AbstractContextManager]) -> None:
        self.enter = enter
        self.open: list[AbstractContextManager] = []

    def __enter__(self) -> Any:
        manager = self.enter()
        result = manager.__enter__()
        self.open.append(manager)
        return result

    def __exit__(self, *error: Any) -> bool | None:
        return self.open.pop().__exit__(*error)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with each call, or each step if it is a generator function, inside the context."""
        if inspect.isgeneratorfunction(function):
            return functools.wraps(function)(lambda *args, **kwargs: self.stepwise(function(*args, **kwargs)))

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self.enter():
                return function(*args, **kwargs)
        return called

    def stepwise(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same generator; whoever takes its values runs outside of the context."""
        advance: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                with self.enter():
                    value = advance()
            except StopIteration as end:
                return end.value
            try:
                sent = yield value
            except GeneratorExit:
                with self.enter():
                    steps.close()
                raise
            except BaseException as error:
                advance = functools.partial(steps.throw, error)
            else:
                advance = functools.partial(steps.send, sent)
