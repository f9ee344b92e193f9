"""Downloads from a local server that misbehaves on request."""

import errno
import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minidl.io import download
from minidl.io.download import DownloadError, data_root, fetch

BODY = bytes(range(256)) * 1000
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        self.server.requests.append(self.path)
        self.answer(BODY)

    def answer(self, body):
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/silent":
            self.server.quit.wait(5)
            return
        body = body.replace(b"\x07", b"\x08") if self.path == "/damaged" else body
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(body[:5000] if self.path == "/short" else body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.quit = threading.Event()
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.quit.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file"


def test_file_arrives_complete(server, tmp_path, capsys):
    path = fetch("file", [f"{server.url}/good"], MD5, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file"
    assert path.read_bytes() == BODY
    assert os.listdir(path.parent) == ["file"]
    assert capsys.readouterr().err == ""  # no progress bar without a terminal


@pytest.mark.parametrize("first", ["damaged", "short", "missing"])
def test_second_mirror_is_used_when_the_first_fails(server, tmp_path, first):
    path = fetch("file", [f"{server.url}/{first}", f"{server.url}/good"], MD5, tmp_path)
    assert path.read_bytes() == BODY
    assert os.listdir(tmp_path) == ["file"]


def test_error_names_every_mirror_and_its_reason(server, tmp_path, closed_port):
    urls = [f"{server.url}/{name}" for name in ("damaged", "short", "missing")] + [closed_port]
    with pytest.raises(DownloadError) as caught:
        fetch("file", urls, MD5, tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "file could not be downloaded:"
    for line, url, reason in zip(lines[1:5], urls, ("wrong checksum", "ncomplete", "404", "refused"), strict=True):
        assert url in line
        assert reason in line
    assert str(tmp_path) in lines[5]
    assert MD5 in lines[5]
    assert os.listdir(tmp_path) == []


def test_existing_file_needs_no_network(server, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    server.requests.clear()
    assert fetch("file", [f"{server.url}/good"], MD5, tmp_path).read_bytes() == b"mine"
    assert server.requests == []


def test_silent_mirror_is_abandoned_quickly(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"no answer within 0\.2 seconds|timed out"):
        fetch("file", [f"{server.url}/silent"], MD5, tmp_path)
    assert time.monotonic() - start < 2
    assert os.listdir(tmp_path) == []


def test_two_silent_mirrors_take_less_than_ten_seconds():
    assert 2 * download.PATIENCE < 9


def test_oversized_download_is_aborted(server, tmp_path):
    with pytest.raises(DownloadError, match="larger than the 1000 bytes allowed"):
        fetch("file", [f"{server.url}/good"], MD5, tmp_path, limit=1000)
    assert os.listdir(tmp_path) == []


def test_interruption_leaves_nothing_behind(server, tmp_path, monkeypatch):
    def interrupt(self, data):
        self.file.write(data[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(download._Download, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("file", [f"{server.url}/good"], MD5, tmp_path)
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_created(server, tmp_path):
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"^cannot write .*taken.*MINIDL_DATA"):
        fetch("file", [f"{server.url}/good"] * 2, MD5, tmp_path / "taken" / "raw")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk(server, tmp_path, monkeypatch, step):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(DownloadError, match=r"^cannot write .*No space left"):
        fetch("file", [f"{server.url}/good"], MD5, tmp_path)
    assert os.listdir(tmp_path) == []


def test_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert data_root() == tmp_path
    assert data_root("elsewhere") == Path("elsewhere")
    assert data_root("~/data") == Path.home() / "data"
    monkeypatch.delenv("MINIDL_DATA")
    assert data_root().name == "minidl"


def test_prefix_of_a_sha256_is_verified(server, tmp_path):
    start = hashlib.sha256(BODY).hexdigest()[:8]
    urls = [f"{server.url}/damaged", f"{server.url}/good"]
    assert fetch("file", urls, f"sha256:{start}", tmp_path).read_bytes() == BODY
    with pytest.raises(DownloadError, match="wrong checksum, sha256:"):
        fetch("other", urls[:1], f"sha256:{start}", tmp_path)
