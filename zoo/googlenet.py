"""GoogLeNet, or Inception-v1, the winner of ImageNet 2014: wide and deep, with a tenth of AlexNet's weights.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1. Its idea: the inception block. It applies
windows of several sizes in parallel, and 1x1 convolutions before the large windows reduce the number of channels, so
that they cost little. In training, two auxiliary heads pass gradients to the lower layers.

                                              in the branches of an inception block
                 image        channels     1x1   1x1 -> 3x3   1x1 -> 5x5   pool -> 1x1
    x           224 x 224          3
    conv1       112 x 112         64       7x7, stride 2
    maxpool1     56 x  56         64       3x3, stride 2, as all but the last
    conv2        56 x  56         64       1x1
    conv3        56 x  56        192       3x3
    maxpool2     28 x  28        192
    inception3a  28 x  28        256        64    96 -> 128    16 ->  32        32
    inception3b  28 x  28        480       128   128 -> 192    32 ->  96        64
    maxpool3     14 x  14        480
    inception4a  14 x  14        512       192    96 -> 208    16 ->  48        64      aux1 branches off
    inception4b  14 x  14        512       160   112 -> 224    24 ->  64        64
    inception4c  14 x  14        512       128   128 -> 256    24 ->  64        64
    inception4d  14 x  14        528       112   144 -> 288    32 ->  64        64      aux2 branches off
    inception4e  14 x  14        832       256   160 -> 320    32 -> 128       128
    maxpool4      7 x   7        832       2x2, stride 2; 3x3 in the paper
    inception5a   7 x   7        832       256   160 -> 320    32 -> 128       128
    inception5b   7 x   7      1,024       384   192 -> 384    48 -> 128       128
    avgpool       1 x   1      1,024
    fc                         1,000

`googlenet` is torchvision's, whose weights load by name: batch normalization after every convolution, 3x3 windows
where the paper has 5x5 (a mistake that became the standard), and a 2x2 window in maxpool4. `googlenet_2014` is the
paper's: no batch normalization, but local response normalization in the first layers. In `googlenet_cifar`, one 3x3
convolution with 192 filters feeds inception3a with 32 x 32 pixels. The method `loss` weighs the auxiliary heads.
"""

from typing import NamedTuple

import minidl.functional as F
import minidl.nn as nn


class BasicConv2d(nn.Module):
    """Convolution, batch normalization, ReLU.   (N, C, H, W) -> (N, F, OH, OW)"""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x):
        return self.bn(self.conv(x), relu=True)


class PlainConv2d(nn.Module):
    """Convolution and ReLU, as in the paper.   (N, C, H, W) -> (N, F, OH, OW)"""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.conv.weight.data[...] = nn.init.kaiming_normal(self.conv.weight.shape, nonlinearity="relu")

    def forward(self, x):
        return self.conv(x, relu=True)


class Inception(nn.Module):
    """Four parallel branches, concatenated by channels.   (N, C, H, W) -> (N, ch1 + ch3 + ch5 + pool, H, W)

    After in_channels come the entries of a row of the table; `conv` is the class of convolution, `large` the size of
    the largest windows.
    """

    def __init__(self, in_channels, ch1, squeeze3, ch3, squeeze5, ch5, pool, conv=BasicConv2d, large=3):
        self.branch1 = conv(in_channels, ch1, 1)
        self.branch2 = nn.Sequential(conv(in_channels, squeeze3, 1), conv(squeeze3, ch3, 3, padding=1))
        self.branch3 = nn.Sequential(conv(in_channels, squeeze5, 1), conv(squeeze5, ch5, large, padding=large // 2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, pool, 1))

    def forward(self, x):
        return F.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary classifier.   x (N, C, H, W)  ->  logits (N, num_classes)"""

    def __init__(self, in_channels, num_classes, conv=BasicConv2d):
        self.conv = conv(in_channels, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, 4))
        x = self.fc1(F.flatten(x, 1), relu=True)
        return self.fc2(self.dropout(x))


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns in training with auxiliary heads, each (N, num_classes); `data` is that of the logits."""

    logits: object
    aux_logits2: object
    aux_logits1: object

    @property
    def data(self):
        return self.logits.data


class GoogLeNet(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes); with auxiliary heads GoogLeNetOutputs in training mode

    aux_logits       whether to have the two auxiliary heads
    transform_input  whether to convert x from ImageNet's mean and standard deviation to mean 0.5 and deviation 0.5
    dropout          probability of dropout before the last layer
    conv, large      the class of convolution, and the size of the largest windows in the blocks
    """

    smallest = 15

    def __init__(self, in_channels, num_classes, aux_logits, transform_input, dropout, conv=BasicConv2d, large=3):
        if transform_input and in_channels != 3:
            raise ValueError(f"GoogLeNet: transform_input needs the three colour channels, not {in_channels}")

        def inception(*row):
            return Inception(*row, conv=conv, large=large)

        self.in_channels, self.aux_logits, self.transform_input = in_channels, aux_logits, transform_input
        self.heads = ("aux1.fc2", "aux2.fc2", "fc") if aux_logits else ("fc",)
        self.build_stem(conv)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, conv) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, conv) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)

    def build_stem(self, conv):
        """The layers below inception3a."""
        self.conv1 = conv(self.in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, 1)
        self.conv3 = conv(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def stem(self, x):
        """(N, in_channels, H, W) -> (N, 192, H/8, W/8)"""
        x = self.maxpool1(self.conv1(x))
        x = self.conv3(self.conv2(x))
        return self.maxpool2(x)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        if self.transform_input:
            x = from_imagenet(x)
        x = self.stem(x)
        x = self.inception3a(x)
        x = self.inception3b(x)
        x = self.maxpool3(x)
        x = below1 = self.inception4a(x)
        x = self.inception4b(x)
        x = self.inception4c(x)
        x = below2 = self.inception4d(x)
        x = self.inception4e(x)
        x = self.maxpool4(x)
        x = self.inception5a(x)
        x = self.inception5b(x)
        x = F.flatten(self.avgpool(x), 1)
        logits = self.fc(self.dropout(x))
        if self.aux_logits and self.training:
            return GoogLeNetOutputs(logits, self.aux2(below2), self.aux1(below1))
        return logits

    def loss(self, outputs, labels, criterion=F.cross_entropy):
        """The criterion; in training plus 0.3 times that of each auxiliary head (section 5)."""
        if not isinstance(outputs, GoogLeNetOutputs):
            return criterion(outputs, labels)
        logits, aux2, aux1 = outputs
        return criterion(logits, labels) + 0.3 * (criterion(aux2, labels) + criterion(aux1, labels))


class GoogLeNet2014(GoogLeNet):
    """The paper's network: no batch normalization, response normalization in the stem, 5x5 windows, a 3x3 maxpool4."""

    smallest = 31

    def __init__(self, in_channels, num_classes, aux_logits):
        super().__init__(in_channels, num_classes, aux_logits, False, 0.4, PlainConv2d, large=5)
        self.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1)

    def stem(self, x):
        x = self.norm(self.maxpool1(self.conv1(x)))
        x = self.norm(self.conv3(self.conv2(x)))
        return self.maxpool2(x)


class GoogLeNetCifar(GoogLeNet):
    """For 32 x 32 pixels: the stem does not reduce the resolution."""

    smallest = 2

    def build_stem(self, conv):
        self.conv1 = conv(self.in_channels, 192, 3, padding=1)

    def stem(self, x):
        return self.conv1(x)


def from_imagenet(x):
    """Renormalize x from mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225) to 0.5 and 0.5."""
    colours = [x[:, i : i + 1] * (deviation / 0.5) + (mean - 0.5) / 0.5
               for i, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)])]
    return F.cat(colours, 1)


@nn.architecture
def googlenet(in_channels: int = 3, num_classes: int = 1000, aux_logits: bool = True,
              transform_input: bool = False) -> GoogLeNet:
    """13,004,888 parameters, 1,498,376,192 multiply-adds for an image of 3 x 224 x 224.

    With aux_logits=False, 6,624,904 parameters. In eval mode the auxiliary heads are not computed.
    """
    return GoogLeNet(in_channels, num_classes, aux_logits, transform_input, dropout=0.2)


@nn.architecture
def googlenet_2014(in_channels: int = 3, num_classes: int = 1000, aux_logits: bool = True) -> GoogLeNet2014:
    """13,378,280 parameters, 1,582,671,872 multiply-adds for an image of 3 x 224 x 224.

    With aux_logits=False, 6,998,552 parameters.
    """
    return GoogLeNet2014(in_channels, num_classes, aux_logits)


@nn.architecture
def googlenet_cifar(in_channels: int = 3, num_classes: int = 10, aux_logits: bool = False) -> GoogLeNetCifar:
    """5,490,986 parameters, 1,337,141,248 multiply-adds for an image of 3 x 32 x 32."""
    return GoogLeNetCifar(in_channels, num_classes, aux_logits, transform_input=False, dropout=0.2)
