"""ResNet: with shortcuts past every two or three layers, a hundred layers train as easily as ten.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016. Its idea: a block adds the output
of its layers to its input, relu(x + layers(x)). The identity is easy to learn, since the layers need only output zero,
and the gradient flows back through the additions undiminished.

On ImageNet (table 1); the first block of every stage except stage 1 halves the image:

                  image       channels  ResNet-18  ResNet-34  ResNet-50  ResNet-101  ResNet-152
    x           224 x 224         3
    conv1, bn1  112 x 112        64     7x7, stride 2
    maxpool      56 x  56        64     3x3, stride 2
    layer1       56 x  56        64         2          3          3          3           3
    layer2       28 x  28       128         2          4          4          4           8
    layer3       14 x  14       256         2          6          6         23          36
    layer4        7 x   7       512         2          3          3          3           3
    fc                        1,000     BasicBlocks, 3x3 3x3  Bottlenecks, 1x1 3x3 1x1, with 4 times as many outputs

Names, weight shapes and initialization are torchvision's. As there, the stride of a Bottleneck is in its 3x3
convolution, not in the first 1x1. The `_cifar` networks, for 32 x 32 pixels, begin with a 3x3 convolution of stride 1
and no pooling.

On CIFAR-10 (section 4.2) the paper uses narrower networks, here `resnet20` to `resnet110`, with 6n + 2 layers:

                  image       channels  blocks
    x            32 x 32          3
    conv1, bn1   32 x 32         16     3x3
    layer1       32 x 32         16       n        ResNet-20: n = 3, ResNet-110: n = 18
    layer2       16 x 16         32       n
    layer3        8 x  8         64       n
    linear                       10

Their shortcuts have no weights: where a block halves the image, they take every second pixel and pad with zero
channels. Names are those of https://github.com/akamaster/pytorch_resnet_cifar10, whose weights are widely used.
"""

import minidl.functional as F
import minidl.nn as nn


class BasicBlock(nn.Module):
    """relu(x + two 3x3 convolutions of x).   x (N, C, H, W)  ->  (N, width, H/stride, W/stride)"""

    expansion = 1

    def __init__(self, in_channels, width, stride, downsample):
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x), relu=True)
        return self.bn2(self.conv2(x), add=shortcut, relu=True)


class Bottleneck(nn.Module):
    """relu(x + 1x1, 3x3, 1x1 convolutions of x).   x (N, C, H, W)  ->  (N, 4*width, H/stride, W/stride)"""

    expansion = 4

    def __init__(self, in_channels, width, stride, downsample):
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = downsample

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x), relu=True)
        x = self.bn2(self.conv2(x), relu=True)
        return self.bn3(self.conv3(x), add=shortcut, relu=True)


class ResNet(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes)

    block   BasicBlock or Bottleneck
    depths  number of blocks in each of the four stages
    width   channels of the first stage
    small   whether images have about 32 x 32 pixels, so that the first layers keep the resolution
    """

    heads = ("fc",)

    def __init__(self, block, depths, in_channels, num_classes, width=64, small=False):
        self.in_channels = in_channels
        if small:
            self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        e = block.expansion
        self.layer1 = stage(block, width, width, depths[0], stride=1)
        self.layer2 = stage(block, e * width, 2 * width, depths[1], stride=2)
        self.layer3 = stage(block, 2 * e * width, 4 * width, depths[2], stride=2)
        self.layer4 = stage(block, 4 * e * width, 8 * width, depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * e * width, num_classes)
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels)
        x = self.bn1(self.conv1(x), relu=True)
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = self.avgpool(x)
        return self.fc(F.flatten(x, 1))


def stage(block, in_channels, width, depth, stride):
    """`depth` blocks. The first has the stride, and a 1x1 convolution in its shortcut if the shape changes."""
    out_channels = block.expansion * width
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
    rest = [block(out_channels, width, 1, None) for _ in range(depth - 1)]
    return nn.Sequential(block(in_channels, width, stride, downsample), *rest)


class CifarBlock(nn.Module):
    """relu(shortcut(x) + two 3x3 convolutions of x).   x (N, C, H, W)  ->  (N, width, H/stride, W/stride)"""

    def __init__(self, in_channels, width, stride):
        self.stride, self.extra_channels = stride, width - in_channels
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def shortcut(self, x):
        """Option A: every second pixel, with the extra channels zero, half before and half after x's own."""
        if self.stride == 1:
            return x
        front = self.extra_channels // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], pad=(0, 0, 0, 0, front, self.extra_channels - front))

    def forward(self, x):
        shortcut = self.shortcut(x)
        x = self.bn1(self.conv1(x), relu=True)
        return self.bn2(self.conv2(x), add=shortcut, relu=True)


class CifarResNet(nn.Module):
    """x (N, in_channels, H, W)  ->  logits (N, num_classes);   depth = 6n + 2, `width` channels in stage 1"""

    heads = ("linear",)

    def __init__(self, depth, in_channels, num_classes, width=16):
        n, rest = divmod(depth - 2, 6)
        if n < 1 or rest:
            raise ValueError(f"CifarResNet: depth={depth} is not 6n + 2, such as 20, 32, 44, 56 or 110")
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = cifar_stage(width, width, n, stride=1)
        self.layer2 = cifar_stage(width, 2 * width, n, stride=2)
        self.layer3 = cifar_stage(2 * width, 4 * width, n, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(4 * width, num_classes)
        initialize(self)

    def forward(self, x):
        nn.check_input(self, x, self.in_channels)
        x = self.bn1(self.conv1(x), relu=True)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.avgpool(x)
        return self.linear(F.flatten(x, 1))


def cifar_stage(in_channels, width, depth, stride):
    """`depth` blocks; the first has the stride."""
    rest = [CifarBlock(width, width, 1) for _ in range(depth - 1)]
    return nn.Sequential(CifarBlock(in_channels, width, stride), *rest)


def initialize(model):
    """He's normal distribution by fan-out for convolutions; batch norms keep weights of 1 and biases of 0."""
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[...] = nn.init.kaiming_normal(layer.weight.shape, mode="fan_out", nonlinearity="relu")


@nn.architecture
def resnet18(in_channels: int = 3, num_classes: int = 1000, width: int = 64) -> ResNet:
    """11,689,512 parameters, 1,814,073,344 multiply-adds for an image of 3 x 224 x 224."""
    return ResNet(BasicBlock, (2, 2, 2, 2), in_channels, num_classes, width)


@nn.architecture
def resnet34(in_channels: int = 3, num_classes: int = 1000, width: int = 64) -> ResNet:
    """21,797,672 parameters, 3,663,761,408 multiply-adds for an image of 3 x 224 x 224."""
    return ResNet(BasicBlock, (3, 4, 6, 3), in_channels, num_classes, width)


@nn.architecture
def resnet50(in_channels: int = 3, num_classes: int = 1000, width: int = 64) -> ResNet:
    """25,557,032 parameters, 4,089,184,256 multiply-adds for an image of 3 x 224 x 224."""
    return ResNet(Bottleneck, (3, 4, 6, 3), in_channels, num_classes, width)


@nn.architecture
def resnet101(in_channels: int = 3, num_classes: int = 1000, width: int = 64) -> ResNet:
    """44,549,160 parameters, 7,801,405,440 multiply-adds for an image of 3 x 224 x 224."""
    return ResNet(Bottleneck, (3, 4, 23, 3), in_channels, num_classes, width)


@nn.architecture
def resnet152(in_channels: int = 3, num_classes: int = 1000, width: int = 64) -> ResNet:
    """60,192,808 parameters, 11,513,626,624 multiply-adds for an image of 3 x 224 x 224."""
    return ResNet(Bottleneck, (3, 8, 36, 3), in_channels, num_classes, width)


@nn.architecture
def resnet18_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> ResNet:
    """11,173,962 parameters, 555,422,720 multiply-adds for an image of 3 x 32 x 32."""
    return ResNet(BasicBlock, (2, 2, 2, 2), in_channels, num_classes, width, small=True)


@nn.architecture
def resnet34_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> ResNet:
    """21,282,122 parameters, 1,159,402,496 multiply-adds for an image of 3 x 32 x 32."""
    return ResNet(BasicBlock, (3, 4, 6, 3), in_channels, num_classes, width, small=True)


@nn.architecture
def resnet50_cifar(in_channels: int = 3, num_classes: int = 10, width: int = 64) -> ResNet:
    """23,520,842 parameters, 1,297,829,888 multiply-adds for an image of 3 x 32 x 32."""
    return ResNet(Bottleneck, (3, 4, 6, 3), in_channels, num_classes, width, small=True)


@nn.architecture
def resnet20(in_channels: int = 3, num_classes: int = 10, width: int = 16) -> CifarResNet:
    """269,722 parameters, 40,551,040 multiply-adds for an image of 3 x 32 x 32."""
    return CifarResNet(20, in_channels, num_classes, width)


@nn.architecture
def resnet32(in_channels: int = 3, num_classes: int = 10, width: int = 16) -> CifarResNet:
    """464,154 parameters, 68,862,592 multiply-adds for an image of 3 x 32 x 32."""
    return CifarResNet(32, in_channels, num_classes, width)


@nn.architecture
def resnet44(in_channels: int = 3, num_classes: int = 10, width: int = 16) -> CifarResNet:
    """658,586 parameters, 97,174,144 multiply-adds for an image of 3 x 32 x 32."""
    return CifarResNet(44, in_channels, num_classes, width)


@nn.architecture
def resnet56(in_channels: int = 3, num_classes: int = 10, width: int = 16) -> CifarResNet:
    """853,018 parameters, 125,485,696 multiply-adds for an image of 3 x 32 x 32."""
    return CifarResNet(56, in_channels, num_classes, width)


@nn.architecture
def resnet110(in_channels: int = 3, num_classes: int = 10, width: int = 16) -> CifarResNet:
    """1,727,962 parameters, 252,887,680 multiply-adds for an image of 3 x 32 x 32."""
    return CifarResNet(110, in_channels, num_classes, width)
