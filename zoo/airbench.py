"""Airbench: eight layers that reach 94 % on CIFAR-10 after ten epochs, the network of published speed records.

Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, 2024, after networks by Page ("How to train
your ResNet", 2018) and Balsam ("hlb-CIFAR10", 2023). Its ideas: the first layer is not learned, but computes patches of
2 x 2 pixels whose components are uncorrelated and of variance 1; and each convolution starts as the identity, followed
by random filters where it has more outputs than inputs. Both save the epochs that such a start would take to learn.

                  image      channels
    x            32 x 32         3
    whiten       31 x 31        24     2x2; weights fixed, biases learned; GELU
    group1       15 x 15        64     3x3, max pooling, batch norm, GELU; 3x3, batch norm, GELU
    group2        7 x  7       256
    group3        3 x  3       256
    pool          1 x  1       256     3x3 maximum
    head                        10     no bias; the logits are divided by 9

Batch norms have no scale. They learn fast (momentum 0.4, where PyTorch's default is 0.1), since there are few steps.
`examples/cifar10_speedrun.py` trains the network: it takes the weights of the first layer from `nn.init.whitening`.
"""

import minidl.functional as F
import minidl.nn as nn


class Group(nn.Module):
    """Two convolutions, the first of which halves the image.   x (N, C, H, W)  ->  (N, width, H//2, W//2)"""

    def __init__(self, in_channels, width):
        self.conv1, self.norm1 = identity_convolution(in_channels, width), shift_norm(width)
        self.conv2, self.norm2 = identity_convolution(width, width), shift_norm(width)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.gelu(self.norm1(x))
        return F.gelu(self.norm2(self.conv2(x)))


def identity_convolution(in_channels, width):
    """A 3x3 convolution without bias. Its first outputs are its inputs; further outputs begin at random."""
    conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
    same = min(in_channels, width)
    conv.weight.data[:same] = nn.init.dirac((same, in_channels, 3, 3))
    return conv


def shift_norm(width):
    """A batch norm without a scale."""
    norm = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
    norm.weight = None
    return norm


class Airbench(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes);   `width` channels in the first group, then 4 * width"""

    heads = ("head",)

    def __init__(self, in_channels, num_classes, width):
        self.in_channels, self.smallest = in_channels, 9
        patch = 2 * 2 * in_channels
        self.whiten = nn.Conv2d(in_channels, 2 * patch, 2)         # each component of a patch, and its negative
        self.whiten.weight = self.whiten.weight.detach()           # not a parameter
        self.group1 = Group(2 * patch, width)
        self.group2 = Group(width, 4 * width)
        self.group3 = Group(4 * width, 4 * width)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(4 * width, num_classes, bias=False)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        x = F.gelu(self.whiten(x))
        x = self.group1(x)
        x = self.group2(x)
        x = self.group3(x)
        x = self.pool(x)
        return self.head(F.flatten(x, 1)) * (1 / 9)


@nn.architecture
def airbench94(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> Airbench:
    """1,971,352 parameters, 118,147,360 multiply-adds for an image of 3 x 32 x 32."""
    return Airbench(in_channels, num_classes, width)
