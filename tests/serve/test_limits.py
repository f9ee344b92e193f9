"""Limits of size, number and time; tokens; the log. Bad requests and full queues harm nobody else."""

import http.client
import json
import socket
import struct
import threading
import time
import zlib

import pytest
from servers import image_bytes, multipart, running

from minidl import cores
from minidl.kernels import settings
from minidl.serve import Settings


def raw(client, content, seconds=20):
    """What the server answers to bytes, until it closes the connection."""
    host, port = client.server.socket.getsockname()[:2]
    with socket.create_connection((host, port), timeout=seconds) as connection:
        connection.sendall(content)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def test_a_body_that_is_too_large(model_files):
    with running(model_files, max_body=10_000) as client:
        for size in (10_001, 30_000, 200_000):               # read to its end, or given up
            answer = client.ask("/v1/predict?model=grey", bytes(size))
            assert answer.status == 413
            assert "more than 10,000 bytes" in answer.body["error"]
        assert client.ask("/v1/predict?model=grey", image_bytes("JPEG", (8, 8))).status == 200
        assert client.state.bodies.free == 16 * 10_000


def test_bodies_without_a_length_count_too(model_files):
    with running(model_files, max_body=10_000) as client:
        chunk = b"%x\r\n%s\r\n" % (4000, bytes(4000))
        head = (b"POST /v1/predict?model=grey HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                b"Connection: close\r\n\r\n")
        assert b" 413 " in raw(client, head + 4 * chunk + b"0\r\n\r\n").splitlines()[0]


def bomb(width, height):
    """A PNG of a few bytes that claims to have so many pixels."""
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b""))


@pytest.mark.parametrize("size", [(7000, 8000), (30_000, 30_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1)])
def test_images_with_too_many_pixels(client, size):
    answer = client.ask("/v1/predict?model=grey", bomb(*size))
    assert answer.status == 400
    assert "too many" in answer.body["error"] or "damaged" in answer.body["error"]


def test_a_narrow_image_is_not_resized_into_a_huge_one(client):
    answer = client.ask("/v1/predict?model=grey", image_bytes(size=(1, 400_000), mode="L"))
    assert answer.status == 400
    assert "too narrow" in answer.body["error"]


def test_a_full_queue_answers_503_and_recovers(model_files, monkeypatch):
    from minidl.serve.models import Served
    with running(model_files[:1], queue=4, max_batch=1) as client:
        go, logits = threading.Event(), Served.logits
        monkeypatch.setattr(Served, "logits", lambda self, images: go.wait(30) and logits(self, images))
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(client.ask("/v1/predict", image_bytes())))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        while client.state.batches.places:
            time.sleep(0.01)
        refused = client.ask("/v1/predict", image_bytes())
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "the queue is full: 4 images are in work; try again" in refused.body["error"]
        go.set()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 4
        assert client.ask("/v1/predict", image_bytes()).status == 200
        body, kind = multipart(*[("a.png", image_bytes())] * 5)
        assert client.ask("/v1/predict", body, Content_Type=kind).status == 413          # more than ever fit
        assert client.state.batches.places == 4


@pytest.mark.parametrize(("limit", "most"), [(0, cores.count()), (10**9, 1)])
def test_each_core_has_a_batch_of_a_heavy_network(model_files, monkeypatch, limit, most):
    """A light network has one core; a request that is alone has all of them."""
    from minidl.serve import batches
    from minidl.serve.models import Served
    monkeypatch.setattr(batches, "LIGHT", limit)
    logits, busy, seen = Served.logits, [], []

    def slow(self, images):
        busy.append(1)
        seen.append((len(busy), settings.all_cores))
        time.sleep(0.1)
        busy.pop()
        return logits(self, images)
    monkeypatch.setattr(Served, "logits", slow)
    with running(model_files[:1], max_batch=1) as client:
        assert client.ask("/v1/predict", image_bytes()).status == 200
        assert seen == [(1, True)]
        form, kind = multipart(*[("a.png", image_bytes())] * 6)
        assert client.ask("/v1/predict", form, Content_Type=kind).status == 200
    assert max(together for together, _ in seen) == most
    assert len(seen) == 7


def test_what_takes_too_long_leaves_the_queue(model_files, monkeypatch):
    from minidl.serve.models import Served
    with running(model_files[:1], time_limit=0.3, max_batch=1) as client:
        go, logits = threading.Event(), Served.logits
        monkeypatch.setattr(Served, "logits", lambda self, images: go.wait(30) and logits(self, images))
        answer = client.ask("/v1/predict", image_bytes())
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "no answer was ready within 0.3 seconds" in answer.body["error"]
        go.set()
        assert client.ask("/v1/predict", image_bytes()).status == 200
        assert client.state.batches.places == 256


def test_slow_clients_hold_nobody_up(model_files):
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"
    with running(model_files[:1], time_limit=1) as client:
        host, port = client.server.socket.getsockname()[:2]
        silent, half, slow = (socket.create_connection((host, port), timeout=20) for _ in range(3))
        half.sendall(b"POST /v1/predict HTTP/1.1\r\nHost:")
        slow.sendall(head)
        assert client.ask("/v1/predict", image_bytes()).status == 200
        assert b" 408 " in slow.recv(1 << 16).splitlines()[0]
        assert silent.recv(100) == b""                       # closed
        assert half.recv(100) == b""
        for connection in (silent, half, slow):
            connection.close()


def test_a_connection_in_use_is_not_closed(model_files):
    """Not even if it happens to have no request whenever the server looks."""
    with running(model_files[:1], time_limit=1) as client:
        connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=20)
        for _ in range(12):
            connection.request("GET", "/v2/health/live")
            response = connection.getresponse()
            response.read()
            assert not response.will_close
            time.sleep(0.3)
        connection.close()


def test_a_head_without_end_is_cut(client):
    def endless(connection):
        for _ in range(1000):
            connection.sendall(b"X-Padding: " + b"a" * 4000 + b"\r\n")
            time.sleep(0.001)

    host, port = client.server.socket.getsockname()[:2]
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            endless(connection)


@pytest.mark.parametrize("content", [b"\x00\x01\x02\r\n\r\n", b"GET / HTTX/1.1\r\n\r\n", b"POST /v1/predict\r\n\r\n",
                                     b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"])
def test_what_is_no_http_is_refused(client, content):
    assert b" 400 " in raw(client, content).splitlines()[0]


def test_a_client_that_leaves_is_no_error(model_files, capsys):
    with running(model_files[:1], log="json") as client:
        host, port = client.server.socket.getsockname()[:2]
        with socket.create_connection((host, port)) as connection:
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
        while '"path": "/v1/predict"' not in (text := capsys.readouterr().err):
            time.sleep(0.01)
        assert client.ask("/v1/predict", image_bytes()).status == 200
    assert "traceback" not in text


def test_compressed_bodies_are_refused(client):
    answer = client.ask("/v1/predict?model=grey", image_bytes(), Content_Encoding="gzip")
    assert answer.status == 415


def test_a_token(model_files):
    with running(model_files[:1], token="secret") as client:
        for path in ("/v1/models", "/v1/predict", "/metrics", "/v2", "/v2/models/grey", "/v1/models/grey/network.svg"):
            for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
                answer = client.ask(path, **header)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="minidl"')
        assert client.ask("/v1/models", Authorization="Bearer secret").status == 200
        for path in ("/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
            assert client.ask(path).status == 200


def test_an_error_of_ours_is_logged_and_not_shown(model_files, monkeypatch, capsys):
    from minidl.serve.models import Served
    with running(model_files[:1], log="json") as client:
        monkeypatch.setattr(Served, "logits", lambda self, images: 1 / 0)
        answer = client.ask("/v1/predict?top=3", image_bytes(), X_Request_Id="number-7")
        assert answer.status == 500
        assert answer.body == {"error": "an error of the server, which its log describes under the id number-7"}
        monkeypatch.undo()
        assert client.ask("/v1/predict", image_bytes()).status == 200
    error, first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert "ZeroDivisionError" in error["traceback"]
    assert error["id"] == "number-7"
    assert {name: first[name] for name in ("level", "method", "path", "status", "id")} == {
        "level": "request", "method": "POST", "path": "/v1/predict", "status": 500, "id": "number-7"}
    assert (second["status"], second["model"], second["images"]) == (200, "grey", 1)


def test_plain_log_lines(model_files, capsys):
    with running(model_files[:1], log="plain") as client:
        client.ask("/v1/predict", image_bytes(), X_Request_Id="a")
        client.ask("/v1/%1b%5b31m%0anext", X_Request_Id="b")
    first, second = capsys.readouterr().err.splitlines()
    assert " 200 POST /v1/predict " in first
    assert first.endswith("ms model=grey images=1 id=a")
    assert "\x1b" not in second
    assert second.endswith("id=b")


@pytest.mark.parametrize(("setting", "part"), [
    ({"port": 70_000}, "at most 65535"), ({"queue": 0}, "queue=0"), ({"log": "xml"}, "one of plain, json, none"),
    ({"token": "a b"}, "printable ASCII"), ({"token": ""}, "printable ASCII"), ({"max_wait_ms": -1}, "max_wait_ms"),
    ({"max_pixels": 10**12}, "max_pixels"), ({"time_limit": 0}, "time_limit"), ({"max_batch": True}, "max_batch"),
])
def test_settings_that_cannot_be(setting, part):
    with pytest.raises(ValueError, match=part):
        Settings(**setting)
