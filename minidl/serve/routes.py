"""The paths of the server, and the application that has them."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from minidl.serve import classify, protocol
from minidl.serve.gate import Gate
from minidl.serve.models import Served
from minidl.serve.problem import Problem, answer
from minidl.serve.reload import watch
from minidl.serve.state import State, state_of
from minidl.version import __version__

TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".json": "application/json",
         ".svg": "image/svg+xml"}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
          "form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def application(state: State) -> Gate:
    """The ASGI application of a server."""
    @asynccontextmanager
    async def lifespan(router: Router) -> AsyncIterator[None]:
        warnings.filterwarnings("ignore", module=r"PIL\.")           # a strange image is read, or raises an error
        tasks = [asyncio.create_task(state.batches.run())]
        if state.settings.reload:
            tasks.append(asyncio.create_task(watch(state)))
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        state.batches.close()

    v2 = "/v2/models/{name}"
    routes = [
        Route("/v1/predict", classify.predict, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name}/network.svg", network),
        Route("/v2", protocol.server),
        Route("/v2/health/live", protocol.live),
        Route("/v2/health/ready", protocol.ready),
        *(route for path in (v2, v2 + "/versions/{version}") for route in (
            Route(path, protocol.model),
            Route(path + "/ready", protocol.model_ready),
            Route(path + "/infer", protocol.infer, methods=["POST"]))),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/", page("index.html")),
        Route("/docs", page("docs.html")),
        Route("/favicon.ico", page("icon.svg")),
        Route("/page/{file}", page_file),
    ]
    return Gate(Router(routes, redirect_slashes=False, lifespan=lifespan), state)


async def models(request: Request) -> Response:
    """The networks that are served, and what their images are."""
    return answer({"models": [about(served) for served in state_of(request).models]})


def about(served: Served) -> dict[str, Any]:
    """What a client may know of a network."""
    return {"name": served.name, "architecture": served.architecture, "parameters": served.parameters,
            "input": list(served.preprocessing.input), "classes": served.classes, "drawable": served.can_be_drawn_for}


async def network(request: Request) -> Response:
    """The drawing of a network."""
    served = state_of(request).models.get(request.path_params["name"])
    return Response(served.drawing, headers={"Content-Security-Policy": DRAWING_POLICY}, media_type="image/svg+xml")


async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(state_of(request).metrics.text(), media_type="text/plain; version=0.0.4")


async def openapi(request: Request) -> Response:
    """The description of this API."""
    description = json.loads(text("openapi.json"))
    description["info"]["version"] = __version__
    return answer(description)


def page(name: str):
    """The route of one file of the page."""
    async def send(request: Request) -> Response:
        return file_response(name)
    return send


async def page_file(request: Request) -> Response:
    """A file that the page needs. Only names that are in the package are known, so no path can climb out."""
    return file_response(request.path_params["file"])


def file_response(name: str) -> Response:
    if name not in names():
        raise Problem(404, f"there is no file {name!r:.80}")
    kind = TYPES[name[name.rindex("."):]]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Referrer-Policy": "no-referrer"}
    return Response(text(name), headers=headers, media_type=kind)


@cache
def names() -> frozenset[str]:
    """The files of the page."""
    return frozenset(file.name for file in files("minidl.serve").joinpath("page").iterdir()
                     if file.name.endswith(tuple(TYPES)))


@cache
def text(name: str) -> str:
    """The content of a file of the page."""
    return files("minidl.serve").joinpath("page", name).read_text(encoding="utf-8")
