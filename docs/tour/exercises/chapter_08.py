"""Exercises of chapter 8: blocks of deep networks."""

from minidl import nn


class Residual(nn.Module):
    """A residual block that may change the size:  relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x))

    x (N, inputs, H, W)  ->  (N, outputs, H / stride, W / stride), rounded up

    conv1 and conv2 have 3 x 3 windows and padding 1; conv1 has the stride. No convolution has a bias, as a norm follows
    each. The shortcut is x itself where input and output have the same shape, and otherwise a 1 x 1 convolution with
    the stride, followed by a batch norm. The weight of norm2 begins at 0, so that the block begins as its shortcut with
    a ReLU (Goyal et al., "Accurate, large minibatch SGD", 2017, section 5.1).
    """

    def __init__(self, inputs, outputs, stride=1):
        raise NotImplementedError("exercise 8.1: two convolutions with norms, and a shortcut")

    def forward(self, x):
        raise NotImplementedError("exercise 8.1: forward")


class InvertedResidual(nn.Module):
    """The block of MobileNet v2: wide inside, narrow outside.   (N, inputs, H, W) -> (N, outputs, H, W)

    1 x 1 convolution to expansion * inputs channels, batch norm, ReLU6; depthwise 3 x 3 convolution with padding 1,
    batch norm, ReLU6; 1 x 1 convolution to `outputs` channels, batch norm, and no activation. No convolution has a
    bias. If outputs = inputs, the input is added to the result.
    Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, section 3.
    """

    def __init__(self, inputs, outputs, expansion=6):
        raise NotImplementedError("exercise 8.2: three convolutions with norms")

    def forward(self, x):
        raise NotImplementedError("exercise 8.2: forward")


def inverted_costs(inputs, outputs, expansion, height, width):
    """(parameters, multiply-adds) of an InvertedResidual, by arithmetic, for images of height x width pixels.

    Batch norms have two parameters for each channel, and no multiply-adds.
    """
    raise NotImplementedError("exercise 8.2: count them")


class AddingUNet(nn.Module):
    """A U-Net whose skip connections are added, not concatenated.   (N, 1, H, W) -> logits (N, 2, H, W)

    There are two levels above the bottom, with `channels` and 2 * channels channels; the bottom has 4 * channels.
    H and W are multiples of 4. Each level is a 3 x 3 convolution with padding 1, batch norm and ReLU; max pooling leads
    down, a transposed convolution of size 2 and stride 2 leads up. What comes up is added to what came across, before
    the convolution of the level. A 1 x 1 convolution gives the logits. (As in Chaurasia and Culurciello, "LinkNet",
    2017.)
    """

    def __init__(self, channels=8):
        raise NotImplementedError("exercise 8.3: the layers on the way down and up")

    def forward(self, x):
        raise NotImplementedError("exercise 8.3: forward")
