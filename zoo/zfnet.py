"""ZFNet, the winner of the 2013 ImageNet challenge: AlexNet, visualized and corrected.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, figure 3. Its idea: project
what activates a filter back to pixel space and look at it. AlexNet's first layer turned out to have dead filters, and
its second aliasing artefacts from the large stride; so ZFNet has smaller filters and smaller strides there.

           zfnet                               parameters    zfnet_cifar
    x        3 x 224 x 224                                     3 x 32 x 32
    conv1   96 x 110 x 110  7x7, stride 2          14,208     96 x 32 x 32  3x3
    pool    96 x  55 x  55  3x3, stride 2, norm               96 x 16 x 16
    conv2  256 x  26 x  26  5x5, stride 2         614,656    256 x 16 x 16  5x5
    pool   256 x  13 x  13  3x3, stride 2, norm              256 x  8 x  8
    conv3  384 x  13 x  13  3x3                   885,120    384 x  8 x  8
    conv4  384 x  13 x  13  3x3                 1,327,488    384 x  8 x  8
    conv5  256 x  13 x  13  3x3                   884,992    256 x  8 x  8
    pool   256 x   6 x   6  3x3, stride 2                    256 x  4 x  4
    fc6   4096                                 37,752,832   1024
    fc7   4096                                 16,781,312   1024
    fc8   1000                                  4,097,000     10
                                               62,357,608

Every layer except the last has a ReLU. The last window of a pooling may extend past the edge, which gives the paper's
55 and 13 pixels. Adaptive average pooling brings other image sizes to the 6 x 6 or 4 x 4 pixels that fc6 expects.
"""

import minidl.functional as F
import minidl.nn as nn


class ZFNet(nn.Module):
    """x (N, C, H, W)  ->  logits (N, num_classes)

    conv1, conv2  the first layers, with 96 and 256 filters
    hidden        the width of the two dense layers before the last
    grid          the height and width of the feature maps given to them
    smallest      the minimum height and width of an image
    """

    heads = ("fc8",)

    def __init__(self, conv1, conv2, num_classes, hidden, grid, smallest):
        self.in_channels, self.smallest = conv1.weight.shape[1], smallest
        self.conv1 = conv1
        self.conv2 = conv2
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)    # AlexNet's; the layer divides alpha by 5
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.fc6 = nn.Linear(256 * grid * grid, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout()

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, self.smallest)
        x = self.norm(self.pool(self.conv1(x, relu=True)))
        x = self.norm(self.pool(self.conv2(x, relu=True)))
        x = self.conv3(x, relu=True)
        x = self.conv4(x, relu=True)
        x = self.pool(self.conv5(x), relu=True)
        x = F.flatten(self.avgpool(x), 1)
        x = self.dropout(self.fc6(x, relu=True))
        x = self.dropout(self.fc7(x, relu=True))
        return self.fc8(x)


@nn.architecture
def zfnet(in_channels: int = 3, num_classes: int = 1000, hidden: int = 4096) -> ZFNet:
    """62,357,608 parameters, 1,168,032,896 multiply-adds for an image of 3 x 224 x 224."""
    conv1 = nn.Conv2d(in_channels, 96, 7, stride=2, padding=1)
    conv2 = nn.Conv2d(96, 256, 5, stride=2)
    return ZFNet(conv1, conv2, num_classes, hidden, grid=6, smallest=47)


@nn.architecture
def zfnet_cifar(in_channels: int = 3, num_classes: int = 10, hidden: int = 1024) -> ZFNet:
    """8,970,122 parameters, 363,374,592 multiply-adds for an image of 3 x 32 x 32."""
    conv1 = nn.Conv2d(in_channels, 96, 3, padding=1)
    conv2 = nn.Conv2d(96, 256, 5, padding=2)
    return nn.init.he(ZFNet(conv1, conv2, num_classes, hidden, grid=4, smallest=8), ZFNet.heads)
