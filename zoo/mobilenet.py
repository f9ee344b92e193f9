"""MobileNet v1 and v2: image recognition for mobile phones.

v1: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", arXiv
1704.04861 (2017), table 1. Its idea: a 3x3 convolution is nearly as good when split in two, one 3x3 filter per channel
("depthwise") and then a 1x1 convolution that mixes the channels ("pointwise"), for an eighth of the multiply-adds.
Two settings trade accuracy for speed: `width` multiplies all channels, and images may be smaller.

v2: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, table 2. Its idea: shortcuts
between thin layers. A block expands its input, filters it depthwise, and projects it back to few channels without a
ReLU, which would lose too much information among few channels.

    mobilenet_v1                                    mobilenet_v2
    x               3 x 224 x 224                   x                3 x 224 x 224
    conv1          32 x 112 x 112  3x3, stride 2    features.0      32 x 112 x 112  3x3, stride 2
    blocks.0       64 x 112 x 112                   features.1      16 x 112 x 112  not expanded
    blocks.1-2    128 x  56 x  56                   features.2-3    24 x  56 x  56  expanded 6 times, as all below
    blocks.3-4    256 x  28 x  28                   features.4-6    32 x  28 x  28
    blocks.5-10   512 x  14 x  14                   features.7-10   64 x  14 x  14
    blocks.11-12 1024 x   7 x   7                   features.11-13  96 x  14 x  14
                                                    features.14-16 160 x   7 x   7
                                                    features.17    320 x   7 x   7
                                                    features.18   1280 x   7 x   7  1x1
    fc           1000                               classifier.1  1000

The first block of a row halves the image where the table says so. Every convolution is followed by batch normalization
and, except at the end of v2's blocks, by ReLU6, min(max(x, 0), 6). v2 has torchvision's weight names and shapes.
The `_cifar` networks, for 32 x 32 pixels, do not halve the image in the first layer, nor, in v2, in features.2.
"""

import minidl.functional as F
import minidl.nn as nn

V1 = [                        # (channels, stride) of each block
    (64, 1),
    (128, 2), (128, 1),
    (256, 2), (256, 1),
    (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
]
V2 = [                        # (expansion, channels, blocks, stride of the first) of each row
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class ConvNorm(nn.Module):
    """Convolution, batch normalization, ReLU6.   (N, C, H, W) -> (N, F, H/stride, W/stride), rounded up

    tf_padding  whether stride 2 pads as TensorFlow's "SAME" does: an even size by one, at the bottom and right only
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, groups=1, eps=1e-5, tf_padding=False):
        self.tf_padding = tf_padding and stride == 2
        padding = 0 if self.tf_padding else kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=eps)

    def forward(self, x):
        if self.tf_padding:
            h, w = x.shape[2:]
            x = F.pad(x, pad=(w % 2, 1, h % 2, 1))
        return self.bn(self.conv(x), relu=True, ceiling=6)


class Separable(nn.Module):
    """v1's block, a depthwise separable convolution.   (N, C, H, W) -> (N, F, H/stride, W/stride)"""

    def __init__(self, in_channels, out_channels, stride, **settings):
        self.depthwise = ConvNorm(in_channels, in_channels, 3, stride, groups=in_channels, **settings)
        self.pointwise = ConvNorm(in_channels, out_channels, 1, **settings)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class MobileNetV1(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes);   settings of `mobilenet_v1`; `stride` is conv1's"""

    heads = ("fc",)

    def __init__(self, in_channels, num_classes, width, stride, **settings):
        self.in_channels = in_channels
        channels = [int(width * c) for c in (32, *(c for c, _ in V1))]
        self.conv1 = ConvNorm(in_channels, channels[0], 3, stride, **settings)
        self.blocks = nn.Sequential(*[Separable(channels[i], channels[i + 1], s, **settings)
                                      for i, (_, s) in enumerate(V1)])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels[-1], num_classes)
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels)
        x = self.conv1(x)
        x = self.blocks(x)
        x = self.avgpool(x)
        return self.fc(F.flatten(x, 1))


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; add x where shapes allow.   (N, C, H, W) -> (N, F, H/stride, W/stride)"""

    def __init__(self, in_channels, out_channels, stride, expansion):
        wide = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        expand = [conv_norm_relu6(in_channels, wide, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_norm_relu6(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x):
        *layers, norm = self.conv
        out = x
        for layer in layers:
            out = layer(out)
        return norm(out, add=x) if self.residual else norm(out)


class MobileNetV2(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes);   settings of `mobilenet_v2`; `rows` is like V2"""

    heads = ("classifier.1",)

    def __init__(self, in_channels, num_classes, width, stride, rows):
        self.in_channels = in_channels
        channels, last = rounded(32 * width), rounded(1280 * max(1.0, width))
        features = [conv_norm_relu6(in_channels, channels, 3, stride)]
        for expansion, c, blocks, stride in rows:
            for i in range(blocks):
                features.append(InvertedResidual(channels, rounded(c * width), stride if i == 0 else 1, expansion))
                channels = rounded(c * width)
        features.append(conv_norm_relu6(channels, last, 1))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels)
        x = self.features(x)
        x = self.avgpool(x)
        return self.classifier(F.flatten(x, 1))


def conv_norm_relu6(in_channels, out_channels, kernel_size, stride=1, groups=1):
    """Convolution, batch normalization, ReLU6, with torchvision's names 0 and 1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


def rounded(channels):
    """The nearest multiple of 8 that is at least 8 and at least 90 % of `channels`."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8


def initialize(model):
    """He's normal distribution by fan-out for convolutions, standard deviation 0.01 for the last layer."""
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[...] = nn.init.kaiming_normal(layer.weight.shape, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            layer.weight.data[...] = nn.init.normal(layer.weight.shape, 0.01)
            layer.bias.data[...] = 0


@nn.architecture
def mobilenet_v1(in_channels: int = 3, num_classes: int = 1000, width: float = 1.0, eps: float = 1e-3,
                 tf_padding: bool = False) -> MobileNetV1:
    """4,231,976 parameters, 568,740,352 multiply-adds for an image of 3 x 224 x 224.

    width       multiplies the channels of every layer; the paper uses 1, 0.75, 0.5 and 0.25
    eps         eps of batch normalization
    tf_padding  whether to pad as TensorFlow does; needed by weights trained there
    """
    return MobileNetV1(in_channels, num_classes, width, stride=2, eps=eps, tf_padding=tf_padding)


@nn.architecture
def mobilenet_v1_cifar(in_channels: int = 3, num_classes: int = 10, width: float = 1.0) -> MobileNetV1:
    """3,217,226 parameters, 46,354,432 multiply-adds for an image of 3 x 32 x 32."""
    return MobileNetV1(in_channels, num_classes, width, stride=1)


@nn.architecture
def mobilenet_v2(in_channels: int = 3, num_classes: int = 1000, width: float = 1.0) -> MobileNetV2:
    """3,504,872 parameters, 300,774,272 multiply-adds for an image of 3 x 224 x 224.

    width  multiplies the channels of every layer, rounded to multiples of 8; the last layer never shrinks
    """
    return MobileNetV2(in_channels, num_classes, width, stride=2, rows=V2)


@nn.architecture
def mobilenet_v2_cifar(in_channels: int = 3, num_classes: int = 10, width: float = 1.0) -> MobileNetV2:
    """2,236,682 parameters, 87,976,448 multiply-adds for an image of 3 x 32 x 32."""
    rows = [V2[0], (6, 24, 2, 1), *V2[2:]]
    return MobileNetV2(in_channels, num_classes, width, stride=1, rows=rows)
