"""The socket on which a server listens."""

import socket

import pytest

pytest.importorskip("starlette", reason="the extra serve-test is not installed")

from minidl.serve.server import listening


def test_answers_do_not_wait_for_more():
    """asyncio turns off Nagle's algorithm only for sockets that name their protocol; else an answer takes 40 ms."""
    with listening("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP
