"""A small network with batch normalization: the first to try on MNIST, Fashion-MNIST and CIFAR-10.

Not from a paper. Small networks have looked like this since Simonyan and Zisserman, "Very deep convolutional
networks", ICLR 2015 (3x3 filters, twice as many after each pooling), and Ioffe and Szegedy, "Batch normalization",
ICML 2015. Its idea: one repeated block, which halves the image and doubles the channels.

                layer                      output         parameters
    x                                       1 x 28 x 28
    blocks.0    conv 3x3, norm, ReLU, pool  32 x 14 x 14         352
    blocks.1    conv 3x3, norm, ReLU, pool  64 x  7 x  7      18,560
    blocks.2    conv 3x3, norm, ReLU, pool 128 x  3 x  3      73,984
    fc          after dropout              10                 11,530
                                                             104,426
"""

import itertools

import minidl.functional as F
import minidl.nn as nn


class Block(nn.Module):
    """x (N, C, H, W)  ->  (N, F, H/2, W/2), rounded down"""

    def __init__(self, in_channels, out_channels):
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)     # the norm has its own bias
        self.norm = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(self.norm(self.conv(x), relu=True))


class SimpleCNN(nn.Module):
    """x (N, in_channels, image_size, image_size)  ->  logits (N, num_classes)"""

    heads = ("fc",)

    def __init__(self, in_channels=1, num_classes=10, width=32, depth=3, image_size=28):
        left = image_size >> depth                                   # each block halves the size, rounded down
        if left < 1:
            raise ValueError(f"SimpleCNN: depth={depth} blocks leave no pixels of {image_size} x {image_size} images; "
                             f"they must be at least {2 ** depth} x {2 ** depth}")
        self.in_channels, self.image_size = in_channels, image_size
        channels = [in_channels] + [width * 2**i for i in range(depth)]
        self.blocks = nn.Sequential(*[Block(c, f) for c, f in itertools.pairwise(channels)])
        self.dropout = nn.Dropout(0.25)
        self.fc = nn.Linear(channels[-1] * left * left, num_classes)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels, exactly=self.image_size)
        x = self.blocks(x)
        return self.fc(self.dropout(F.flatten(x, 1)))


@nn.architecture
def simple_cnn(in_channels: int = 1, num_classes: int = 10, width: int = 32, depth: int = 3,
               image_size: int = 28) -> SimpleCNN:
    """104,426 parameters, 7,462,656 multiply-adds for an image of 1 x 28 x 28.

    width  channels of the first block      depth  number of blocks      image_size  height and width, in pixels
    """
    return SimpleCNN(in_channels, num_classes, width, depth, image_size)
