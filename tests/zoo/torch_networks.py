"""torchvision's networks in PyTorch, in short form: the oracle for names, shapes and logits.

Written from torchvision's definitions, independently of the zoo. The networks are used in eval mode only, so dropout
appears only where the numbered names of other layers depend on it.
"""

import torch
import torch.nn.functional as F
from torch import nn


def norm(channels):
    return nn.BatchNorm2d(channels)


class AlexNet(nn.Module):
    def __init__(self, hidden=4096):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(9216, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 1000))

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 6).flatten(1))


class VGG(nn.Module):
    def __init__(self, plan, batch_norm, hidden=4096):
        super().__init__()
        layers, channels = [], 3
        for step in plan.split():
            if step == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers.append(nn.Conv2d(channels, int(step), 3, padding=1))
                layers += [norm(int(step)), nn.ReLU()] if batch_norm else [nn.ReLU()]
                channels = int(step)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, 1000))

    def forward(self, x):
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 7).flatten(1))


VGG_PLANS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


class BasicConv2d(nn.Module):
    def __init__(self, c, f, k, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(c, f, k, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(f, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, c, one, red3, three, red5, five, pool):
        super().__init__()
        self.branch1 = BasicConv2d(c, one, 1)
        self.branch2 = nn.Sequential(BasicConv2d(c, red3, 1), BasicConv2d(red3, three, 3, padding=1))
        self.branch3 = nn.Sequential(BasicConv2d(c, red5, 1), BasicConv2d(red5, five, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), BasicConv2d(c, pool, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = BasicConv2d(c, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, 1000)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


class GoogLeNet(nn.Module):
    def __init__(self, transform_input=False):
        super().__init__()
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(3, 64, 7, stride=2, padding=3)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1, self.aux2 = InceptionAux(512), InceptionAux(528)
        self.fc = nn.Linear(1024, 1000)

    def all_heads(self, x):
        """Logits of the main head, the upper auxiliary head and the lower one."""
        if self.transform_input:
            mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            x = x * (deviation / 0.5)[:, None, None] + ((mean - 0.5) / 0.5)[:, None, None]
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.inception3b(self.inception3a(x)), 3, 2, ceil_mode=True)
        low = self.inception4a(x)
        high = self.inception4d(self.inception4c(self.inception4b(low)))
        x = F.max_pool2d(self.inception4e(high), 2, 2, ceil_mode=True)
        x = self.inception5b(self.inception5a(x))
        return self.fc(x.mean((2, 3))), self.aux2(high), self.aux1(low)

    def forward(self, x):
        return self.all_heads(x)[0]


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, c, f, stride, downsample):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, f, 3, stride, 1, bias=False), norm(f)
        self.conv2, self.bn2 = nn.Conv2d(f, f, 3, 1, 1, bias=False), norm(f)
        self.downsample = downsample

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, c, f, stride, downsample):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, f, 1, bias=False), norm(f)
        self.conv2, self.bn2 = nn.Conv2d(f, f, 3, stride, 1, bias=False), norm(f)
        self.conv3, self.bn3 = nn.Conv2d(f, 4 * f, 1, bias=False), norm(4 * f)
        self.downsample = downsample

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, block, depths):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm(64)
        c = 64
        for i, depth in enumerate(depths):
            f, blocks = 64 * 2**i, []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                changes = stride == 2 or c != f * block.expansion
                out = f * block.expansion
                down = nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), norm(out)) if changes else None
                blocks.append(block(c, f, stride, down))
                c = out
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, 1000)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def conv_relu6(c, f, k, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(c, f, k, stride, k // 2, groups=groups, bias=False), norm(f), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, c, f, stride, t):
        super().__init__()
        self.adds = stride == 1 and c == f
        widen = [] if t == 1 else [conv_relu6(c, t * c, 1)]
        self.conv = nn.Sequential(*widen, conv_relu6(t * c, t * c, 3, stride, t * c),
                                  nn.Conv2d(t * c, f, 1, bias=False), norm(f))

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        layers, c = [conv_relu6(3, 32, 3, 2)], 32
        for t, f, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                           (6, 320, 1, 1)]:
            for i in range(n):
                layers.append(InvertedResidual(c, f, s if i == 0 else 1, t))
                c = f
        self.features = nn.Sequential(*layers, conv_relu6(320, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, 1000))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class CifarBlock(nn.Module):
    def __init__(self, c, f):
        super().__init__()
        self.stride, self.grow = f // c, (f - c) // 2
        self.conv1, self.bn1 = nn.Conv2d(c, f, 3, self.stride, 1, bias=False), norm(f)
        self.conv2, self.bn2 = nn.Conv2d(f, f, 3, 1, 1, bias=False), norm(f)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.grow, self.grow))
        return F.relu(y + shortcut)


class CifarResNet(nn.Module):
    """akamaster's, with option A."""

    def __init__(self, depth):
        super().__init__()
        n = (depth - 2) // 6
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), norm(16)
        for i, (c, f) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
            setattr(self, f"layer{i}", nn.Sequential(CifarBlock(c, f), *(CifarBlock(f, f) for _ in range(n - 1))))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


RESNETS = {
    18: (BasicBlock, (2, 2, 2, 2)), 34: (BasicBlock, (3, 4, 6, 3)), 50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)), 152: (Bottleneck, (3, 8, 36, 3)),
}


def build(name, **settings):
    """The PyTorch network `name`. Settings: hidden for AlexNet and VGG, transform_input for GoogLeNet."""
    if name == "alexnet":
        return AlexNet(**settings)
    if name.startswith("vgg"):
        return VGG(VGG_PLANS[int(name[3:5])], name.endswith("_bn"), **settings)
    if name == "googlenet":
        return GoogLeNet(**settings)
    if name == "mobilenet_v2":
        return MobileNetV2()
    depth = int(name.removeprefix("resnet"))
    return ResNet(*RESNETS[depth]) if depth in RESNETS else CifarResNet(depth)
