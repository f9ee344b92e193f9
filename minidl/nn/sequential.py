"""Layers one after the other.

`Sequential` calls its layers in order, with one shortcut for speed. A convolution, a dense layer or a batch
normalization can rectify its output in the pass that writes it: a ReLU after one is not called itself but requested as
`layer(x, relu=True)`; so is a ReLU6 after a batch normalization. If a max pooling follows the ReLU, the pooling does it
instead, since it has fewer elements left to rectify. The result is the same.

A layer declares what it can do for its neighbours: `fuses_after` and `fuses_before` map the type of an activation after
it, or before it, to the settings of `forward` that request it. A declaration holds for the `forward` of the same class:
a subclass with a `forward` of its own is not fused unless it declares again. Nor is a layer or an activation that has
hooks: each of them is then called by itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from minidl.nn.hooks import is_hooked
from minidl.nn.module import Module


class Sequential(Module):
    """Layers one after the other: Sequential(f, g)(x) = g(f(x)). The names of the layers are "0", "1" and so on.

    A dictionary gives other names: Sequential({"conv": f, "relu": g}).
    """

    def __init__(self, *layers: Module | Mapping[str, Module]):
        given = layers[0] if len(layers) == 1 and isinstance(layers[0], Mapping) else dict(enumerate(layers))
        for name, layer in given.items():
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: layer {name} is a {type(layer).__name__}, not a Module")
            if hasattr(type(self), str(name)) or "." in str(name):
                raise ValueError(f"Sequential: a layer cannot be called {name!r}; choose another name without dots")
            setattr(self, str(name), layer)

    def append(self, layer: Module) -> Self:
        """Add a layer at the end, named by its place; returns the network."""
        if not isinstance(layer, Module):
            raise TypeError(f"Sequential: the layer to append is a {type(layer).__name__}, not a Module")
        setattr(self, str(len(self)), layer)
        return self

    def forward(self, x: Any) -> Any:
        for layer, settings in calls(list(self)):
            try:
                x = layer(x, **settings)
            except Exception as error:
                error.add_note(f"in layer {self.name_of(layer)} of a Sequential: {layer!r}")
                raise
        return x

    def name_of(self, layer: Module) -> str:
        """The name of one of the layers."""
        return next(name for name, each in vars(self).items() if each is layer)

    def __iter__(self) -> Iterator[Module]:
        return (layer for layer in vars(self).values() if isinstance(layer, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int | slice) -> Any:
        """A layer; for a slice, a Sequential of these layers under their names, which shares their weights."""
        if not isinstance(index, slice):
            return list(self)[index]
        part = Sequential()
        named = [(name, layer) for name, layer in vars(self).items() if isinstance(layer, Module)]
        for name, layer in named[index]:
            setattr(part, name, layer)
        return part


def calls(layers: list[Module]) -> list[tuple[Module, dict[str, Any]]]:
    """The (layer, settings) of every call to make; an activation that a neighbour can do becomes settings of that."""
    settings: list[dict[str, Any]] = [{} for _ in layers]
    called = [True] * len(layers)
    for i, activation in enumerate(layers):
        for neighbour, declared in ((i + 1, "fuses_before"), (i - 1, "fuses_after")):
            if called[i] and 0 <= neighbour < len(layers) and called[neighbour] and not settings[neighbour]:
                settings[neighbour] = fused(layers[neighbour], declared, activation)
                called[i] = not settings[neighbour]
    return [(layer, chosen) for layer, chosen, call in zip(layers, settings, called, strict=True) if call]


def fused(layer: Module, declared: str, activation: Module) -> dict[str, Any]:
    """The settings with which `layer` does the work of `activation` too; empty if both must be called."""
    if is_hooked(layer) or is_hooked(activation):
        return {}
    defining = {"forward", "__call__", declared}
    owner = next(kind for kind in type(layer).__mro__ if defining & vars(kind).keys())
    return vars(owner).get(declared, {}).get(type(activation), {})
