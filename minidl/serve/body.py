"""The body of a request: received below limits of size and time, in memory only."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from minidl.serve.problem import Problem, busy

SWALLOWED = 4                                    # bodies of so many times the limit are read to their end, and dropped
BODIES = 16                                      # so many bodies of the largest size may be in memory at once


class Bodies:
    """Receives bodies, and bounds what all of them together hold in memory."""

    def __init__(self, max_body: int, time_limit: float) -> None:
        self.max_body, self.time_limit = max_body, time_limit
        self.free = BODIES * max_body

    @contextmanager
    def receiving(self) -> Iterator["Held"]:
        """A block in which a request may receive a body; its memory is counted until the block ends."""
        held = Held(self)
        try:
            yield held
        finally:
            self.free += held.bytes


class Held:
    """The body of one request, and how many bytes it holds."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self.bytes = 0

    async def read(self, request: Request) -> bytes:
        """All of it. Raises Problem if it is too large (413), too slow (408), or if there is no memory (503)."""
        try:
            return await asyncio.wait_for(self.receive(request), self.bodies.time_limit)
        except TimeoutError:
            raise Problem(408, f"the body did not arrive within {self.bodies.time_limit:g} seconds",
                          {"Connection": "close"}) from None
        except ClientDisconnect:
            raise Problem(400, "the connection was closed before the body was complete") from None

    async def receive(self, request: Request) -> bytes:
        """The parts of the body as they arrive. One that is too large is read on and dropped, so that its sender,
        who may not listen before, gets the answer."""
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "compressed bodies are not read; send it without Content-Encoding")
        most = self.bodies.max_body
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                parts.clear()
                if size > SWALLOWED * most:
                    break
                continue
            self.take(len(part))
            parts.append(part)
        if size > most:
            headers = {"Connection": "close"} if size > SWALLOWED * most else None
            raise Problem(413, f"the body has more than {most:,} bytes; send smaller images, or fewer at once", headers)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, size: int) -> None:
        """Count bytes that arrived. Raises Problem if all bodies together hold too many."""
        if size > self.bodies.free:
            raise busy("there is no memory for further bodies")
        self.bodies.free -= size
        self.bytes += size
