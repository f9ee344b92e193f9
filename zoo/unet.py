"""U-Net: a class for every pixel of an image; designed to segment cells from thirty training images.

Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015, figure 1.
Its idea: a contracting path recognizes what is in the image, an expanding path locates it, and skip connections carry
the fine detail of each level across.

    x                     1 x 572 x 572                       head                  2 x 388 x 388
    down.0               64 x 568 x 568  -- cropped --------> up.3                 64 x 388 x 388
      pool                64 x 284 x 284                        up-convolution      64 x 392 x 392
    down.1              128 x 280 x 280  -- cropped --------> up.2                128 x 196 x 196
      pool               128 x 140 x 140                        up-convolution     128 x 200 x 200
    down.2              256 x 136 x 136  -- cropped --------> up.1                256 x 100 x 100
      pool               256 x  68 x  68                        up-convolution     256 x 104 x 104
    down.3              512 x  64 x  64  -- cropped --------> up.0                512 x  52 x  52
      pool               512 x  32 x  32                        up-convolution     512 x  56 x  56
    bottom, dropout    1024 x  28 x  28

Each down, bottom and up is two 3x3 convolutions with ReLU. The paper does not pad them, so each output pixel depends
on real pixels only and the output is smaller than the input; with `padded=True` it has the size of the input.
"""

import itertools

import minidl.functional as F
import minidl.nn as nn


class DoubleConv(nn.Module):
    """Two 3x3 convolutions with ReLU.   (N, C, H, W) -> (N, F, H-4, W-4), or (N, F, H, W) if padded"""

    def __init__(self, in_channels, out_channels, padded, batch_norm):
        layers = []
        for channels in (in_channels, out_channels):
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=int(padded), bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Up(nn.Module):
    """Double the size and halve the channels, concatenate the skip connection of this level, then a DoubleConv.

    x (N, 2*C, H, W), skip (N, C, at least 2*H, at least 2*W)  ->  (N, C, 2*H-4, 2*W-4), or (N, C, 2*H, 2*W) if padded
    """

    def __init__(self, channels, padded, bilinear, batch_norm):
        if bilinear:                                                # the 1x1 convolution first: it costs less there
            self.up = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.Upsample(scale_factor=2, mode="bilinear"))
        else:
            self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.convs = DoubleConv(2 * channels, channels, padded, batch_norm)

    def forward(self, x, skip):
        x = self.up(x)
        return self.convs(F.cat([cropped(skip, x.shape[2:]), x], 1))


class UNet(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes, H', W'), one per output pixel.

    The settings are those of `unet`.
    """

    heads = ("head",)

    def __init__(self, in_channels, num_classes, base_channels, depth, padded, bilinear, batch_norm, dropout):
        if depth < 1:
            raise ValueError(f"UNet: depth={depth} must be at least 1")
        channels = [base_channels * 2**i for i in range(depth + 1)]
        self.in_channels, self.padded = in_channels, padded
        self.down = [DoubleConv(c, f, padded, batch_norm) for c, f in itertools.pairwise([in_channels, *channels[:-1]])]
        self.pool = nn.MaxPool2d(2)
        self.bottom = DoubleConv(channels[-2], channels[-1], padded, batch_norm)
        self.dropout = nn.Dropout(dropout)
        self.up = [Up(c, padded, bilinear, batch_norm) for c in reversed(channels[:-1])]
        self.head = nn.Conv2d(base_channels, num_classes, 1)
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels)
        self.check_size(*x.shape[2:])
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = self.pool(x)
        x = self.dropout(self.bottom(x))
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(x, skip)
        return self.head(x)

    def check_size(self, h, w):
        """Raise ValueError unless every pooling halves an even size and the output is not empty.

        Without padding each level loses 4 pixels on the way down and 4 on the way up, and a pixel lost one level
        lower counts double: n pixels become n - 12 * 2**depth + 8.
        """
        step = 2 ** len(self.down)
        lost, offset = (0, 0) if self.padded else (12 * step - 8, 4)
        smallest = next(n for n in range(lost + 1, lost + step + 1) if (n + offset) % step == 0)
        if min(h, w) < smallest or (h - smallest) % step or (w - smallest) % step:
            sizes = ", ".join(str(smallest + i * step) for i in range(3))
            raise ValueError(f"UNet: height and width must each be one of {sizes}, ..., not {h} and {w}: "
                             f"each of {len(self.down)} poolings halves an even size, and the output must not be empty")


def cropped(x, size):
    """The centre of the images x, with height and width `size`."""
    top, left = ((have - want) // 2 for have, want in zip(x.shape[2:], size, strict=True))
    return x[:, :, top : top + size[0], left : left + size[1]]


def initialize(model):
    """He's normal distribution by fan-in, as in section 3; biases are 0."""
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[...] = nn.init.kaiming_normal(layer.weight.shape, nonlinearity="relu")
            if layer.bias is not None:
                layer.bias.data[...] = 0


@nn.architecture
def unet(in_channels: int = 1, num_classes: int = 2, base_channels: int = 64, depth: int = 4, padded: bool = False,
         bilinear: bool = False, batch_norm: bool = False, dropout: float = 0.5) -> UNet:
    """31,030,658 parameters, 150,428,424,448 multiply-adds for an image of 1 x 572 x 572.

    base_channels  channels of the top level; each level below has twice as many
    depth          number of poolings
    padded         whether the output has the size of the input; height and width must be multiples of 2**depth
    bilinear       whether to upsample by a 1x1 convolution and interpolation instead of a transposed convolution
    batch_norm     whether batch normalization follows every 3x3 convolution
    dropout        probability of dropout at the bottom
    """
    return UNet(in_channels, num_classes, base_channels, depth, padded, bilinear, batch_norm, dropout)
