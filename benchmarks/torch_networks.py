"""The networks that `networks.py` measures, in PyTorch, as its users write them."""

import torch
import torch.nn.functional as F
from torch import nn


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class CifarBlock(nn.Module):
    def __init__(self, c, f):
        super().__init__()
        self.stride, self.grow = f // c, (f - c) // 2
        self.conv1, self.bn1 = nn.Conv2d(c, f, 3, self.stride, 1, bias=False), nn.BatchNorm2d(f)
        self.conv2, self.bn2 = nn.Conv2d(f, f, 3, 1, 1, bias=False), nn.BatchNorm2d(f)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.grow, self.grow))
        return F.relu(y + x, inplace=True)


class BasicBlock(nn.Module):
    def __init__(self, c, f):
        super().__init__()
        stride = f // c
        self.conv1, self.bn1 = nn.Conv2d(c, f, 3, stride, 1, bias=False), nn.BatchNorm2d(f)
        self.conv2, self.bn2 = nn.Conv2d(f, f, 3, 1, 1, bias=False), nn.BatchNorm2d(f)
        down = nn.Sequential(nn.Conv2d(c, f, 1, 2, bias=False), nn.BatchNorm2d(f))
        self.downsample = nn.Identity() if stride == 1 else down

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.downsample(x), inplace=True)


def resnet20():
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    for c, f in [(16, 16), (16, 32), (32, 64)]:
        layers += [CifarBlock(c, f), CifarBlock(f, f), CifarBlock(f, f)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet18():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    for c, f in [(64, 64), (64, 128), (128, 256), (256, 512)]:
        layers += [BasicBlock(c, f), BasicBlock(f, f)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def vgg16_bn_cifar():
    layers, c = [], 3
    for f in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if f == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(c, f, 3, padding=1), nn.BatchNorm2d(f), nn.ReLU(inplace=True)]
            c = f
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def mobilenet_v1_cifar():
    def conv(c, f, k, stride=1, groups=1):
        return [nn.Conv2d(c, f, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(f),
                nn.ReLU6(inplace=True)]

    layers, c = conv(3, 32, 3), 32
    for f, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        layers += conv(c, c, 3, stride, c) + conv(c, f, 1)
        c = f
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 10))


def alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(inplace=True),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 1000))


class UNet(nn.Module):
    def __init__(self, width=16, depth=4):
        super().__init__()

        def double(c, f):
            return nn.Sequential(nn.Conv2d(c, f, 3, padding=1, bias=False), nn.BatchNorm2d(f), nn.ReLU(inplace=True),
                                 nn.Conv2d(f, f, 3, padding=1, bias=False), nn.BatchNorm2d(f), nn.ReLU(inplace=True))

        widths = [width * 2**i for i in range(depth + 1)]
        self.down = nn.ModuleList(double(c, f) for c, f in zip([1, *widths], widths, strict=False))
        self.rise = nn.ModuleList(nn.ConvTranspose2d(2 * f, f, 2, 2) for f in reversed(widths[:-1]))
        self.up = nn.ModuleList(double(2 * f, f) for f in reversed(widths[:-1]))
        self.drop = nn.Dropout()
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        *skips, x = self.descend(x)
        x = self.drop(x)
        for rise, up, skip in zip(self.rise, self.up, reversed(skips), strict=True):
            x = up(torch.cat([skip, rise(x)], 1))
        return self.head(x)

    def descend(self, x):
        levels = [self.down[0](x)]
        for down in self.down[1:]:
            levels.append(down(F.max_pool2d(levels[-1], 2)))
        return levels
