"""VGG: depth from the plainest of parts.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1. Its
idea: two 3x3 convolutions see as far as one of 5x5, three as far as one of 7x7, with fewer weights and more bends. So
there is nothing but 3x3 convolutions, and a network is told by how many of them stand before each pooling:

                          image    channels    VGG-11 (A)  VGG-13 (B)  VGG-16 (D)  VGG-19 (E)
    x                    224 x 224      3
    stage 1, then pool   112 x 112     64          1           2           2           2
    stage 2, then pool    56 x  56    128          1           2           2           2
    stage 3, then pool    28 x  28    256          2           2           3           4
    stage 4, then pool    14 x  14    512          2           2           3           4
    stage 5, then pool     7 x   7    512          2           2           3           4
    dense                           4,096
    dense                           4,096
    dense                           1,000

Every layer but the last has a ReLU; `_bn` networks have batch normalization before it, which came a year later and
without which the deep ones hardly start to learn. `_cifar` networks end in one dense layer on the single pixel that is
left of 32 x 32. Names, weights' shapes and first values are torchvision's.
"""

import minidl.functional as F
import minidl.nn as nn

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
FACTORS = (1, 2, 4, 8, 8)                   # the channels of the stages, times `width`


class VGG(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes)

    depths  the number of convolutions of each of the five stages
    width   the channels of the first stage
    hidden  the length of the two dense layers before the last
    """

    heads = ("classifier.6",)
    smallest = 32

    def __init__(self, depths, in_channels, num_classes, batch_norm, width=64, hidden=4096):
        self.in_channels = in_channels
        self.features = convolutions(depths, in_channels, batch_norm, width)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * 7 * 7, hidden), nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, hidden),            nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, num_classes),
        )
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        x = self.features(x)
        x = self.avgpool(x)
        return self.classifier(F.flatten(x, 1))


class VGGCifar(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes)"""

    heads = ("classifier",)
    smallest = 32

    def __init__(self, depths, in_channels, num_classes, batch_norm, width=64):
        self.in_channels = in_channels
        self.features = convolutions(depths, in_channels, batch_norm, width)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(8 * width, num_classes)
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        x = self.features(x)
        x = self.avgpool(x)
        return self.classifier(F.flatten(x, 1))


def convolutions(depths, in_channels, batch_norm, width):
    """The five stages in one row, as torchvision numbers them.   (N, C, H, W) -> (N, 8*width, H/32, W/32)"""
    layers = []
    for depth, factor in zip(depths, FACTORS, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(in_channels, factor * width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(factor * width))
            layers.append(nn.ReLU())
            in_channels = factor * width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def initialize(model):
    """He's normal distribution for convolutions, deviation 0.01 for dense layers, no biases: torchvision's way.

    The paper put 0.01 everywhere and started the deep networks from the trained layers of the shallow one.
    """
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[...] = nn.init.kaiming_normal(layer.weight.shape, mode="fan_out", nonlinearity="relu")
            layer.bias.data[...] = 0
        elif isinstance(layer, nn.Linear):
            layer.weight.data[...] = nn.init.normal(layer.weight.shape, 0.01)
            layer.bias.data[...] = 0


@nn.architecture
def vgg11(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """132,863,336 parameters, 7,609,090,048 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[11], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg13(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """133,047,848 parameters, 11,308,466,176 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[13], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg16(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """138,357,544 parameters, 15,470,264,320 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[16], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg19(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """143,667,240 parameters, 19,632,062,464 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[19], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg11_bn(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """132,868,840 parameters, 7,609,090,048 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[11], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg13_bn(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """133,053,736 parameters, 11,308,466,176 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[13], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg16_bn(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """138,365,992 parameters, 15,470,264,320 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[16], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg19_bn(in_channels=3, num_classes=1000, width=64, hidden=4096):
    """143,678,248 parameters, 19,632,062,464 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[19], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg11_cifar(in_channels=3, num_classes=10, width=64):
    """9,225,610 parameters, 152,769,536 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[11], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg13_cifar(in_channels=3, num_classes=10, width=64):
    """9,410,122 parameters, 228,267,008 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[13], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg16_cifar(in_channels=3, num_classes=10, width=64):
    """14,719,818 parameters, 313,201,664 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[16], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg19_cifar(in_channels=3, num_classes=10, width=64):
    """20,029,514 parameters, 398,136,320 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[19], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg11_bn_cifar(in_channels=3, num_classes=10, width=64):
    """9,231,114 parameters, 152,769,536 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[11], in_channels, num_classes, batch_norm=True, width=width)


@nn.architecture
def vgg13_bn_cifar(in_channels=3, num_classes=10, width=64):
    """9,416,010 parameters, 228,267,008 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[13], in_channels, num_classes, batch_norm=True, width=width)


@nn.architecture
def vgg16_bn_cifar(in_channels=3, num_classes=10, width=64):
    """14,728,266 parameters, 313,201,664 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[16], in_channels, num_classes, batch_norm=True, width=width)


@nn.architecture
def vgg19_bn_cifar(in_channels=3, num_classes=10, width=64):
    """20,040,522 parameters, 398,136,320 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[19], in_channels, num_classes, batch_norm=True, width=width)
