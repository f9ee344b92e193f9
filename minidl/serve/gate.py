"""What every request passes: its id, the token, and on its way back the log, the counters, and errors as JSON."""

import hmac
import re
import secrets
import time
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minidl.serve.problem import Problem, answer_to
from minidl.serve.state import State

IDS = re.compile(r"[A-Za-z0-9_.:-]{1,64}")       # that a client may choose
OPEN = ("/v2/health/", "/page/")                 # paths that need no token: what they begin with
OPEN_PAGES = {"/", "/docs", "/openapi.json", "/favicon.ico"}
REFUSED = {"WWW-Authenticate": 'Bearer realm="minidl"'}


class Gate:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state
        self.token = (f"Bearer {state.settings.token}").encode() if state.settings.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["app"] = self                      # Starlette's router then raises HTTPException for unknown paths
        passage = Passage(scope, send)
        try:
            self.check(scope, passage)
            await self.app(scope, receive, passage.send)
        except ClientDisconnect:                 # nobody is left to be answered
            passage.status = passage.status or 499
        except Exception as error:
            await self.told(error, scope, receive, passage)
        finally:
            self.count(scope, passage)

    def check(self, scope: Scope, passage: "Passage") -> None:
        """Raise Problem unless the client may ask for this path."""
        path = scope["path"]
        if self.token is None or path in OPEN_PAGES or path.startswith(OPEN):
            return
        if not hmac.compare_digest(passage.headers.get(b"authorization", b""), self.token):
            raise Problem(401, "a token is needed: send the header Authorization: Bearer TOKEN", REFUSED)

    async def told(self, error: Exception, scope: Scope, receive: Receive, passage: "Passage") -> None:
        """Answer with an error. What is a bug goes into the log; the client gets no more than the request's id."""
        if isinstance(error, HTTPException):     # of Starlette: no such path, or not with this method
            what = f"{error.detail}: {scope['method']} {scope['path'][:200]}"
            error = Problem(error.status_code, what, error.headers)
        if not isinstance(error, Problem):
            self.state.log.bug(error, id=passage.id)
            error = Problem(500, f"an error of the server, which its log describes under the id {passage.id}")
        if not passage.status:
            await answer_to(error)(scope, receive, passage.send)

    def count(self, scope: Scope, passage: "Passage") -> None:
        """Count and log an answer. Of the request only method and path are written, without the query."""
        seconds = time.perf_counter() - passage.started
        route = getattr(scope.get("route"), "path", "other")
        metrics = self.state.metrics
        metrics.requests.labels(route, passage.status).inc()
        metrics.seconds.labels(route).observe(seconds)
        self.state.log.request(method=scope["method"], path=quote(scope["path"][:200]), status=passage.status,
                               milliseconds=round(seconds * 1000, 3), **passage.note, id=passage.id)


class Passage:
    """One request on its way through the gate."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = time.perf_counter()
        self.headers = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"").decode("latin-1")
        self.id = given if IDS.fullmatch(given) else secrets.token_hex(8)
        self.status = 0
        self.forward = send
        self.note: dict[str, Any] = {}           # what the route says about the request for the log
        scope["state"] = {"note": self.note}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.id.encode()),
                                  (b"x-content-type-options", b"nosniff")]
        await self.forward(message)
