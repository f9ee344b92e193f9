"""LeNet-5, the network that read handwritten digits on cheques.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86 (1998), section II-B. Its idea: small filters that are shared across all positions, with pooling between them, so
that a digit is recognized wherever it is.

`lenet5` is the modern variant: ReLU in place of tanh, max pooling in place of trainable averages, a linear layer in
place of radial basis functions, and every filter connected to every channel. `lenet5_1998` is the paper's.

           lenet5                                        lenet5_1998
           layer        output        parameters         layer                            output        parameters
    x                    1 x 28 x 28                                                       1 x 28 x 28
    conv1  5x5, pad 2    6 x 28 x 28         156    c1   5x5, pad 2, tanh                  6 x 28 x 28         156
    pool   2x2           6 x 14 x 14                s2   sums of 2x2, scaled, tanh         6 x 14 x 14          12
    conv2  5x5          16 x 10 x 10       2,416    c3   5x5, of some channels each, tanh 16 x 10 x 10       1,516
    pool   2x2          16 x  5 x  5                s4   sums of 2x2, scaled, tanh        16 x  5 x  5          32
    fc1                 120               48,120    c5   5x5, tanh                       120 x  1 x  1      48,120
    fc2                  84               10,164    f6   tanh                             84                10,164
    fc3                  10                  850    rbf  distances to fixed codes         10
                                          61,706                                                            60,000

The paper's 60,000 are the trainable parameters. The codes, 84 elements per class, are fixed: they are buffers.
"""

import minidl.functional as F
import minidl.nn as nn

C3 = ("012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235",
      "012345")            # table I: the channels of s2 that each of the 16 filters of c3 is connected to


class LeNet5(nn.Module):
    """x (N, in_channels, 28, 28)  ->  logits (N, num_classes)"""

    heads = ("fc3",)

    def __init__(self, in_channels=1, num_classes=10):
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)         # the paper pads the images to 32 x 32 instead
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, exactly=28)
        # max and ReLU commute: ReLU after the pooling gives the same result from a quarter of the elements
        x = self.pool(self.conv1(x), relu=True)
        x = self.pool(self.conv2(x), relu=True)
        x = F.flatten(x, 1)
        x = self.fc1(x, relu=True)
        x = self.fc2(x, relu=True)
        return self.fc3(x)


class LeNet5Of1998(nn.Module):
    """x (N, in_channels, 28, 28)  ->  logits (N, num_classes), the negative squared distances to the class codes"""

    heads = ("rbf",)

    def __init__(self, in_channels=1, num_classes=10):
        self.in_channels = in_channels
        self.c1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.s2 = SubSampling(6)
        self.c3 = SparseConv()
        self.s4 = SubSampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.rbf = RadialBasis(84, num_classes)
        for layer in (self.c1, *self.c3.filters, self.c5, self.f6):
            fan_in, _ = nn.init.fans(layer.weight.shape)
            layer.weight.data[...] = nn.init.uniform(layer.weight.shape, 2.4 / fan_in)        # appendix A

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, exactly=28)
        x = squash(self.s2(squash(self.c1(x))))
        x = squash(self.s4(squash(self.c3(x))))
        x = squash(self.c5(x))
        x = squash(self.f6(F.flatten(x, 1)))
        return self.rbf(x)


class SubSampling(nn.Module):
    """coefficient * (sum of each 2x2 window) + bias, both per channel.   (N, C, H, W) -> (N, C, H/2, W/2)"""

    def __init__(self, channels):
        self.coefficient = nn.Parameter(nn.init.uniform((channels, 1, 1), 2.4 / 4))
        self.bias = nn.Parameter(nn.init.uniform((channels, 1, 1), 2.4 / 4))

    def forward(self, x):
        return 4 * F.avg_pool2d(x, 2) * self.coefficient + self.bias


class SparseConv(nn.Module):
    """The filters of c3, each connected to its own subset of channels.   (N, 6, H, W) -> (N, 16, H-4, W-4)"""

    def __init__(self):
        self.filters = [nn.Conv2d(len(channels), 1, 5) for channels in C3]

    def forward(self, x):
        maps = [x[:, i : i + 1] for i in range(6)]
        return F.cat([conv(F.cat([maps[int(c)] for c in channels], 1))
                      for conv, channels in zip(self.filters, C3, strict=True)], 1)


class RadialBasis(nn.Module):
    """-||x - code||^2 for each class.   x (N, in_features)  ->  (N, num_classes)

    The codes are fixed and consist of +1 and -1. The paper designed its ten codes by hand, as pictures of the digits;
    here they are random, the alternative that it mentions, so that any number of classes is possible.
    """

    def __init__(self, in_features, num_classes):
        self.weight = F.where(nn.init.uniform((num_classes, in_features), 1.0) > 0, 1.0, -1.0)

    def forward(self, x):
        difference = F.unsqueeze(x, 1) - self.weight                # (N, num_classes, in_features)
        return -(difference * difference).sum(2)


def squash(x):
    """1.7159 * tanh(2/3 * x), which maps 1 to 1 and -1 to -1, its points of greatest curvature.   Eq. 6, appendix A"""
    return 1.7159 * F.tanh(x * (2 / 3))


@nn.architecture
def lenet5(in_channels: int = 1, num_classes: int = 10) -> LeNet5:
    """61,706 parameters, 416,520 multiply-adds for an image of 1 x 28 x 28."""
    return LeNet5(in_channels, num_classes)


@nn.architecture
def lenet5_1998(in_channels: int = 1, num_classes: int = 10) -> LeNet5Of1998:
    """60,000 parameters, 325,680 multiply-adds for an image of 1 x 28 x 28."""
    return LeNet5Of1998(in_channels, num_classes)
