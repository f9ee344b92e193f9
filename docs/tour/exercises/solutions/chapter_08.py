"""Solutions of chapter 8."""

import minidl.functional as F
from minidl import nn


class Residual(nn.Module):
    """relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x))"""

    def __init__(self, inputs, outputs, stride=1):
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.norm2.weight.data[...] = 0
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        z = self.norm1(self.conv1(x), relu=True)
        return self.norm2(self.conv2(z), add=self.shortcut(x), relu=True)


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; the input is added if it has the shape of the result."""

    def __init__(self, inputs, outputs, expansion=6):
        wide = expansion * inputs
        self.adds = inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return self.layers(x) + x if self.adds else self.layers(x)


def inverted_costs(inputs, outputs, expansion, height, width):
    """(parameters, multiply-adds): each weight of a convolution is used once per pixel."""
    wide = expansion * inputs
    weights = inputs * wide + 9 * wide + wide * outputs
    norms = 2 * (wide + wide + outputs)
    return weights + norms, weights * height * width


def conv_norm(inputs, outputs):
    """A 3 x 3 convolution, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class AddingUNet(nn.Module):
    """A U-Net with sums in place of concatenations."""

    def __init__(self, channels=8):
        widths = [channels, 2 * channels, 4 * channels]
        self.down = [conv_norm(a, b) for a, b in zip([1, *widths], widths[:-1], strict=False)]
        self.bottom = conv_norm(widths[-2], widths[-1])
        self.up = [nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths[:-1])]
        self.merge = [conv_norm(width, width) for width in reversed(widths[:-1])]
        self.head = nn.Conv2d(channels, 2, 1)

    def forward(self, x):
        kept = []
        for layer in self.down:
            x = layer(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(kept), strict=True):
            x = merge(up(x) + skip)
        return self.head(x)
