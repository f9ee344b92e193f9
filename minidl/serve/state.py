"""What all requests to one server share."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from minidl.serve.batches import Batches
from minidl.serve.body import Bodies
from minidl.serve.log import Log
from minidl.serve.metrics import Metrics
from minidl.serve.models import Models
from minidl.serve.problem import busy
from minidl.serve.settings import Settings


@dataclass
class State:
    """The networks, the queue, the limits, the counters and the log of a server."""

    settings: Settings
    models: Models
    metrics: Metrics
    batches: Batches
    bodies: Bodies
    log: Log

    async def in_time(self, work: "asyncio.Task[Any]") -> Any:
        """What a task gives, unless it takes too long: then its images leave the queue. Raises Problem."""
        try:
            return await asyncio.wait_for(work, self.settings.time_limit)
        except TimeoutError:
            raise busy(f"no answer was ready within {self.settings.time_limit:g} seconds") from None


def state_of(request: Request) -> State:
    return request.app.state
