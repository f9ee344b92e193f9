"""A server's memory stays as it is, however many requests it answers, and none is lost."""

import http.client
import json

import pytest
from servers import image_bytes, multipart
from test_server_process import process

psutil = pytest.importorskip("psutil", reason="psutil is not installed: the extra serve-test")
ROUNDS = {"default": (100, 400), "slow": (500, 3000)}                 # benchmarks/serve_soak.py asks 100,000 times
MIB = 1 << 20


@pytest.mark.parametrize("size", ["default", pytest.param("slow", marks=pytest.mark.slow)])
def test_memory_is_flat(model_files, size):
    warm, count = ROUNDS[size]
    body, kind = multipart(("a.png", image_bytes()), ("b.jpg", image_bytes("JPEG")))
    requests = [("/v1/predict", image_bytes("PNG", (28, 28)), {}, 200), ("/v1/predict?cam=1", image_bytes(), {}, 200),
                ("/v1/predict", body, {"Content-Type": kind}, 200), ("/v1/predict", b"no image", {}, 400),
                ("/v2/models/grey/infer", b"{}", {}, 400)]
    with process(model_files[0], "--port", 0, "--log", "none") as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        memory = psutil.Process(server.process.pid).memory_info

        def ask(times):
            for i in range(times):
                path, content, headers, status = requests[i % len(requests)]
                connection.request("POST", path, content, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
                assert (response.status, "error" in answer) == (status, status != 200)
        ask(warm)
        before = memory().rss
        ask(count)
        after = memory().rss
        connection.close()
    print(f"{before / MIB:.1f} MiB after {warm} requests, {after / MIB:.1f} MiB after {count} more")
    assert after - before < 8 * MIB
