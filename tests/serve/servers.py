"""Servers for tests: in a thread of the test process, on a port that is free. Images and forms to send them."""

import io
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


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
