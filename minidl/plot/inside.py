"""What goes on in a network when it sees an image: the numbers, which `pictures.py` draws.

The model is run in the state of use, one image at a time, with a watcher on the layer that is asked for. Afterwards it
is as before: its modes, its weights and the gradients in them.
"""

import difflib
from contextlib import contextmanager

import numpy as np

import minidl.functional as F
from minidl.summary import reporting, restored
from minidl.tensor import Tensor, as_array, no_grad


def filters_of(model, layer=None):
    """(name, weight as NumPy (F, C, KH, KW)) of a layer of filters; by default of the first one."""
    known = {name: module.weight for name, module in model.named_modules()
             if isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim == 4}
    if not known:
        raise ValueError(f"filters: {type(model).__name__} has no layer with filters (F, C, KH, KW)")
    name = next(iter(known)) if layer is None else find("filters", known, layer)
    return name, np.array(known[name].numpy())


def maps_of(model, x, layer):
    """What a layer gives for an image, as NumPy.   x (C, H, W) or (1, C, H, W)  ->  (F, OH, OW)

    Of a layer that is called more than once it is the last call. Raises ValueError for a layer that gives no images.
    """
    seen = []
    with restored(model), no_grad():
        watch("feature_maps", model, layer, lambda out: seen.append(out) or out)
        model.eval()(one_image("feature_maps", model, x))
    return images_of("feature_maps", layer, seen).numpy()[0]


def cam_of(model, x, layer=None, target=None):
    """(map, layer, target): where a class is seen, as NumPy (H, W), no element negative.   x (C, H, W) or (1, C, H, W)

    relu(sum over k of a_k * A_k), grown to the size of x, where the A_k are the maps of the layer and a_k is the mean
    of d(score)/d(A_k) over their pixels. The score is the target's logit; of a network that has one for every pixel,
    their sum. By default the layer is the last that gives maps of more than one pixel, the target the highest score.
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017.
    """
    x = one_image("grad_cam", model, x)
    layer = last_with_maps(model, x) if layer is None else layer
    seen = []

    def leaf(out):
        if isinstance(out, Tensor):
            out = Tensor(out.data, requires_grad=True)               # the tape begins here: nothing before is needed
        seen.append(out)
        return out

    with restored(model), frozen(model):
        watch("grad_cam", model, layer, leaf)
        logits = model.eval()(x)
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            raise ValueError("grad_cam: the model must give a Tensor (1, classes) or (1, classes, H, W)")
        scores = logits.reshape(logits.shape[1], -1).sum(1)
        target = int(scores.numpy().argmax()) if target is None else target
        if not 0 <= target < len(scores):
            raise ValueError(f"grad_cam: target={target} is none of the classes 0 to {len(scores) - 1}")
        maps = images_of("grad_cam", layer, seen)
        score = scores[target]
        if score.requires_grad:
            score.backward()
    with no_grad():
        slopes = Tensor(maps.data * 0 if maps.grad is None else maps.grad).mean((2, 3), keepdims=True)
        cam = F.relu((slopes * maps.detach()).sum(1, keepdims=True))
        return F.interpolate(cam, x.shape[2:], mode="bilinear").numpy()[0, 0], layer, target


def last_with_maps(model, x):
    """The name of the last module that gives maps of more than one pixel."""
    found = []

    def see(name, module, inputs, out):
        if name and isinstance(out, Tensor) and out.ndim == 4 and max(out.shape[2:]) > 1:
            found.append(name)

    with restored(model), no_grad():
        for name, module in model.named_modules():
            module.forward = reporting(name, module, see)
        model.eval()(x)
    if not found:
        raise ValueError(f"grad_cam: no layer of {type(model).__name__} gives maps of more than one pixel")
    return found[-1]


def watch(function, model, layer, change):
    """Let change(out) take the place of what a layer gives, until `restored` ends."""
    module = dict(model.named_modules())[find(function, dict(model.named_modules()), layer)]
    forward = module.forward
    module.forward = lambda *inputs, **settings: change(forward(*inputs, **settings))


@contextmanager
def frozen(model):
    """Let no parameter want a gradient meanwhile; those that they have stay."""
    nodes = [(parameter, parameter.node) for parameter in model.parameters()]
    try:
        for parameter, _ in nodes:
            parameter.node = None
        yield
    finally:
        for parameter, node in nodes:
            parameter.node = node


def one_image(function, model, x):
    """x as a Tensor (1, C, H, W), of the dtype and on the device of the model's parameters."""
    x = Tensor(as_array(x))
    x = F.unsqueeze(x, 0) if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"{function}: x must be one image (C, H, W) or (1, C, H, W), not {x.shape}")
    return next((x.to(p.device, p.dtype) for p in model.parameters()), x).detach()


def images_of(function, layer, seen):
    """The last output in `seen`, which must be images (1, F, OH, OW)."""
    if not seen:
        raise ValueError(f"{function}: the layer {layer!r} is not called in the state of use")
    if not isinstance(seen[-1], Tensor) or seen[-1].ndim != 4:
        given = seen[-1].shape if isinstance(seen[-1], Tensor) else type(seen[-1]).__name__
        raise ValueError(f"{function}: the layer {layer!r} gives {given}, no images (1, F, OH, OW)")
    return seen[-1]


def find(function, known, layer):
    """`layer`, if it is known; else a ValueError that names the nearest."""
    if layer not in known:
        near = difflib.get_close_matches(layer, known, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(filter(None, known))}"
        raise ValueError(f"{function}: there is no layer {layer!r}; {hint}")
    return layer
