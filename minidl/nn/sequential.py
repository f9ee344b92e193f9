"""Layers one after the other.

`Sequential` computes what its layers say, in their order. It takes one liberty for the sake of speed: a convolution or
a batch normalization can rectify its output in the pass that writes it, so a ReLU behind one is asked of that layer,
as `layer(x, relu=True)`, and not called itself. The result is the same.
"""

from minidl.nn.activation import ReLU
from minidl.nn.folding import NormedConv2d
from minidl.nn.layers import Conv2d
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm1d, BatchNorm2d

RECTIFIERS = (Conv2d, BatchNorm1d, BatchNorm2d, NormedConv2d)


class Sequential(Module):
    """Layers one after the other: Sequential(f, g)(x) = g(f(x)). The names of the layers are "0", "1" and so on."""

    def __init__(self, *layers):
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: layer {i} is a {type(layer).__name__}, not a Module")
            setattr(self, str(i), layer)

    def forward(self, x):
        for layer, settings in calls(list(self)):
            x = layer(x, **settings)
        return x

    def __iter__(self):
        return (layer for layer in vars(self).values() if isinstance(layer, Module))

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, index):
        return list(self)[index]


def calls(layers):
    """Yield (layer, settings) for every call to make; a ReLU becomes a setting of the layer before it where it can."""
    for before, layer, behind in zip([None, *layers[:-1]], layers, [*layers[1:], None], strict=True):
        if type(layer) in RECTIFIERS and type(behind) is ReLU:
            yield layer, {"relu": True}
        elif not (type(layer) is ReLU and type(before) in RECTIFIERS):
            yield layer, {}
