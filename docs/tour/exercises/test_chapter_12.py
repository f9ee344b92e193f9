"""Tests of the exercises of chapter 12. The server is a small one of Python's, which answers as `minidl serve` does."""

import json
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from PIL import Image

rng = np.random.default_rng(0)


def picture(width, height, mode="RGB"):
    """A smooth picture."""
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3)).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def test_leaks(exercise, tmp_path):
    train, test = tmp_path / "train", tmp_path / "test"
    for folder in (train / "cat", train / "dog", test / "cat"):
        folder.mkdir(parents=True)
    both, other, third = (picture(12, 9) for _ in range(3))
    both.save(train / "cat" / "a.png")
    both.save(test / "cat" / "renamed.bmp")
    both.resize((9, 12)).save(test / "cat" / "resized.png")
    Image.frombytes("RGB", (9, 12), both.tobytes()).save(test / "cat" / "same_bytes.png")
    other.save(train / "dog" / "b.png")
    third.save(test / "cat" / "c.png")
    (test / "cat" / "notes.txt").write_text("no image")
    assert exercise.leaks(train, test) == [("cat/a.png", "cat/renamed.bmp")]
    assert exercise.leaks(train / "dog", test) == []


@pytest.mark.parametrize(("width", "height"), [(32, 32), (40, 60), (75, 50)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_prepared(exercise, width, height, mode):
    image = picture(width, height, mode)
    x = exercise.prepared(image, 20, [0.5, 0.4, 0.3], [0.25, 0.2, 0.1])
    assert (x.shape, x.dtype) == ((3, 20, 20), np.float32)
    scale = 20 / min(width, height)
    large = image.convert("RGB").resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (large.width - 20) // 2, (large.height - 20) // 2
    pixels = x * np.float32([0.25, 0.2, 0.1])[:, None, None] + np.float32([0.5, 0.4, 0.3])[:, None, None]
    expected = np.asarray(large)[top:top + 20, left:left + 20].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


@pytest.fixture
def server():
    """The url of a server that is busy at first, with what it was asked: `asked` and `busy` of its class."""
    class Handler(BaseHTTPRequestHandler):
        asked, busy = [], 0

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            Handler.asked.append((self.path, body))
            status, answer = 200, {"images": [{"file": None, "predictions": [
                {"class": body.decode(), "index": 0, "probability": 0.75}]}]}
            if Handler.busy:
                Handler.busy -= 1
                status, answer = 503, {"error": "too much to do"}
            elif body in (b"text", b"secret"):
                status, answer = {b"text": 400, b"secret": 401}[body], {"error": "refused"}
            text = json.dumps(answer).encode()
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        Handler.url = f"http://127.0.0.1:{running.server_port}/"
        yield Handler
        running.shutdown()


@pytest.fixture
def files(tmp_path):
    """Three files, of which the second is no image to the server."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, text in zip(paths, ("cat", "text", "dog"), strict=True):
        path.write_text(text)
    return paths


def test_predictions(exercise, server, files):
    found = exercise.predictions(server.url, files)
    assert found == {files[0]: ("cat", 0.75), files[1]: None, files[2]: ("dog", 0.75)}
    assert server.asked == [("/v1/predict?top=1", text) for text in (b"cat", b"text", b"dog")]


def test_a_busy_server_is_asked_again(exercise, server, files):
    server.busy, waited = 2, []
    assert exercise.predictions(server.url, files[:1], sleep=waited.append) == {files[0]: ("cat", 0.75)}
    assert waited == [7, 7]


def test_a_server_that_stays_busy(exercise, server, files):
    server.busy, waited = 100, []
    with pytest.raises(TimeoutError, match=r"a\.png"):
        exercise.predictions(server.url, files, attempts=3, sleep=waited.append)
    assert len(server.asked) == 3
    assert len(waited) in (2, 3)


def test_other_errors_are_raised(exercise, server, files):
    files[0].write_text("secret")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        exercise.predictions(server.url, files)
