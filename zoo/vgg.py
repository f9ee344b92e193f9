"""VGG: depth from the simplest building blocks.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1. Its
idea: two 3x3 convolutions have the receptive field of one 5x5, and three that of one 7x7, with fewer weights and more
nonlinearities. So all convolutions are 3x3, and a network is defined by how many of them precede each pooling:

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

Every layer except the last has a ReLU; `_bn` networks have batch normalization before it, which was published a year
later and without which the deep ones hardly start to learn. The `_cifar` networks reduce 32 x 32 images to one pixel
and end in a single dense layer. Names, weight shapes and initialization are torchvision's.
"""

import minidl.functional as F
import minidl.nn as nn

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
FACTORS = (1, 2, 4, 8, 8)                   # channels of the stages, in units of `width`


class VGG(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes)

    depths  number of convolutions in each of the five stages
    width   channels of the first stage
    hidden  width of the two dense layers before the last
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
    """The five stages as one Sequential, numbered as in torchvision.   (N, C, H, W) -> (N, 8*width, H/32, W/32)"""
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
    """torchvision's: He's normal distribution for convolutions, standard deviation 0.01 for dense layers, biases 0.

    The paper uses 0.01 everywhere and initializes the deep networks from trained layers of the shallow one.
    """
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[...] = nn.init.kaiming_normal(layer.weight.shape, mode="fan_out", nonlinearity="relu")
            layer.bias.data[...] = 0
        elif isinstance(layer, nn.Linear):
            layer.weight.data[...] = nn.init.normal(layer.weight.shape, 0.01)
            layer.bias.data[...] = 0


@nn.architecture
def vgg11(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """132,863,336 parameters, 7,609,090,048 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[11], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg13(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """133,047,848 parameters, 11,308,466,176 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[13], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg16(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """138,357,544 parameters, 15,470,264,320 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[16], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg19(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """143,667,240 parameters, 19,632,062,464 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[19], in_channels, num_classes, batch_norm=False, width=width, hidden=hidden)


@nn.architecture
def vgg11_bn(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """132,868,840 parameters, 7,609,090,048 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[11], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg13_bn(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """133,053,736 parameters, 11,308,466,176 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[13], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg16_bn(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """138,365,992 parameters, 15,470,264,320 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[16], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg19_bn(in_channels: int = 3, num_classes: int = 1000, width: int = 64, hidden: int = 4096) -> VGG:
    """143,678,248 parameters, 19,632,062,464 multiply-adds for an image of 3 x 224 x 224."""
    return VGG(DEPTHS[19], in_channels, num_classes, batch_norm=True, width=width, hidden=hidden)


@nn.architecture
def vgg11_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """9,225,610 parameters, 152,769,536 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[11], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg13_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """9,410,122 parameters, 228,267,008 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[13], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg16_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """14,719,818 parameters, 313,201,664 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[16], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg19_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """20,029,514 parameters, 398,136,320 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[19], in_channels, num_classes, batch_norm=False, width=width)


@nn.architecture
def vgg11_bn_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """9,231,114 parameters, 152,769,536 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[11], in_channels, num_classes, batch_norm=True, width=width)


@nn.architecture
def vgg13_bn_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """9,416,010 parameters, 228,267,008 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[13], in_channels, num_classes, batch_norm=True, width=width)


@nn.architecture
def vgg16_bn_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """14,728,266 parameters, 313,201,664 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[16], in_channels, num_classes, batch_norm=True, width=width)


@nn.architecture
def vgg19_bn_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> VGGCifar:
    """20,040,522 parameters, 398,136,320 multiply-adds for an image of 3 x 32 x 32."""
    return VGGCifar(DEPTHS[19], in_channels, num_classes, batch_norm=True, width=width)
