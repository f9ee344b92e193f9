"""A small network with batch normalization: the first to try on 28 x 28 pixels, more accurate than LeNet-5.

From no paper: small networks look so since Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015 (3x3
filters, twice as many after each pooling), and Ioffe and Szegedy, "Batch normalization", ICML 2015.
Its idea: one block, three times; each halves the image and doubles the channels.

            layer                      output         parameters
    x                                   1 x 28 x 28
    block1  conv 3x3, norm, ReLU, pool  32 x 14 x 14         352
    block2  conv 3x3, norm, ReLU, pool  64 x  7 x  7      18,560
    block3  conv 3x3, norm, ReLU, pool 128 x  3 x  3      73,984
    fc      after dropout              10                 11,530
                                                         104,426
"""

import minidl.functional as F
import minidl.nn as nn


class Block(nn.Module):
    """x (N, C, H, W)  ->  (N, F, H/2, W/2), rounded down"""

    def __init__(self, in_channels, out_channels):
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)     # the norm brings its own bias
        self.norm = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(F.relu(self.norm(self.conv(x))))


class SimpleCNN(nn.Module):
    """x (N, in_channels, image_size, image_size)  ->  logits (N, num_classes)"""

    def __init__(self, in_channels=1, num_classes=10, width=32, image_size=28):
        self.block1 = Block(in_channels, width)
        self.block2 = Block(width, 2 * width)
        self.block3 = Block(2 * width, 4 * width)
        self.dropout = nn.Dropout(0.25)
        self.fc = nn.Linear(4 * width * (image_size // 8) ** 2, num_classes)

    def forward(self, x):
        x = self.block1(x)
        x = self.block2(x)
        x = self.block3(x)
        return self.fc(self.dropout(F.flatten(x, 1)))


@nn.architecture
def simple_cnn(in_channels=1, num_classes=10, width=32, image_size=28):
    """104,426 parameters and 7.5 million multiply-adds an image of 28 x 28 pixels, at the width of 32."""
    return SimpleCNN(in_channels, num_classes, width, image_size)
