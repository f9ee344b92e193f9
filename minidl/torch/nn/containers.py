"""Lists and dictionaries of modules. In minidl, plain ones that are attributes of a module do the same."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import minidl.functional as F
from minidl import Tensor
from minidl.nn import Module, Parameter, Softmax


class ModuleList(Module):
    """A list of modules, named "0", "1" and so on; it is iterated over, not called."""

    kind: type = Module

    def __init__(self, modules: Iterable[Any] = ()):
        super().__init__()
        self.extend(modules)

    def __iter__(self) -> Iterator[Any]:
        return (vars(self)[str(i)] for i in range(len(self)))

    def __len__(self) -> int:
        return sum(name.isdecimal() for name in vars(self))

    def __getitem__(self, index: int | slice) -> Any:
        items = list(self)[index]
        return type(self)(items) if isinstance(index, slice) else items

    def __setitem__(self, index: int, module: Any) -> None:
        self.check(module)
        setattr(self, str(range(len(self))[index]), module)

    def append(self, module: Any) -> Self:
        """Add one at the end."""
        self.check(module)
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> None:
        """Add one before that at `index`."""
        items = list(self)
        items.insert(index, module)
        for i, item in enumerate(items):
            self.check(item)
            setattr(self, str(i), item)

    def check(self, member: Any) -> None:
        """Raise TypeError unless a member is of the right kind."""
        if not isinstance(member, self.kind):
            raise TypeError(f"{type(self).__name__}: a {type(member).__name__} is no {self.kind.__name__}")


class ParameterList(ModuleList):
    """A list of parameters, named "0", "1" and so on."""

    kind = Parameter


class ModuleDict(Module):
    """Modules by name."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()):
        super().__init__()
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        return dict(self.items())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if hasattr(type(self), name) or "." in name:
            raise ValueError(f"ModuleDict: a module cannot be called {name!r}; choose another name without dots")
        self.add_module(name, module)

    def __contains__(self, name: object) -> bool:
        return name in dict(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.items()))

    def __len__(self) -> int:
        return len(self.items())

    def items(self) -> list[tuple[str, Module]]:
        """[(name, module)]"""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.items()]

    def values(self) -> list[Module]:
        """The modules."""
        return [module for _, module in self.items()]


class LogSoftmax(Softmax):
    """log(softmax(x)) along the axis `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, axis=self.dim)
