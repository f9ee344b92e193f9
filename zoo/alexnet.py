"""AlexNet, which won the 2012 ImageNet challenge by ten percentage points and convinced the field of deep networks.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012. Its
idea: a large network can be trained on raw pixels with ReLU, which speeds up learning, dropout, which reduces
overfitting, and GPUs. Each of two GPUs held half of the filters: hence the groups of `alexnet_2012`.
`alexnet` is the one-column network of Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
arXiv 1404.5997 (2014), with torchvision's names; `alexnet_cifar` has another first layer and other initial weights.

            alexnet                                alexnet_2012                               alexnet_cifar
    x         3 x 224 x 224                          3 x 224 x 224                              3 x 32 x 32
    conv1    64 x  55 x  55  11x11, stride 4        96 x  55 x  55  11x11, stride 4, norm      64 x 32 x 32  5x5
    pool     64 x  27 x  27  3x3, stride 2          96 x  27 x  27  3x3, stride 2              64 x 15 x 15
    conv2   192 x  27 x  27  5x5                   256 x  27 x  27  5x5, 2 groups, norm       192 x 15 x 15
    pool    192 x  13 x  13  3x3, stride 2         256 x  13 x  13  3x3, stride 2             192 x  7 x  7
    conv3   384 x  13 x  13  3x3                   384 x  13 x  13  3x3                       384 x  7 x  7
    conv4   256 x  13 x  13  3x3                   384 x  13 x  13  3x3, 2 groups             256 x  7 x  7
    conv5   256 x  13 x  13  3x3                   256 x  13 x  13  3x3, 2 groups             256 x  7 x  7
    pool    256 x   6 x   6  3x3, stride 2         256 x   6 x   6  3x3, stride 2             256 x  3 x  3
    dense  4096                                   4096                                       1024
    dense  4096                                   4096                                       1024
    dense  1000                                   1000                                         10

Every layer except the last has a ReLU. Adaptive average pooling brings other image sizes to the 6 x 6 or 3 x 3 pixels
that the dense layers expect; at the sizes above it is the identity.
"""

import minidl.functional as F
import minidl.nn as nn


class AlexNet(nn.Module):
    """x (N, C, H, W)  ->  logits (N, num_classes)

    stem      the first layer, with 64 filters
    hidden    the width of the two dense layers before the last
    grid      the height and width of the feature maps given to them
    smallest  the minimum height and width of an image
    """

    heads = ("classifier.6",)

    def __init__(self, stem, num_classes, hidden, grid, smallest):
        self.in_channels, self.smallest = stem.weight.shape[1], smallest
        self.features = nn.Sequential(
            stem,                                nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),    nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),   nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),   nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),   nn.ReLU(), nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * grid * grid, hidden), nn.ReLU(),
            nn.Dropout(), nn.Linear(hidden, hidden),            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        x = self.features(x)
        x = self.avgpool(x)
        return self.classifier(F.flatten(x, 1))


class AlexNet2012(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes)"""

    heads = ("fc8",)
    smallest = 63

    def __init__(self, in_channels=3, num_classes=1000, hidden=4096):
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, 96, 11, stride=4, padding=2)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)               # the only layer connected to both halves
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.norm = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)    # the layer divides alpha by size=5
        self.pool = nn.MaxPool2d(3, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.fc6 = nn.Linear(256 * 6 * 6, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout()
        self.initialize()

    def initialize(self):
        """Section 5: standard deviation 0.01; biases of 1 where they give ReLU positive inputs at the start, else 0."""
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5, self.fc6, self.fc7, self.fc8):
            layer.weight.data[...] = nn.init.normal(layer.weight.shape, 0.01)
            layer.bias.data[...] = layer in (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        x = self.pool(self.norm(self.conv1(x, relu=True)))
        x = self.pool(self.norm(self.conv2(x, relu=True)))
        x = self.conv3(x, relu=True)
        x = self.conv4(x, relu=True)
        x = self.pool(self.conv5(x), relu=True)
        x = F.flatten(self.avgpool(x), 1)
        x = self.dropout(self.fc6(x, relu=True))
        x = self.dropout(self.fc7(x, relu=True))
        return self.fc8(x)


@nn.architecture
def alexnet(in_channels: int = 3, num_classes: int = 1000, hidden: int = 4096) -> AlexNet:
    """61,100,840 parameters, 714,188,480 multiply-adds for an image of 3 x 224 x 224."""
    stem = nn.Conv2d(in_channels, 64, 11, stride=4, padding=2)
    return AlexNet(stem, num_classes, hidden, grid=6, smallest=63)


@nn.architecture
def alexnet_2012(in_channels: int = 3, num_classes: int = 1000, hidden: int = 4096) -> AlexNet2012:
    """60,965,224 parameters, 724,406,816 multiply-adds for an image of 3 x 224 x 224."""
    return AlexNet2012(in_channels, num_classes, hidden)


@nn.architecture
def alexnet_cifar(in_channels: int = 3, num_classes: int = 10, hidden: int = 1024) -> AlexNet:
    """5,871,434 parameters, 182,220,800 multiply-adds for an image of 3 x 32 x 32."""
    stem = nn.Conv2d(in_channels, 64, 5, padding=2)
    return nn.init.he(AlexNet(stem, num_classes, hidden, grid=3, smallest=15), AlexNet.heads)
