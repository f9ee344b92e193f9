"""A network as a list of steps and one block of weights, for `network.js`, and the page that holds both."""

from __future__ import annotations

import base64
import html
import json
from importlib import resources
from typing import Any

import numpy as np

from minidl.functional.checks import window_of
from minidl.functional.pooling import pooling_window
from minidl.nn import Module
from minidl.onnx.trace import Batch, Step, Value, trace

LARGEST = 1_000_000                              # weights; a page of about 5 MB, and a moment for each image
DONE = ("conv2d", "max_pool2d", "linear", "batch_norm", "relu", "add", "reshape", "dropout", "dropout2d", "passed")


def page(model: Module, about: dict[str, Any] | None = None) -> str:
    """A page of HTML that draws or opens an image and shows what `model` makes of it, all in itself.

    about   facts as in a model file: input, (C, H, W), is needed; classes, mean and std if there are any
    Raises ValueError, which names the size, for a network of more than a million weights, and, which names the layer,
    for one that does something else than convolution, pooling, dense layers, batch norm and ReLU.
    """
    facts = {**getattr(model, "about", {}), **(about or {})}
    if "input" not in facts:
        raise ValueError("page: the model does not say what images it takes; give input=(C, H, W)")
    text = json.dumps(program(model, facts)).replace("<", "\\u003c")          # no name ends the script it is in
    title = f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} weights"
    parts = {"@TITLE@": html.escape(title), "@NETWORK@": source("network.js"), "@PAGE@": source("page.js"),
             "@PROGRAM@": text}
    content = source("page.html")
    for mark, part in parts.items():
        content = content.replace(mark, part)
    return content


def source(name: str) -> str:
    """The text of a file of this package."""
    return resources.files("minidl.demo").joinpath(name).read_text(encoding="utf-8")


def program(model: Module, facts: dict[str, Any]) -> dict[str, Any]:
    """{steps, weights, input, output, classes, mean, std}, as JSON can hold it.

    A step has an operation, the numbers of the values it reads and makes, settings, and for each array its shape and
    its place among the weights: float32, little-endian, in base64.
    """
    count = sum(p.numel() for p in model.parameters())
    if count > LARGEST:
        raise ValueError(f"page: {type(model).__name__} has {count:,} weights; a page holds at most {LARGEST:,}. "
                         "Export it as ONNX instead")
    shape = [int(n) for n in facts["input"]]
    found = trace(model, shape)
    numbers, weights, steps = {found.input: 0}, Weights(), []
    for step in found.steps:
        if step.operation not in DONE:
            raise ValueError(f"page: {step.name}: {step.operation} is none of {', '.join(DONE)}, which a page can do")
        numbers[step.out] = len(numbers)
        steps.append(described(step, numbers, weights))
    if len(found.outputs) != 1:
        raise ValueError(f"page: {type(model).__name__} has {len(found.outputs)} outputs, not one")
    output, = found.outputs.values()
    if len(output.shape) != 2:
        raise ValueError(f"page: {type(model).__name__} gives {output.shape[1:]} for an image, not one score per class")
    channels = shape[0]
    return {"steps": steps, "weights": weights.text(), "input": shape, "output": numbers[output],
            "classes": list(facts.get("classes") or map(str, range(output.shape[1]))),
            "mean": list(facts.get("mean") or [0.0] * channels), "std": list(facts.get("std") or [1.0] * channels)}


class Weights:
    """The arrays of a network, one after the other."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.size = 0

    def place(self, array: Any) -> dict[str, Any]:
        """Add an array; its shape, and where it begins."""
        flat = np.ascontiguousarray(array, "<f4").reshape(-1)
        self.arrays.append(flat)
        self.size += flat.size
        return {"at": self.size - flat.size, "shape": list(np.shape(array))}

    def text(self) -> str:
        """All in base64."""
        return base64.b64encode(b"".join(array.tobytes() for array in self.arrays)).decode()


def described(step: Step, numbers: dict[Value, int], weights: Weights) -> dict[str, Any]:
    """One step as the page has it."""
    s = step.settings
    read = [numbers[value] for value in step.inputs if isinstance(value, Value)]
    arrays = [None if value is None else weights.place(value) for value in step.inputs if not isinstance(value, Value)]
    about: dict[str, Any] = {"do": step.operation, "read": read, "make": numbers[step.out]}
    if step.operation in ("conv2d", "max_pool2d"):
        about |= windows(step)
    if step.operation in ("conv2d", "linear", "max_pool2d", "batch_norm"):
        about |= {"relu": s["relu"], "arrays": arrays}
    if step.operation == "conv2d":
        about["groups"] = s["groups"]
    if step.operation == "batch_norm":
        about |= norm(step, weights)
    if step.operation == "relu":
        about["ceiling"] = s["ceiling"]
    if step.operation == "reshape":
        about["shape"] = per_image(step)
    if step.operation == "add" and len(read) != 2:
        raise ValueError(f"page: {step.name}: a page adds two values of the network, and no constants")
    if step.operation.startswith("dropout") and s["training"] and s["p"] > 0:
        raise ValueError(f"page: {step.name}: it drops elements although the model is in eval mode")
    return about


def windows(step: Step) -> dict[str, Any]:
    """Kernel, stride, dilation and padding of a convolution or a pooling."""
    s, size = step.settings, step.inputs[0].shape
    if step.operation == "conv2d":
        window = window_of("conv2d", size[2:], step.inputs[1].shape[2:], s["stride"], s["padding"], s["dilation"])
    else:
        images = np.empty((0, *size[1:]), np.float32)
        window = pooling_window("max_pool2d", images, s["kernel_size"], s["stride"], s["padding"], s["dilation"],
                                s["ceil_mode"])
    (top, _), (left, _) = window.padding
    return {"kernel": window.kernel, "stride": window.stride, "dilation": window.dilation, "padding": [top, left],
            "size": step.out.shape[2:]}


def norm(step: Step, weights: Weights) -> dict[str, Any]:
    """Batch norm as a factor and a shift for each channel."""
    s = step.settings
    if s["training"]:
        raise ValueError(f"page: {step.name}: it normalizes by the moments of the batch")
    if step.inputs[3] is not None and not isinstance(step.inputs[3], Value):
        raise ValueError(f"page: {step.name}: a page adds values of the network, and no constants")
    weight, bias = (usual if value is None else np.asarray(value, np.float64)
                    for value, usual in zip(step.inputs[1:3], (1.0, 0.0), strict=True))
    factor = weight / np.sqrt(np.asarray(s["var"], np.float64) + s["eps"])
    return {"factor": weights.place(factor), "shift": weights.place(bias - np.asarray(s["mean"], np.float64) * factor),
            "ceiling": s["ceiling"], "arrays": []}


def per_image(step: Step) -> list[int]:
    """The shape that one image's elements get."""
    shape = step.out.shape
    if shape[:1] != (Batch(),) or not all(isinstance(n, int) for n in shape[1:]):
        raise ValueError(f"page: {step.name}: it mixes images")
    return list(shape[1:])
