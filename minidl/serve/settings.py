"""The settings of a server."""

from collections.abc import Callable
from dataclasses import dataclass

from minidl.io.image import MAX_PIXELS
from minidl.nn import Module
from minidl.scalars import flag, number, whole

LOGS = ("plain", "json", "none")
TOKEN = range(0x21, 0x7F)                        # the characters that a header can carry


@dataclass(frozen=True)
class Settings:
    """How a server listens, gathers batches, and protects itself. Raises ValueError for a value that cannot be.

    host, port    where it listens; port 0 is any that is free
    token         what clients must send as `Authorization: Bearer TOKEN`; None: anybody may ask
    max_batch     images that are computed at once
    max_wait_ms   milliseconds that an image may wait for others, while others are being decoded
    queue         images that may be in work at once; further ones are answered with 503
    max_body      bytes of a request's body
    max_pixels    of an image, decoded
    time_limit    seconds for receiving a request, and for answering it
    reload        whether a model file that was replaced is loaded again
    log           "plain", "json" or "none": the form of a line for each request
    create        create() makes the networks, for files with a class of your own; by default those that they name
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    max_batch: int = 32
    max_wait_ms: float = 2.0
    queue: int = 256
    max_body: int = 20 << 20
    max_pixels: int = 50_000_000
    time_limit: float = 30.0
    reload: bool = False
    log: str = "plain"
    create: Callable[[], Module] | None = None

    def __post_init__(self) -> None:
        for name, least in (("port", 0), ("max_batch", 1), ("queue", 1), ("max_body", 1), ("max_pixels", 1)):
            object.__setattr__(self, name, whole("serve", name, getattr(self, name), least))
        object.__setattr__(self, "max_wait_ms", number("serve", "max_wait_ms", self.max_wait_ms, 0, 60_000))
        object.__setattr__(self, "time_limit", number("serve", "time_limit", self.time_limit, 0.05, 86_400))
        object.__setattr__(self, "reload", flag("serve", "reload", self.reload))
        if self.port > 65_535:
            raise ValueError(f"serve: port={self.port} must be at most 65535")
        if self.max_pixels > MAX_PIXELS:
            raise ValueError(f"serve: max_pixels={self.max_pixels} must be at most {MAX_PIXELS}")
        if self.log not in LOGS:
            raise ValueError(f"serve: log={self.log!r} must be one of {', '.join(LOGS)}")
        if self.token is not None and not (self.token and all(ord(character) in TOKEN for character in self.token)):
            raise ValueError("serve: token must be printable ASCII without spaces, and not empty")
