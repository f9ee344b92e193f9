"""What happens inside a network for an image, as arrays; `pictures.py` draws them.

The model is run in eval mode, one image at a time, with a forward hook on the layer of interest. Afterwards its modes,
weights and gradients are as they were before.
"""

import difflib
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import minidl.functional as F
from minidl.errors import for_command
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.observe import restored
from minidl.tensor import Tensor, as_array


def filters_of(model: Module, layer: str | None = None) -> tuple[str, np.ndarray]:
    """(name, weight as NumPy (F, C, KH, KW)) of a layer with filters; by default of the first one."""
    known = {name: weight for name, module in model.named_modules()
             if isinstance(weight := getattr(module, "weight", None), Tensor) and weight.ndim == 4}
    if not known:
        raise ValueError(f"filters: {type(model).__name__} has no layer with filters (F, C, KH, KW)")
    name = next(iter(known)) if layer is None else find("filters", known, layer)
    return name, np.array(known[name].numpy())


def maps_of(model: Module, x: Any, layer: str) -> np.ndarray:
    """The output of a layer for an image, as NumPy.   x (C, H, W) or (1, C, H, W)  ->  (F, OH, OW)

    If the layer is called more than once, the last call counts. Raises ValueError for a layer that gives no images.
    """
    seen: list[Any] = []
    with restored(model), no_grad():
        hook_layer("feature_maps", model, layer, seen.append)
        model.eval()(one_image("feature_maps", model, x))
    return images_of("feature_maps", layer, seen).numpy()[0]


def cam_of(model: Module, x: Any, layer: str | None = None,
           target: int | None = None) -> tuple[np.ndarray, str, int]:
    """(map, layer, target): the Grad-CAM map as NumPy (H, W), none negative.   x (C, H, W) or (1, C, H, W)

    relu(sum over k of a_k * A_k), resized to the size of x, where the A_k are the maps of the layer and a_k is the mean
    of d(score)/d(A_k) over their pixels. The score is the logit of the target class, or, for a network with logits for
    every pixel, their sum. By default, layer is the last one that gives maps of more than one pixel, and target is the
    class with the highest score.
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017.
    """
    x = one_image("grad_cam", model, x)
    layer = last_with_maps(model, x) if layer is None else layer
    seen: list[Any] = []

    def leaf(out: Any) -> Any:
        if isinstance(out, Tensor):
            out = Tensor(out.data, requires_grad=True)               # the tape starts here: nothing before is needed
        seen.append(out)
        return out

    with restored(model), frozen(model):
        hook_layer("grad_cam", model, layer, leaf)
        logits = model.eval()(x)
        if not isinstance(logits, Tensor) or logits.ndim < 2:
            raise ValueError("grad_cam: the model must give a Tensor (1, classes) or (1, classes, H, W)")
        scores = logits.reshape(logits.shape[1], -1).sum(1)
        target = int(scores.numpy().argmax()) if target is None else target
        if not 0 <= target < len(scores):
            problem = f"{target} is not a class; the classes are 0 to {len(scores) - 1}"
            raise for_command(ValueError(f"grad_cam: target={problem}"), f"--target {problem}")
        maps = images_of("grad_cam", layer, seen)
        score = scores[target]
        if score.requires_grad:
            score.backward()
    with no_grad():
        slopes = Tensor(maps.data * 0 if maps.grad is None else maps.grad).mean((2, 3), keepdims=True)
        cam = F.relu((slopes * maps.detach()).sum(1, keepdims=True))
        return F.interpolate(cam, x.shape[2:], mode="bilinear").numpy()[0, 0], layer, target


def last_with_maps(model: Module, x: Tensor) -> str:
    """The name of the last module called that gives maps of more than one pixel."""
    found: list[str] = []

    def see(name: str, module: Module, args: tuple, out: Any) -> None:
        if name and isinstance(out, Tensor) and out.ndim == 4 and max(out.shape[2:]) > 1:
            found.append(name)

    with restored(model), no_grad():
        for name, module in model.named_modules():
            module.register_forward_hook(functools.partial(see, name))
        model.eval()(x)
    if not found:
        raise ValueError(f"grad_cam: no layer of {type(model).__name__} gives maps of more than one pixel")
    return found[-1]


def hook_layer(function: str, model: Module, layer: str, hook: Callable[[Any], Any]) -> None:
    """Call hook(out) after each call of a layer, until `restored` ends; unless it returns None, that replaces `out`."""
    modules = dict(model.named_modules())
    modules[find(function, modules, layer)].register_forward_hook(lambda module, args, out: hook(out))


@contextmanager
def frozen(model: Module) -> Iterator[None]:
    """In the block no parameter requires a gradient; the gradients they have are kept."""
    nodes = [(parameter, parameter.node) for parameter in model.parameters()]
    try:
        for parameter, _ in nodes:
            parameter.node = None
        yield
    finally:
        for parameter, node in nodes:
            parameter.node = node


def one_image(function: str, model: Module, x: Any) -> Tensor:
    """x as a Tensor (1, C, H, W), with the dtype and on the device of the model's parameters."""
    x = Tensor(as_array(x))
    x = F.unsqueeze(x, 0) if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"{function}: x must be one image (C, H, W) or (1, C, H, W), not {x.shape}")
    return next((x.to(p.device, p.dtype) for p in model.parameters()), x).detach()


def images_of(function: str, layer: str, seen: list[Any]) -> Tensor:
    """The last output in `seen`, which must be images (1, F, OH, OW)."""
    if not seen:
        raise ValueError(f"{function}: the layer {layer!r} is not called in eval mode")
    if not isinstance(seen[-1], Tensor) or seen[-1].ndim != 4:
        given = seen[-1].shape if isinstance(seen[-1], Tensor) else type(seen[-1]).__name__
        raise ValueError(f"{function}: the layer {layer!r} gives {given}, not images (1, F, OH, OW)")
    return seen[-1]


def find(function: str, known: dict[str, Any], layer: str) -> str:
    """`layer`, if it is known; else ValueError with the names that are closest."""
    if layer not in known:
        near = difflib.get_close_matches(layer, known, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the layers are {', '.join(filter(None, known))}"
        raise for_command(ValueError(f"{function}: there is no layer {layer!r}; {hint}"),
                          f"--layer {layer}: there is no such layer; {hint}")
    return layer
