"""Networks in files of ONNX: `export_onnx` writes one, `load_onnx` reads one.

`minidl/onnx/` converts; here are the files. The package `onnx` is an extra, and is imported when one of these functions
is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from minidl.io.atomic import replacing
from minidl.io.imports import needed
from minidl.io.model import describe, facts_of
from minidl.nn import Module


def export_onnx(model: Module, path: str | os.PathLike[str], input: Iterable[int] | None = None,
                opset: int | None = None, fold: bool = False, uint8: bool = False, **about: Any) -> None:
    """Write what `model` computes in eval mode as a file of ONNX, of standard operators, for any number of images.

    input   (C, H, W), the shape of an image; by default that in `model.about`, as a model from a file has it
    opset   the version of the operators, from 17, the default, to the newest that the package `onnx` knows
    fold    fold batch norms into the convolutions before them
    uint8   take pixels as they are in files, uint8 (N, H, W, C), and normalize them inside the graph
    about   facts for the metadata, as for `save_model`: classes, resize, mean, std
    The input is "input" (N, C, H, W), the output "output". Weights have their names in `state_dict`, nodes those of
    their layers. Raises ValueError, which names the layer, if the model does what no operator does, or chooses by the
    values of its input; ImportError without the package `onnx`; OSError if the file cannot be written.
    """
    needed("onnx", "onnx", "export_onnx")
    from minidl.onnx.write import to_onnx
    facts = facts_of("export_onnx", model, {**about, "input": None if input is None else tuple(input)})
    if "input" not in facts:
        raise ValueError("export_onnx: the model does not say what images it takes; give input=(C, H, W)")
    if hasattr(model, "architecture") and not fold:          # folded weights do not fit the network of the zoo
        facts = {**facts, "architecture": describe(model)["architecture"]}
    try:
        content = to_onnx(model, facts["input"], opset, fold, uint8, facts).SerializeToString()
    except ValueError as error:
        raise ValueError(f"export_onnx: {error}") from error
    with replacing(path) as file:
        file.write(content)
