"""`minidl serve` as a process: signals under load, files that are replaced, addresses, and what it prints."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import Client, image_bytes, running

import zoo
from minidl import manual_seed
from minidl.io import save_model

ROOT = Path(__file__).parents[2]


class Process:
    """A server in a process of its own."""

    def __init__(self, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen([sys.executable, "-m", "minidl", "serve", *map(str, arguments)], text=True,
                                        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.errors = [], []
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if found := re.fullmatch(r"serving at (http://.*)/", self.lines[-1]):
                self.url = found[1]
                break
        self.reader = threading.Thread(target=self.errors.extend, args=(self.process.stderr,))
        self.reader.start()                      # so that the log never fills the pipe

    ask = Client.ask

    def end(self, number=signal.SIGTERM):
        """The exit code after a signal."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.reader.join()
        return code


@contextmanager
def process(*arguments):
    server = Process(*arguments)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.reader.join()
        server.process.stdout.close()
        server.process.stderr.close()


def keep_asking(url, content, answers, stop):
    """Ask over one connection until it is closed; append the status, or the error, of each request."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    while not stop.is_set():
        try:
            connection.request("POST", "/v1/predict", content)
            response = connection.getresponse()
            answers.append((response.status, json.loads(response.read())["images"][0]["predictions"][0]["index"]))
        except (OSError, http.client.HTTPException) as error:
            answers.append((type(error).__name__, str(error)))
            break
    connection.close()


def test_sigterm_under_load_answers_what_was_accepted(model_files):
    with process(model_files[0], "--port", 0, "--log", "json") as server:
        answers, stop = [], threading.Event()
        clients = [threading.Thread(target=keep_asking, args=(server.url, image_bytes(), answers, stop))
                   for _ in range(8)]
        for client in clients:
            client.start()
        while len(answers) < 50:
            time.sleep(0.01)
        assert server.end() == 0
        for client in clients:
            client.join()
        logged = [json.loads(line) for line in server.errors]
        assert {line["level"] for line in logged} == {"request"}
        assert {line["status"] for line in logged} == {200}
        assert sum(status == 200 for status, _ in answers) == len(logged)                # none was lost
        assert {status for status, _ in answers} <= {200, "RemoteDisconnected", "ConnectionRefusedError",
                                                     "ConnectionResetError", "BrokenPipeError"}


def test_ctrl_c_ends_it_too(model_files):
    with process(*model_files, "--port", 0) as server:
        assert server.lines[0] == "grey: lenet5, 61,706 parameters, 10 classes"
        assert server.ask("/v2/health/ready").body == {"ready": True}
        assert server.end(signal.SIGINT) == 0
        assert all("Traceback" not in line for line in server.errors)


def another(path, classes):
    """Replace a model file by that of a network with another number of classes."""
    manual_seed(1)
    model = zoo.create("lenet5", num_classes=classes)
    save_model(path, model, input=(1, 28, 28))


def test_a_replaced_file_is_loaded_without_a_lost_request(tmp_path, monkeypatch, capsys):
    from minidl.serve import reload
    monkeypatch.setattr(reload, "SECONDS", 0.05)
    path = tmp_path / "net.safetensors"
    another(path, 10)
    with running([path], reload=True, log="plain") as client:
        answers, stop = [], threading.Event()
        asking = threading.Thread(target=keep_asking, args=(client.url, image_bytes(), answers, stop))
        asking.start()
        another(path, 7)
        while len(client.ask("/v1/models").body["models"][0]["classes"]) != 7:
            time.sleep(0.01)
        path.write_bytes(b"not a model")
        while not (found := [line for line in capsys.readouterr().err.splitlines() if "warning" in line]):
            time.sleep(0.01)
        assert f"{path} was replaced, but the model that was loaded stays" in found[0]
        count = len(answers)
        while len(answers) < count + 5:
            time.sleep(0.01)
        path.unlink()
        assert client.ask("/v1/predict", image_bytes()).status == 200
        another(path, 5)
        while len(client.ask("/v1/models").body["models"][0]["classes"]) != 5:
            time.sleep(0.01)
        stop.set()
        asking.join()
    assert {status for status, _ in answers} == {200}


def test_a_warning_beyond_loopback(model_files, capsys):
    from minidl.serve import Settings
    from minidl.serve.server import Server
    for token, part in ((None, "can be reached from other machines, and anybody may ask; set --token"), ("t", "")):
        server = Server(model_files[:1], Settings(host="0.0.0.0", port=0, token=token))
        server.announce()
        server.socket.close()
        server.state.batches.close()
        assert part in (error := capsys.readouterr().err)
        assert bool(error) == bool(part)


def test_an_address_in_use(model_files):
    from minidl.serve import Settings
    from minidl.serve.server import Server
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1, port {port}: Address already in use"):
            Server(model_files[:1], Settings(port=port))
    with pytest.raises(OSError, match="cannot listen at 'no such host'"):
        Server(model_files[:1], Settings(host="no such host"))


def test_models_that_cannot_be_served(tmp_path, model_files):
    from minidl.io import CheckpointError
    from minidl.serve.models import Models
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "grey.safetensors").write_bytes(model_files[0].read_bytes())
    with pytest.raises(ValueError, match="two models would be called 'grey'"):
        Models([str(model_files[0]), str(tmp_path / "deep" / "grey.safetensors")])
    with pytest.raises(FileNotFoundError):
        Models(["a=nothing.safetensors"]).load()
    with pytest.raises(ValueError, match="is not FILE or NAME=FILE"):
        Models(["=x"])
    save_model(tmp_path / "pixels.safetensors", zoo.create("unet", base_channels=4), input=(1, 188, 188))
    with pytest.raises(CheckpointError, match="only networks that classify images can be served"):
        Models([str(tmp_path / "pixels.safetensors")]).load()
    save_model(tmp_path / "bare.safetensors", zoo.create("lenet5"))
    with pytest.raises(CheckpointError, match="its input shape is None"):
        Models([str(tmp_path / "bare.safetensors")]).load()
    save_model(tmp_path / "names.safetensors", zoo.create("lenet5"), input=(1, 28, 28), classes=["a", "b"])
    with pytest.raises(CheckpointError, match="names 2 classes, but the model has 10"):
        Models([str(tmp_path / "names.safetensors")]).load()
