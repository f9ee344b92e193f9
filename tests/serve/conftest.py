"""Servers for tests: in a thread of the test process, on a port that is free, with small networks."""

import io
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import zoo
from minidl import manual_seed
from minidl.io import save_model
from minidl.serve.needs import NEEDS

RNG = np.random.default_rng(0)


def pytest_collection_modifyitems(items):
    """Skip this folder's tests where the extra `serve` is not installed."""
    missing = [package for module, package in NEEDS.items() if find_spec(module) is None]
    for item in items:
        if missing and "serve" in item.path.parts and item.path.name != "test_serve_command.py":
            item.add_marker(pytest.mark.skip(reason=f"serving needs {', '.join(missing)}: the extra serve-test"))


class Answer(NamedTuple):
    """A response: status, headers, and its body, as JSON if it is JSON."""

    status: int
    headers: dict
    body: object


class Client:
    """Asks one server."""

    def __init__(self, server):
        self.server, self.url = server, server.url.rstrip("/")
        self.state = server.state

    def ask(self, path, body=None, method=None, **headers):
        """An Answer, whatever its status. Headers are given as X_Request_Id="a"."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return answer_of(response)
        except urllib.error.HTTPError as error:
            with error:
                return answer_of(error)


def answer_of(response):
    body, headers = response.read(), {name.lower(): value for name, value in response.headers.items()}
    is_json = headers.get("content-type", "").startswith("application/json")
    return Answer(response.status, headers, json.loads(body) if is_json else body)


@contextmanager
def running(models, **settings):
    """A Client of a server that runs in a thread."""
    from minidl.serve import Settings
    from minidl.serve.server import Server
    server = Server(models, Settings(port=0, **{"log": "none", **settings}))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield Client(server)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def model_files(tmp_path_factory):
    """[grey.safetensors, colour.safetensors]: untrained networks for 28 x 28 pixels, with 10 classes and 3."""
    folder = tmp_path_factory.mktemp("models")
    manual_seed(0)
    save_model(folder / "grey.safetensors", zoo.create("lenet5"), classes=list("abcdefghij"), input=(1, 28, 28),
               mean=[0.1], std=[0.3])
    save_model(folder / "colour.safetensors", zoo.create("simple_cnn", in_channels=3, num_classes=3),
               classes=["one", "two", "three, or more"], input=(3, 28, 28), mean=[0.5] * 3, std=[0.25] * 3)
    return [folder / "grey.safetensors", folder / "colour.safetensors"]


@pytest.fixture(scope="session")
def client(model_files):
    """A Client of a server with both networks."""
    with running(model_files) as client:
        yield client


def image_bytes(form="PNG", size=(40, 50), mode="RGB"):
    """A file with a random image."""
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(file, form)
    return file.getvalue()


def multipart(*files, field="images"):
    """(body, content type) of multipart/form-data with files (name, content)."""
    parts = [b'--limit\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
             % (field.encode(), name.encode(), content) for name, content in files]
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"
