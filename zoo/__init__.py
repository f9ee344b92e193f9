"""Networks as their papers describe them, one file each, built from `minidl.nn` and `minidl.functional` alone.

`create("resnet50", num_classes=10)` builds a network by name. Every network accepts `in_channels` and `num_classes`;
its other settings are documented at the end of its file. `replace_head` prepares a trained network for a different set
of classes: it replaces the last layers and keeps all other weights.
"""

import difflib
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minidl.io
import minidl.nn as nn
from minidl.device import Device
from minidl.io.model import rebuilt
from minidl.scalars import whole
from zoo.airbench import airbench94
from zoo.alexnet import alexnet, alexnet_2012, alexnet_cifar
from zoo.googlenet import googlenet, googlenet_2014, googlenet_cifar
from zoo.lenet import lenet5, lenet5_1998
from zoo.mobilenet import mobilenet_v1, mobilenet_v1_cifar, mobilenet_v2, mobilenet_v2_cifar
from zoo.resnet import (
    resnet18,
    resnet18_cifar,
    resnet20,
    resnet32,
    resnet34,
    resnet34_cifar,
    resnet44,
    resnet50,
    resnet50_cifar,
    resnet56,
    resnet101,
    resnet110,
    resnet152,
)
from zoo.simple_cnn import simple_cnn
from zoo.unet import unet
from zoo.vgg import (
    vgg11,
    vgg11_bn,
    vgg11_bn_cifar,
    vgg11_cifar,
    vgg13,
    vgg13_bn,
    vgg13_bn_cifar,
    vgg13_cifar,
    vgg16,
    vgg16_bn,
    vgg16_bn_cifar,
    vgg16_cifar,
    vgg19,
    vgg19_bn,
    vgg19_bn_cifar,
    vgg19_cifar,
)
from zoo.zfnet import zfnet, zfnet_cifar

NETWORKS = {            # name: (its factory, the height and width of the images it was designed for)
    "lenet5": (lenet5, 28),
    "lenet5_1998": (lenet5_1998, 28),
    "simple_cnn": (simple_cnn, 28),
    "alexnet": (alexnet, 224),
    "alexnet_2012": (alexnet_2012, 224),
    "alexnet_cifar": (alexnet_cifar, 32),
    "zfnet": (zfnet, 224),
    "zfnet_cifar": (zfnet_cifar, 32),
    "vgg11": (vgg11, 224),
    "vgg13": (vgg13, 224),
    "vgg16": (vgg16, 224),
    "vgg19": (vgg19, 224),
    "vgg11_bn": (vgg11_bn, 224),
    "vgg13_bn": (vgg13_bn, 224),
    "vgg16_bn": (vgg16_bn, 224),
    "vgg19_bn": (vgg19_bn, 224),
    "vgg11_cifar": (vgg11_cifar, 32),
    "vgg13_cifar": (vgg13_cifar, 32),
    "vgg16_cifar": (vgg16_cifar, 32),
    "vgg19_cifar": (vgg19_cifar, 32),
    "vgg11_bn_cifar": (vgg11_bn_cifar, 32),
    "vgg13_bn_cifar": (vgg13_bn_cifar, 32),
    "vgg16_bn_cifar": (vgg16_bn_cifar, 32),
    "vgg19_bn_cifar": (vgg19_bn_cifar, 32),
    "googlenet": (googlenet, 224),
    "googlenet_2014": (googlenet_2014, 224),
    "googlenet_cifar": (googlenet_cifar, 32),
    "resnet18": (resnet18, 224),
    "resnet34": (resnet34, 224),
    "resnet50": (resnet50, 224),
    "resnet101": (resnet101, 224),
    "resnet152": (resnet152, 224),
    "resnet18_cifar": (resnet18_cifar, 32),
    "resnet34_cifar": (resnet34_cifar, 32),
    "resnet50_cifar": (resnet50_cifar, 32),
    "resnet20": (resnet20, 32),
    "resnet32": (resnet32, 32),
    "resnet44": (resnet44, 32),
    "resnet56": (resnet56, 32),
    "resnet110": (resnet110, 32),
    "mobilenet_v1": (mobilenet_v1, 224),
    "mobilenet_v1_cifar": (mobilenet_v1_cifar, 32),
    "mobilenet_v2": (mobilenet_v2, 224),
    "mobilenet_v2_cifar": (mobilenet_v2_cifar, 32),
    "airbench94": (airbench94, 32),
    "unet": (unet, 572),
}


def names() -> list[str]:
    """The names that `create` accepts."""
    return list(NETWORKS)


def image_size(name: str) -> int:
    """Height and width, in pixels, of the images that the network `name` was designed for."""
    return find(name)[1]


def create(name: str, pretrained: str | Path | None = None, **settings: Any) -> nn.Module:
    """Build the network `name` with its factory's settings: `create("unet", base_channels=16)`.

    pretrained   a weight file, or the name of published weights: `create("resnet50", pretrained="resnet50")`. If
                 num_classes is also given and differs from the file's, the last layers keep their random weights.
    Raises ValueError for an unknown name or setting, with the closest match.
    """
    return build(name, settings) if pretrained is None else build_pretrained(name, settings, pretrained)[0]


def pretrained(name: str, source: str | Path, **settings: Any) -> tuple[nn.Module, dict[str, Any]]:
    """`create` with weights, and the known facts about them, such as mean and std: see `minidl.io.pretrained`."""
    return build_pretrained(name, settings, source)


def build(name: str, settings: dict[str, Any]) -> nn.Module:
    """`create` without weights."""
    factory, _ = find(name)
    known = list(inspect.signature(factory).parameters)
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}; {nearest(setting, known)}")
    return factory(**settings)


def build_pretrained(name, settings, source):
    """`create` with weights, and the facts; settings recorded in a model file are the defaults."""
    find(name)                                   # report a wrong name before downloading anything
    with nn.init.placeholders():
        shape = build(name, settings)            # tells the weights from what is beside them
    weights, facts = minidl.io.pretrained(source, model=shape)
    made = facts.get("architecture")
    own = isinstance(made, dict) and made.get("name") == name
    model = rebuilt(source, weights, made, build, settings) if own else build(name, settings)
    model.about = minidl.io.model.known(source, facts)
    minidl.io.load_into(model, weights, source, new_head="num_classes" in settings)
    return forget_classes(model, model.architecture["settings"]["num_classes"]), facts


def load(path: str | Path, device: str | Device = "cpu", create: Callable[[], nn.Module] | None = None) -> nn.Module:
    """The network in a model file, in eval mode: `minidl.io.load_model` with `build` of this zoo.

    create   create() makes the network instead, for a file with a class of your own
    """
    return minidl.io.load_model(path, build, create, device)


def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Replace the last layers of a zoo network by new ones for `num_classes` classes; returns `model`.

    The new layers have random weights and the device, dtype and mode of the old ones. All other weights stay.
    """
    if not hasattr(model, "heads"):
        raise AttributeError(f"replace_head: {type(model).__name__} has no attribute `heads` to name its last layers")
    classes = whole("replace_head", "num_classes", num_classes)
    for path in model.heads:
        *above, name = path.split(".")
        holder = functools.reduce(getattr, above, model)
        old = getattr(holder, name)
        inputs = old.weight.shape[1]
        own: dict[str, Any] = {"bias": False} if getattr(old, "bias", True) is None else {}
        new = nn.Conv2d(inputs, classes, 1, **own) if isinstance(old, nn.Conv2d) else type(old)(inputs, classes, **own)
        setattr(holder, name, new.to(old.weight.device, old.weight.dtype).train(old.training))
    if hasattr(model, "architecture"):           # so that a saved model file agrees; shallow copies share the old one
        settings = {**model.architecture["settings"], "num_classes": classes}
        model.architecture = {**model.architecture, "settings": settings}
    return forget_classes(model, classes)


def forget_classes(model, count):
    """Remove the names of classes among the facts of a model that has another number of them."""
    if len(getattr(model, "about", {}).get("classes", ())) != count:
        model.about = {key: value for key, value in getattr(model, "about", {}).items() if key != "classes"}
    return model


def find(name):
    """The entry of NETWORKS; raises ValueError for an unknown name, with the closest match."""
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}; {nearest(name, NETWORKS)}")
    return NETWORKS[name]


def nearest(word, known):
    """The closest matches as a hint, or the list of all known words."""
    near = difflib.get_close_matches(word, known)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
