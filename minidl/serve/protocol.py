"""The Open Inference Protocol, version 2 (KServe), in JSON and in its binary extension, as Triton's clients speak it.

A network has one input, `input` FP32 (N, C, H, W), already preprocessed, and two outputs, `probabilities` and `logits`
FP32 (N, classes). Specification: kserve.github.io, "Open Inference Protocol (V2)"; binary extension: Triton Inference
Server, "Binary Tensor Data Extension".
"""

import asyncio
import json
import math
from typing import Any, NamedTuple

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from minidl.evaluation.probable import softmax
from minidl.serve.classify import note
from minidl.serve.models import Served
from minidl.serve.problem import Problem, answer
from minidl.serve.state import state_of
from minidl.version import __version__

HEADER = "inference-header-content-length"       # bytes of JSON at the beginning of a binary body
OUTPUTS = ("probabilities", "logits")
VERSION = "1"
FLOAT32 = np.dtype("<f4")


class Inference(NamedTuple):
    """A request for inference: its id, its images (N, C, H, W), and {name of a wanted output: whether as bytes}."""

    id: str | None
    images: np.ndarray
    outputs: dict[str, bool]


async def server(request: Request) -> Response:
    return answer({"name": "minidl", "version": __version__, "extensions": ["binary_tensor_data"]})


async def live(request: Request) -> Response:
    return answer({"live": True})


async def ready(request: Request) -> Response:
    return answer({"ready": True})


async def model(request: Request) -> Response:
    """A network's input and outputs."""
    served = served_for(request)
    classes = [-1, len(served.classes)]
    return answer({
        "name": served.name, "versions": [VERSION], "platform": "minidl",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, *served.preprocessing.input]}],
        "outputs": [{"name": name, "datatype": "FP32", "shape": classes} for name in OUTPUTS],
    })


async def model_ready(request: Request) -> Response:
    return answer({"name": served_for(request).name, "ready": True})


async def infer(request: Request) -> Response:
    """The network's outputs for images that are already preprocessed."""
    state, served = state_of(request), served_for(request)
    with state.bodies.receiving() as body:
        content = await body.read(request)
        wanted = await state.batches.decoded(lambda: parsed(content, request.headers.get(HEADER), served))
        with state.batches.reserved(len(wanted.images)):
            logits = await state.in_time(asyncio.create_task(state.batches.logits(served, list(wanted.images))))
    note(request, served, len(logits))
    if not np.isfinite(logits).all():
        raise Problem(422, "the model's output for these images is NaN or infinity; are they preprocessed?")
    return response(served, wanted, {"logits": logits, "probabilities": softmax(logits)})


def served_for(request: Request) -> Served:
    """The network that the path names. Raises Problem."""
    if (version := request.path_params.get("version", VERSION)) != VERSION:
        raise Problem(404, f"there is no version {version!r:.80}; a model has the version {VERSION!r}")
    return state_of(request).models.get(request.path_params["name"])


def parsed(body: bytes, header: str | None, served: Served) -> Inference:
    """A request's body. Raises Problem if anything in it is not as the protocol says, or unknown here."""
    length = len(body)
    if header is not None:
        if not (header.isascii() and header.isdecimal() and len(header) < 12 and int(header) <= length):
            raise Problem(400, f"{HEADER}: {header!r:.80} is not the length of the JSON in a body of {length} bytes")
        length = int(header)
    try:
        content = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON ({error})"[:200]) from None
    if not isinstance(content, dict):
        raise Problem(400, "the body is not a JSON object")
    name = content.get("id")
    if not (name is None or isinstance(name, str)):
        raise Problem(400, "id is not a string")
    return Inference(name, images(content.get("inputs"), memoryview(body)[length:], served), outputs(content))


def images(inputs: Any, binary: memoryview, served: Served) -> np.ndarray:
    """The one input, as JSON or from the bytes after it.   ->  float32 (N, C, H, W)"""
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise Problem(400, "inputs is not a list of one tensor, named input")
    tensor = inputs[0]
    if tensor.get("name") != "input" or tensor.get("datatype") != "FP32":
        raise Problem(400, f"the input is {tensor.get('name')!r:.80} of {tensor.get('datatype')!r:.80}; "
                           "it must be named input, and be FP32")
    shape, own = tensor.get("shape"), served.preprocessing.input
    if not (isinstance(shape, list) and all(type(n) is int for n in shape) and tuple(shape[1:]) == own
            and shape[0] >= 1):
        raise Problem(400, f"the input's shape is {shape!r:.80}, not {['N', *own]} with N of at least 1")
    size = parameter(tensor, "binary_data_size", None)
    array = from_json(tensor) if size is None else from_bytes(size, binary)
    if size is None and len(binary):
        raise Problem(400, f"{len(binary)} bytes follow the JSON, but no input has binary_data_size")
    if array.size != math.prod(shape):
        raise Problem(400, f"the input has {array.size} numbers, but its shape {shape} has {math.prod(shape)}")
    if not np.isfinite(array).all():
        raise Problem(400, "the input contains NaN or infinity")
    return array.reshape(shape)


def from_bytes(size: Any, binary: memoryview) -> np.ndarray:
    """Numbers from the bytes after the JSON."""
    if size != len(binary) or type(size) is not int:
        raise Problem(400, f"binary_data_size is {size!r:.80}, but {len(binary)} bytes follow the JSON")
    if size % FLOAT32.itemsize:
        raise Problem(400, f"{size} bytes are not a whole number of FP32 numbers")
    return np.frombuffer(binary, FLOAT32).astype(np.float32)


def from_json(tensor: dict[str, Any]) -> np.ndarray:
    """Numbers from a list, or from lists of lists of the tensor's shape."""
    data = tensor.get("data")
    try:
        array = np.array(data) if isinstance(data, list) else None
    except (ValueError, OverflowError, RecursionError):              # lists of different lengths
        array = None
    nested = array is not None and array.ndim > 1
    if array is None or array.dtype.kind not in "iuf" or (nested and list(array.shape) != tensor["shape"]):
        raise Problem(400, "the input's data is not a list of numbers, nor lists of numbers of the input's shape")
    with np.errstate(over="ignore"):             # becomes infinity, which is refused
        return array.astype(np.float32).ravel()


def outputs(content: dict[str, Any]) -> dict[str, bool]:
    """{name of a wanted output: whether as bytes}: all, if none is named."""
    default = flag(content, "binary_data_output", False)
    listed = content.get("outputs")
    if listed is None:
        return dict.fromkeys(OUTPUTS, default)
    if not (isinstance(listed, list) and listed and all(isinstance(output, dict) for output in listed)):
        raise Problem(400, "outputs is not a list of outputs")
    wanted = {}
    for output in listed:
        name = output.get("name")
        if name not in OUTPUTS or name in wanted:
            raise Problem(400, f"there is no output {name!r:.80}, or it is asked for twice; there are "
                               f"{' and '.join(OUTPUTS)}")
        if parameter(output, "classification", 0):
            raise Problem(400, "the extension classification is not supported; /v1/predict names the best classes")
        wanted[name] = flag(output, "binary_data", default)
    return wanted


def parameter(holder: dict[str, Any], name: str, default: Any) -> Any:
    """A parameter of a request, of an input or of an output."""
    parameters = holder.get("parameters")
    if not (parameters is None or isinstance(parameters, dict)):
        raise Problem(400, "parameters is not an object")
    return (parameters or {}).get(name, default)


def flag(holder: dict[str, Any], name: str, default: bool) -> bool:
    """A parameter that is true or false."""
    value = parameter(holder, name, default)
    if not isinstance(value, bool):
        raise Problem(400, f"the parameter {name} is {value!r:.80}, not true or false")
    return value


def response(served: Served, wanted: Inference, arrays: dict[str, np.ndarray]) -> Response:
    """The wanted outputs, as JSON, and as bytes after it where that was asked for."""
    described, parts = [], []
    for name, as_bytes in wanted.outputs.items():
        array = np.ascontiguousarray(arrays[name], FLOAT32)
        output: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(array.shape)}
        if as_bytes:
            output["parameters"] = {"binary_data_size": array.nbytes}
            parts.append(array.tobytes())
        else:
            output["data"] = array.ravel().tolist()
        described.append(output)
    content: dict[str, Any] = {"model_name": served.name, "model_version": VERSION, "outputs": described}
    if wanted.id is not None:
        content["id"] = wanted.id
    if not parts:
        return answer(content)
    text = json.dumps(content, allow_nan=False).encode()
    return Response(b"".join([text, *parts]), headers={HEADER: str(len(text))}, media_type="application/octet-stream")
