"""Connections that do nothing, or send a head without end, are closed; uvicorn itself would keep them for ever."""

import asyncio
from typing import Any

HEAD = 64 << 10                                  # bytes of a request's head


def patient(protocol: type[asyncio.Protocol], seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, with a limit for the head of a request and for connections between requests."""
    class Patient(protocol):                     # type: ignore[misc, valid-type]
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.head = 0                        # bytes since the last request was complete
            self.idle = False                    # whether no request came since the last look
            self.timer = self.loop.call_later(seconds, self.look)

        def connection_lost(self, error: Exception | None) -> None:
            self.timer.cancel()
            super().connection_lost(error)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if at_work(self):
                self.head, self.idle = 0, False
            else:
                self.head += len(data)
            if self.head > HEAD:
                self.transport.close()

        def look(self) -> None:
            """Close the connection if it has had no request since before the last look."""
            if self.idle and not at_work(self):
                self.transport.close()
                return
            self.idle = not at_work(self)
            self.timer = self.loop.call_later(seconds, self.look)
    return Patient


def at_work(connection: Any) -> bool:
    """Whether a request is being received, or answered."""
    return connection.cycle is not None and not connection.cycle.response_complete
