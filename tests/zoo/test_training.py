"""Every network learns: all of it gets gradients, and it can fit a few images by heart. Narrow ones stand for wide ones."""

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
import zoo
from minidl import Tensor, no_grad, optim
from zoo.googlenet import googlenet_loss

NARROW = {                    # (settings, side of the images)
    "lenet5": ({}, 28),
    "lenet5_1998": ({}, 28),
    "simple_cnn": ({}, 28),
    "alexnet": ({"hidden": 64}, 63),
    "alexnet_2012": ({"hidden": 64}, 63),
    "alexnet_cifar": ({"hidden": 64}, 15),
    "zfnet": ({"hidden": 64}, 63),
    "zfnet_cifar": ({"hidden": 64}, 16),
    **{name: ({"width": 16, "hidden": 64}, 32) for name in zoo.names() if name in f"vgg11 vgg13 vgg16 vgg19"},
}
