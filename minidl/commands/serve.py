"""`minidl serve MODEL...`: trained networks over HTTP, and a page to try them in a browser."""

import argparse
import os

from minidl.commands.networks import add_from
from minidl.flags import number, whole
from minidl.serve import Settings, check_needs

MIB = 1 << 20
MILLION = 1_000_000
DEFAULT = Settings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    positive = number(lambda value: value >= 0.05, "of at least 0.05")
    parser.add_argument("models", nargs="+", metavar="MODEL",
                        help="a model file, as for `minidl predict`; it is called as its file, or NAME for NAME=FILE")
    add_from(parser)
    parser.add_argument("--host", default=DEFAULT.host, help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=whole(0), default=DEFAULT.port, metavar="N",
                        help="the port; 0 is any that is free (default: %(default)s)")
    parser.add_argument("--token", metavar="T", help="what clients must send as `Authorization: Bearer T` (default: "
                        "MINIDL_TOKEN of the environment, which other users cannot see)")
    parser.add_argument("--max-batch", type=whole(), default=DEFAULT.max_batch, metavar="N",
                        help="images that are computed at once (default: %(default)s)")
    parser.add_argument("--max-wait-ms", type=number(lambda value: value >= 0, "of at least 0"), metavar="MS",
                        default=DEFAULT.max_wait_ms,
                        help="how long an image may wait for others (default: %(default)s)")
    parser.add_argument("--queue", type=whole(), default=DEFAULT.queue, metavar="N",
                        help="images in work at once; further ones get status 503 (default: %(default)s)")
    parser.add_argument("--max-body", type=whole(), default=DEFAULT.max_body // MIB, metavar="MIB",
                        help="largest body of a request in MiB (default: %(default)s)")
    parser.add_argument("--max-pixels", type=whole(), default=DEFAULT.max_pixels // MILLION, metavar="N",
                        help="largest image in millions of pixels (default: %(default)s)")
    parser.add_argument("--time-limit", type=positive, default=DEFAULT.time_limit, metavar="S",
                        help="seconds for receiving a request, and for answering it (default: %(default)g)")
    parser.add_argument("--reload", action="store_true", help="load a model file again when it is replaced")
    parser.add_argument("--log", choices=("plain", "json", "none"), default=DEFAULT.log,
                        help="the form of a line for each request, on stderr (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    check_needs()
    from minidl.serve.server import Server

    server = Server(args.models, Settings(
        host=args.host, port=args.port, token=args.token or os.environ.get("MINIDL_TOKEN") or None,
        max_batch=args.max_batch, max_wait_ms=args.max_wait_ms, queue=args.queue, max_body=args.max_body * MIB,
        max_pixels=args.max_pixels * MILLION, time_limit=args.time_limit, reload=args.reload, log=args.log,
        create=args.create))
    server.announce()
    server.run()
