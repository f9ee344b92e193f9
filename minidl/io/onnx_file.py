"""Networks in files of ONNX: `export_onnx` writes one, `load_onnx` reads one.

`minidl/onnx/` converts; here are the files. The package `onnx` is an extra, and is imported when one of these functions
is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.io.atomic import replacing
from minidl.io.checkpoint import located, parsed
from minidl.io.checks import is_whole
from minidl.io.facts import LARGEST, describe, facts_of, known
from minidl.io.imports import needed
from minidl.io.onnx_proto import bring_in, external_tensors, parsed_file, starts_as_onnx
from minidl.nn import Module

if TYPE_CHECKING:
    from onnx import ModelProto

    from minidl.onnx.network import OnnxNetwork


def export_onnx(model: Module, path: str | Path, input: Iterable[int] | None = None,
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


def load_onnx(path: str | Path, external_data: bool = False) -> OnnxNetwork:
    """The network in a file of ONNX, in eval mode: a Module whose parameters train.

    external_data   whether weights may be in other files, which must be in the folder of this one or below it
    The operators are those that CNNs use, in opsets 7 to the newest that the package `onnx` knows. Names of layers are
    those of their weights. `model.about` has the facts that `export_onnx` wrote, or the shape of the input alone.
    Raises FileNotFoundError or CheckpointError, which names the operator, its node and the nearest supported form;
    ImportError without the package `onnx`.
    """
    needed("onnx", "onnx", "load_onnx")
    from minidl.onnx.read import from_onnx
    path, model = parsed_file(path)
    try:
        for tensor in external_tensors(model) if external_data else ():
            bring_in(path.parent, tensor)
        network = from_onnx(model)
    except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError, LookupError, MemoryError) as error:
        raise located(path, error) from error
    network.about = facts_in(path, model, network)
    return network


def facts_in(path: Path, model: ModelProto, network: OnnxNetwork) -> dict[str, Any]:
    """The facts in the metadata, and the shape of an image as the graph has it."""
    facts = known(path, {entry.key: parsed(entry.value) for entry in model.metadata_props})
    if "input" not in facts and len(network.inputs) == 1:
        info = next(info for info in model.graph.input if info.name == network.inputs[0])
        shape = [d.dim_value for d in info.type.tensor_type.shape.dim][1:]
        shape = [shape[2], *shape[:2]] if network.takes_pixels else shape
        if len(shape) == 3 and all(is_whole(n, 1, LARGEST) for n in shape):
            facts["input"] = shape
    if network.takes_pixels:                     # normalized in the graph
        facts = {key: value for key, value in facts.items() if key not in ("mean", "std")}
    return facts


def is_onnx(path: str | Path) -> bool:
    """Whether there is a file that begins as one of ONNX."""
    try:
        with open(path, "rb") as file:
            return starts_as_onnx(file.read(64))
    except (OSError, ValueError):                # reported where it is read
        return False
