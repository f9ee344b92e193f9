"""A server that listens: sockets, signals, and connections that do nothing."""

import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import uvicorn

from minidl.serve.batches import Batches
from minidl.serve.body import Bodies
from minidl.serve.log import Forwarded, Log
from minidl.serve.metrics import Metrics
from minidl.serve.models import Models
from minidl.serve.patience import patient
from minidl.serve.routes import application
from minidl.serve.settings import Settings
from minidl.serve.state import State
from minidl.text import write

CONNECTIONS = 1000                               # at once; further ones are answered with 503
BACKLOG = 2048


class Server(uvicorn.Server):
    """`minidl serve` as an object:   Server(["best.safetensors"], Settings(port=0)).run()

    Loads the models, and listens: `url` says where. Raises OSError, CheckpointError or ValueError.
    """

    def __init__(self, models: Iterable[str], settings: Settings | None = None) -> None:
        settings = settings or Settings()
        metrics, log = Metrics(), Log(settings.log)
        loaded = Models(map(str, models), settings.create)
        if not loaded.files:
            raise ValueError("serve: give at least one model file")
        batches = Batches(settings, metrics)
        bodies = Bodies(settings.max_body, settings.time_limit)
        self.state = State(settings, loaded, metrics, batches, bodies, log)
        self.socket = listening(settings.host, settings.port)
        try:
            batches.kernels.submit(loaded.load).result()
            self.socket.listen(BACKLOG)          # now, so that `url` can be asked as soon as it is known
        except BaseException:
            self.socket.close()
            raise
        config = uvicorn.Config(application(self.state), log_config=None, access_log=False, server_header=False,
                                ws="none", proxy_headers=False, limit_concurrency=CONNECTIONS, backlog=BACKLOG,
                                timeout_keep_alive=max(5, round(settings.time_limit)),
                                timeout_graceful_shutdown=round(2 * settings.time_limit) + 1)
        config.load()
        config.http_protocol_class = patient(config.http_protocol_class, settings.time_limit)
        super().__init__(config)

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM or Ctrl-C; what was accepted until then is answered.

        In a thread other than the main one it serves until `should_exit` is set.
        """
        with handled(), forwarded(self.state.log):
            super().run(sockets or [self.socket])

    def announce(self) -> None:
        """Say what is served, and where; warn if anybody in the network may ask."""
        for served in self.state.models:
            write(f"{served.name}: {served.architecture or type(served.model).__name__}, {served.parameters:,} "
                  f"parameters, {len(served.classes)} classes", flush=True)
        write(f"serving at {self.url}", flush=True)
        host = self.socket.getsockname()[0]
        if self.state.settings.token is None and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            self.state.log.event(f"{host} can be reached from other machines, and anybody may ask; set --token",
                                 "warning")


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that an address in use is an error before models are loaded. Raises OSError.

    It names TCP as its protocol, without which asyncio would not turn off Nagle's algorithm: answers would wait 40 ms.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise OSError(f"cannot listen at {host!r}: {getattr(error, 'strerror', None) or error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen at {host}, port {port}: {error.strerror}; choose another with --port") from error
    return bound


@contextmanager
def handled() -> Iterator[None]:
    """A block in which SIGTERM and Ctrl-C do nothing: uvicorn, which has its own handlers within the block, raises them
    again when it has ended because of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, frame: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def forwarded(log: Log) -> Iterator[None]:
    """A block in which warnings of uvicorn and asyncio go into a log."""
    handler, loggers = Forwarded(log), [logging.getLogger(name) for name in ("uvicorn", "asyncio")]
    bodies = logging.getLogger("python_multipart")                   # which warns of what clients are told anyway
    level = bodies.level
    bodies.setLevel(logging.CRITICAL)
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
        bodies.setLevel(level)
