"""The top of a network, which follows its convolutions, and a new one for other classes.

Networks of the zoo end with a module `avgpool` and a dense part, which `heads` names: VGG's `classifier`, ResNet's
`fc`. A new top is a Sequential that begins with what takes the place of `avgpool` and a Flatten, so it can be trained
alone on the features below it and then be put in place.
"""

import minidl.nn as nn

TOPS = ("pooled", "dense")
POOL = "avgpool"


def new_top(shape: tuple[int, ...], outputs: int, kind: str = "pooled", hidden: int = 256,
            dropout: float = 0.5) -> nn.Sequential:
    """Layers for features (N, C, H, W) of `shape` (C, H, W) that return logits (N, outputs).

    pooled   the mean over the pixels, and one linear layer
    dense    all pixels, a linear layer to `hidden` numbers, ReLU, dropout, and a linear layer: Chollet, "Building
             powerful image classification models using very little data", blog.keras.io, 2016
    """
    if kind not in TOPS:
        raise ValueError(f"new_top: kind={kind!r} is none of {', '.join(TOPS)}")
    channels, height, width = shape
    if kind == "pooled":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
    return nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.ReLU(),
                         nn.Dropout(dropout), nn.Linear(hidden, outputs))


def top_name(model: nn.Module) -> str:
    """The attribute that holds the dense part. Raises ValueError for a network that is built in another way."""
    heads = getattr(model, "heads", ())
    if not heads or not isinstance(getattr(model, POOL, None), nn.Module):
        raise ValueError(f"{type(model).__name__} has no {POOL} followed by dense layers, so it cannot get a new top; "
                         "choose a network such as mobilenet_v1, vgg16 or resnet18")
    return heads[-1].partition(".")[0]


def without_top(model: nn.Module) -> nn.Module:
    """The same network, which returns all features of the last convolution as (N, C * H * W), in order.

    Its `avgpool` passes them on in their shape (N, C, H, W): observe it for these.
    """
    setattr(model, top_name(model), nn.Identity())
    setattr(model, POOL, nn.Identity())
    return model


def with_top(model: nn.Module, top: nn.Sequential) -> nn.Module:
    """The same network, which ends with a new top.

    A file of its weights holds the settings of the new top, so it can be rebuilt.
    """
    name = top_name(model)
    pool, _, *layers = top
    setattr(model, POOL, pool)
    setattr(model, name, layers[0] if len(layers) == 1 else nn.Sequential(*layers))
    if hasattr(model, "architecture"):
        settings = {**model.architecture["settings"], "num_classes": len(layers[-1].state_dict()["weight"])}
        model.architecture = {**model.architecture, "settings": settings}
    return model


def parts_below(model: nn.Module) -> list[str]:
    """The names of the parts below the top that have parameters, in order: "conv1", "blocks.0", "blocks.1", ...

    A list of layers or blocks counts as several parts.
    """
    top = top_name(model)
    names = [name.split(".") for name, _ in model.named_parameters()]
    return list(dict.fromkeys(".".join(parts[:2] if len(parts) > 2 and parts[1].isdecimal() else parts[:1])
                              for parts in names if parts[0] != top))
