"""POST /v1/predict: images as files, classes and probabilities back."""

import asyncio
import base64
import io
import time
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from starlette.requests import Request
from starlette.responses import Response

from minidl.evaluation.probable import most_probable
from minidl.io.image import ImageError, opened_in, upright
from minidl.plot.inside import cam_of
from minidl.serve import heat
from minidl.serve.models import Served
from minidl.serve.multipart import Image, images_in
from minidl.serve.problem import Problem, answer
from minidl.serve.state import State, state_of

NOT_FINITE = "the model's output for this image is NaN or infinity"
FLAGS = {"0": False, "1": True, "false": False, "true": True}


class Options(NamedTuple):
    """What a request asks for."""

    served: Served
    top: int
    cam: bool


def options_of(request: Request, state: State) -> Options:
    """From the query. Raises Problem for what is unknown, so that no misspelt option is ignored."""
    query = dict(request.query_params)
    if unknown := set(query) - {"model", "top", "cam"}:
        raise Problem(400, f"there is no option {min(unknown)!r:.80}; there are model, top and cam")
    if len(query) < len(request.query_params.multi_items()):
        raise Problem(400, "an option is given twice")
    top, cam = query.get("top", "5"), query.get("cam", "0").lower()
    if not (top.isascii() and top.isdecimal() and len(top) < 10 and int(top) > 0):
        raise Problem(400, f"top={top!r:.80} is not a whole number of at least 1")
    if cam not in FLAGS:
        raise Problem(400, f"cam={cam!r:.80} is not 0 or 1")
    return Options(state.models.get(query.get("model")), int(top), FLAGS[cam])


async def predict(request: Request) -> Response:
    """{"model", "milliseconds", "images": [{"file", "predictions"} or {"file", "error"}, ...]}, in the order sent.

    The status is 400 if no image could be read.
    """
    state, started = state_of(request), time.perf_counter()
    options = options_of(request, state)
    with state.bodies.receiving() as body:
        content = await body.read(request)
        images = images_in(content, request.headers.get("content-type", ""), state.settings.queue)
        with state.batches.reserved(len(images)):
            results = await state.in_time(asyncio.create_task(results_of(state, options, images)))
    note(request, options.served, len(images))
    errors = [result["error"] for result in results if "error" in result]
    if len(errors) == len(results):
        raise Problem(422 if NOT_FINITE in errors else 400, "; ".join(dict.fromkeys(errors)))
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    return answer({"model": options.served.name, "milliseconds": milliseconds, "images": results})


async def results_of(state: State, options: Options, images: list[Image]) -> list[dict[str, Any]]:
    """What the answer says about each image."""
    served = options.served
    inputs = await asyncio.gather(*(prepared(state, served, image) for image in images))
    good = [x for x in inputs if isinstance(x, np.ndarray)]
    logits = iter(await state.batches.logits(served, good) if good else ())
    results = []
    for image, x in zip(images, inputs, strict=True):
        result: dict[str, Any] = {"file": image.name}
        results.append(result)
        if isinstance(x, ImageError):
            result["error"] = str(x)
            continue
        row = next(logits)
        if not np.isfinite(row).all():
            result["error"] = NOT_FINITE
            continue
        result["predictions"] = most_probable(row, served.classes, options.top)
        if options.cam:
            result["cam"] = await state.batches.compute(cam, served, x, int(row.argmax()))
    return results


async def prepared(state: State, served: Served, image: Image) -> np.ndarray | ImageError:
    """The network's input for an image, or what is wrong with the image."""
    preprocessing = served.preprocessing

    def decode(opened: PIL.Image.Image) -> PIL.Image.Image:
        return upright(opened, preprocessing.input[0])

    def read() -> np.ndarray:
        return preprocessing(opened_in(io.BytesIO(image.content), decode, state.settings.max_pixels))
    try:
        return await state.batches.decoded(read)
    except ImageError as error:
        return error


def cam(served: Served, x: np.ndarray, target: int) -> dict[str, Any] | None:
    """Grad-CAM of the predicted class: what the network saw, and the heat over it, as PNG in data URLs.

    With a single logit it is always that of class 1. None for a network without a layer that gives maps.
    """
    target = 1 if served.explains_one else target
    try:
        values, layer, _ = cam_of(served.model, x, target=0 if served.explains_one else target)
    except ValueError:
        return None
    return {"class": served.classes[target], "layer": layer,
            "image": data_url(heat.picture(x, served.preprocessing)), "heat": data_url(heat.overlay(values))}


def data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def note(request: Request, served: Served, images: int) -> None:
    """What the log says about a request beside its answer."""
    request.scope["state"]["note"].update(model=served.name, images=images)
