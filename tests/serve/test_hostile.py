"""Thousands of hostile requests: each is answered with 4xx, or with 200 where it turns out to be harmless."""

import http.client
import io
import json
import random
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from servers import image_bytes, multipart, running

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
PATHS = ("/../../etc/passwd", "/page/../../setup.cfg", "/page/%2e%2e%2fserver.py", "/page//etc/passwd", "//", "/page/",
         "/v1/predict/", "/v1/models/../grey/network.svg", "/v1/models/%00/network.svg", "/v2/models/grey%2f..",
         "/v2/models/%ff%fe", "/v2/models/" + "a" * 5000, "/%0d%0aX-Injected:%20yes", "/v1/models?" + "a=1&" * 2000,
         "/page/index.html%00.css", "/page/C:%5cboot.ini", "/%c3%a9")


def cut(rng):
    content = image_bytes(rng.choice(FORMATS))
    return "/v1/predict?model=grey", content[:rng.randrange(len(content))], {}


def changed(rng):
    content = bytearray(image_bytes(rng.choice(FORMATS), (20, 20)))
    for _ in range(rng.choice((1, 10, 100))):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return "/v1/predict?model=colour&cam=1", bytes(content), {}


def noise(rng):
    return "/v1/predict?model=grey", rng.randbytes(rng.choice((0, 1, 100, 10_000))), {
        "Content-Type": rng.choice(("image/png", "text/html", "multipart/form-data; boundary=", "\t", "x" * 1000))}


def parts(rng):
    body, kind = multipart(("../../a.png", image_bytes()), ("b\x00.png", b"x"))
    body = bytearray(body)
    for _ in range(rng.choice((0, 1, 20))):
        body[rng.randrange(200)] = rng.randrange(256)
    return "/v1/predict?model=grey", bytes(body[:rng.randrange(len(body))]), {"Content-Type": kind}


def wrong_json(rng):
    good = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 1, 28, 28], "data": [0.5] * 784}]}
    text = json.dumps(good)
    place = rng.randrange(120)
    odd = rng.choice(("null", "{}", "[", "1e999", "-0", '"\\ud800"', "NaN", "true", "[" * 50_000, "9" * 5000, "\x00"))
    return "/v2/models/grey/infer", (text[:place] + odd + text[place + rng.randrange(9):]).encode(), {}


def wrong_lengths(rng):
    size = rng.choice((0, -1, 3136, 3135, 2**31, 2**63, 10**30, 1.5, None, "3136"))
    shape = [rng.choice((1, 0, -1, 2**62)), 1, 28, 28]
    tensor = {"name": "input", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    length = rng.choice((len(head), 0, len(head) - 1, 10**9, -5, "x", "1_0"))
    body = head + bytes(rng.choice((0, 1, 3136, 3137)))
    return "/v2/models/grey/infer", body, {"Inference-Header-Content-Length": str(length).encode()}


def huge(rng):
    width, height = rng.choice(((60_000, 60_000), (1, 60_000), (10_000, 9_000)))
    file = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(file, "BMP" if rng.random() < 0.5 else "PNG")
    content = bytearray(file.getvalue())
    if content[:2] == b"BM":
        content[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    else:
        content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return "/v1/predict?model=grey", bytes(content), {}


def path_trick(rng):
    return rng.choice(PATHS) if rng.random() < 0.5 else "/" + quote(rng.randbytes(rng.randrange(40))), None, {}


def query(rng):
    odd = quote(rng.choice(("", "-1", "1e9", "9" * 5000, "\x00", "../grey", "grey\n", "%s%n", "${x}", "<script>")))
    return f"/v1/predict?{rng.choice(('model', 'top', 'cam', 'x'))}={odd}", image_bytes(), {}


KINDS = (cut, changed, noise, parts, wrong_json, wrong_lengths, huge, path_trick, query)


@pytest.mark.parametrize("count", [180, pytest.param(2000, marks=pytest.mark.slow)])
def test_hostile_requests(model_files, capfd, count):
    rng = random.Random(count)
    with running(model_files, max_body=100_000) as client:
        connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=30)
        for i in range(count):
            path, body, headers = KINDS[i % len(KINDS)](rng)
            connection.request("GET" if body is None else "POST", path, body, headers)
            response = connection.getresponse()
            text = response.read()
            assert response.status < 500, (path[:100], body[:200] if body else body, text)
            assert response.status >= 400 or KINDS[i % len(KINDS)] in (cut, changed, parts, wrong_json, wrong_lengths,
                                                                       path_trick), (path[:100], text[:200])
            assert b"Traceback" not in text
            assert "x-injected" not in {name.lower() for name, _ in response.getheaders()}
        connection.close()
        assert client.ask("/v1/predict?model=grey", image_bytes()).status == 200
        assert client.state.batches.places == 256
        assert client.state.bodies.free == 16 * 100_000
    assert "Traceback" not in capfd.readouterr().err
