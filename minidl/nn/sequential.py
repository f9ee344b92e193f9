"""Layers one after the other.

`Sequential` computes what its layers say, in their order. It takes one liberty for the sake of speed: a convolution, a
dense layer or a batch normalization can rectify its output in the pass that writes it, so a ReLU behind one is asked of
that layer, as `layer(x, relu=True)`, and not called itself; so is a ReLU6 behind a batch normalization. Rather still a
ReLU is asked of a max pooling behind it, which leaves fewer elements to rectify. The result is the same.
"""

from minidl.nn.activation import ReLU, ReLU6
from minidl.nn.folding import NormedConv2d
from minidl.nn.layers import Conv2d, Linear
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm1d, BatchNorm2d
from minidl.nn.pooling import MaxPool2d

NORMS = (BatchNorm1d, BatchNorm2d, NormedConv2d)
# activation: the layers that can do its work if they stand behind it, or before it, and how they are asked
ASKED = {
    ReLU: ((MaxPool2d,), (Conv2d, Linear, *NORMS), {"relu": True}),
    ReLU6: ((), NORMS, {"relu": True, "ceiling": 6}),
}


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
    """The (layer, settings) of every call to make; a ReLU becomes settings of the layer at its side where it can."""
    settings, called = [{} for _ in layers], [True] * len(layers)
    for i, layer in enumerate(layers):
        if type(layer) in ASKED:
            if_behind, if_before, asked = ASKED[type(layer)]
            for side, able in ((i + 1, if_behind), (i - 1, if_before)):
                if called[i] and 0 <= side < len(layers) and type(layers[side]) in able:
                    settings[side], called[i] = asked, False
    return [(layer, wanted) for layer, wanted, call in zip(layers, settings, called, strict=True) if call]
