"""Many requests to `minidl serve`, good and bad ones: is any lost, and does memory grow?

    python benchmarks/serve_soak.py [--requests 100000] [--clients 8]

LeNet-5 is asked with images, several images at once, Grad-CAM, the Open Inference Protocol, and with what is no image.
Each client has one connection, in a thread. Memory is read after each tenth of the requests.
"""

import argparse
import http.client
import io
import json
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from serve import started

import zoo
from minidl.io import save_model

URL = "127.0.0.1:8433"
MIB = 1 << 20
TENSOR = {"name": "input", "datatype": "FP32", "shape": [1, 1, 28, 28], "data": [0.5] * 784}


def image(form, size, rng):
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8)).save(file, form)
    return file.getvalue()


def requests(rng):
    """[(path, body, headers, the status that must come), ...]"""
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n%s\r\n'
                     % image(form, 28, rng) for form in ("PNG", "JPEG", "WEBP"))
    return [*[("/v1/predict", image("PNG", 28, rng), {}, 200)] * 6,
            ("/v1/predict", image("JPEG", 300, rng), {}, 200),
            ("/v1/predict?cam=1", image("PNG", 28, rng), {}, 200),
            ("/v1/predict", parts + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 200),
            ("/v2/models/net/infer", json.dumps({"inputs": [TENSOR]}).encode(), {}, 200),
            ("/v1/predict", image("PNG", 28, rng)[:100], {}, 400),
            ("/v2/models/net/infer", b"[", {}, 400)]


def ask(count, counted, seed):
    """Ask over one connection; add what did not come back as it must to counted["lost"]."""
    wanted, connection = requests(np.random.default_rng(seed)), http.client.HTTPConnection(URL, timeout=120)
    for i in range(count):
        path, body, headers, status = wanted[i % len(wanted)]
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            good = response.status == status and json.loads(response.read()) is not None
        except (OSError, ValueError, http.client.HTTPException):
            connection.close()
            good = False
        with counted["lock"]:
            counted["answered" if good else "lost"] += 1
    connection.close()


def main():
    """Ask, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    counted, memory = {"answered": 0, "lost": 0, "lock": threading.Lock()}, []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "net.safetensors"
        save_model(model, zoo.create("lenet5"), input=(1, 28, 28))
        command = [sys.executable, "-m", "minidl", "serve", model, "--port", "8433", "--log", "none"]
        with started(command, f"http://{URL}/v2/health/ready") as server:
            for tenth in range(11):
                memory.append(round(psutil.Process(server.pid).memory_info().rss / MIB, 1))
                print(f"{counted['answered']:7} answered, {counted['lost']} lost, {memory[-1]} MiB", flush=True)
                if tenth == 10:
                    break
                share = args.requests // 10 // args.clients
                threads = [threading.Thread(target=ask, args=(share, counted, i)) for i in range(args.clients)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
    import common  # imported last: the server must not inherit its thread settings
    common.save("serve_soak", {"answered": counted["answered"], "lost": counted["lost"], "memory MiB": memory})


if __name__ == "__main__":
    main()
