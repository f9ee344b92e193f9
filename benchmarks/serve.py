"""Requests per second and latency of `minidl serve`, beside LitServe with PyTorch serving the same network.

    python benchmarks/serve.py [--seconds 3] [--rounds 7] [--clients 1,8,64] [--networks resnet20,mobilenet_v1]

Each request is one image as a raw body: a PNG of 32 x 32 pixels for ResNet-20, a JPEG of 256 x 256 for MobileNet-v1
0.75, which crops 224 x 224. Both servers decode and preprocess by the same function, gather batches of at most 32 for
at most 2 ms, and use all cores; the weights are random. The load comes from wrk, a program of its own on the same
cores, with one connection for each client. Short rounds alternate between the servers; while one is measured, the
other is stopped. Medians are stored, of the figures and of each round's ratio, because other load slows both servers.

Needs wrk, and the packages litserve and torch. Run on a machine that does nothing else.
"""

import argparse
import itertools
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import zoo  # noqa: E402
from minidl.io import save_model  # noqa: E402

BATCH, WAIT_MS = 32, 2
IMAGES = 64
NETWORKS = {                                     # name: (settings, facts of the model file, an image's size and format)
    "resnet20": ({}, {"input": (3, 32, 32)}, 32, "PNG"),
    "mobilenet_v1": ({"width": 0.75}, {"input": (3, 224, 224), "resize": 256}, 256, "JPEG"),
}
SCRIPT = """
local bodies = {}
for i = 1, %d do
  local file = io.open("%s/" .. i, "rb")
  bodies[i] = file:read("*all")
  file:close()
end
local next = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
request = function()
  next = next %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next])
end
done = function(summary, latency, requests)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT %%d %%d %%d %%d %%d %%d", summary.requests, summary.duration,
                      latency:percentile(50), latency:percentile(99), errors, summary.errors.status))
end
"""


def minidl_model(name, folder):
    """A model file of the network, with random weights."""
    settings, facts, _, _ = NETWORKS[name]
    save_model(folder / "net.safetensors", zoo.create(name, **settings), **facts)
    return folder / "net.safetensors"


def write_images(name, folder):
    """Random images, smooth enough to be compressed as photographs are, in files 1, 2, ..."""
    rng = np.random.default_rng(0)
    _, _, size, form = NETWORKS[name]
    for i in range(IMAGES):
        coarse = Image.fromarray(rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / str(i + 1), form)


@contextmanager
def started(command, url):
    """A server that answers at `url`, in a process group of its own, which is ended afterwards."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    try:
        until = time.monotonic() + 300
        while not answers(url):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{' '.join(map(str, command))} does not answer at {url}")
            time.sleep(0.2)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(process):
    """A block in which a server that is stopped runs."""
    os.killpg(process.pid, signal.SIGCONT)
    yield
    os.killpg(process.pid, signal.SIGSTOP)


def answers(url):
    """Whether a server answers with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def answer_one(url, image):
    """Send one image, and wait for the answer."""
    request = urllib.request.Request(url, image.read_bytes(), {"Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()


def load(url, script, clients, seconds):
    """What wrk measures: {"requests/s", "p50 ms", "p99 ms"}. Raises SystemExit if a request failed."""
    output = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script, url],
                            capture_output=True, text=True, check=True).stdout
    requests, duration, p50, p99, *errors = map(int, re.search(r"RESULT (.*)", output)[1].split())
    if not requests:
        raise SystemExit(f"{url}: nothing was answered within {seconds} seconds; give more --seconds")
    if any(errors):
        raise SystemExit(f"{url}: {errors[0]} requests failed, {errors[1]} were refused")
    return {"requests/s": requests / duration * 1e6, "p50 ms": p50 / 1000, "p99 ms": p99 / 1000}


def compare(name, folder, clients, seconds, rounds):
    """{server: {clients: medians over the rounds}}"""
    write_images(name, folder)
    script = folder / "load.lua"
    script.write_text(SCRIPT % (IMAGES, folder))
    model = minidl_model(name, folder)
    ours, theirs = "http://127.0.0.1:8431", "http://127.0.0.1:8432"
    servers = {
        "minidl": ([sys.executable, "-m", "minidl", "serve", model, "--port", "8431", "--log", "none", "--max-batch",
                    str(BATCH), "--max-wait-ms", str(WAIT_MS)], ours + "/v2/health/ready", ours + "/v1/predict"),
        "LitServe, PyTorch": ([sys.executable, HERE / "serve_litserve.py", name, "8432"], theirs + "/health",
                              theirs + "/predict"),
    }
    found = {server: {count: [] for count in clients} for server in servers}
    with ExitStack() as stack:
        processes = {}
        for server, (command, health, url) in servers.items():
            processes[server] = stack.enter_context(started(command, health))
            load(url, script, max(clients), 10)                      # the first batches take longest
            os.killpg(processes[server].pid, signal.SIGSTOP)
        for count, _, server in itertools.product(clients, range(rounds), servers):
            url = servers[server][2]
            with running(processes[server]):
                answer_one(url, folder / "1")                        # what wrk has left behind is done before
                found[server][count].append(load(url, script, count, seconds))
    result = {server: {count: medians(rows) for count, rows in each.items()} for server, each in found.items()}
    first, second = found.values()
    result["ratio"] = {count: medians([{key: a[key] / b[key] for key in a}
                                       for a, b in zip(first[count], second[count], strict=True)]) for count in clients}
    return result


def medians(rows):
    return {key: round(statistics.median(row[key] for row in rows), 2) for key in rows[0]}


def main():
    """Measure, print and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--clients", default="1,8,64", help="default: 1,8,64")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="default: all")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    clients, result = [int(count) for count in args.clients.split(",")], {}
    for name in args.networks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            result[name] = compare(name, Path(folder), clients, args.seconds, args.rounds)
        for server, each in result[name].items():
            for count, row in each.items():
                print(f"{name:14} {server:18} {count:3} clients  " + "  ".join(f"{k} {v:8.2f}" for k, v in row.items()))
    import common  # imported last: the servers must not inherit its thread settings
    common.save("serve", {"batch": BATCH, "max wait ms": WAIT_MS, "seconds": args.seconds, "rounds": args.rounds,
                          "networks": result})


if __name__ == "__main__":
    main()
