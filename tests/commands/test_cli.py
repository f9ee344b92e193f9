"""The command line: what it prints, and one sentence with exit code 2 for mistakes."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest

import minidl
from minidl.cli import main
from minidl.commands.info import gpu


def test_info_tells_what_this_machine_offers(capsys):
    assert main(["info"]) == 0
    told = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert told["minidl"].strip() == minidl.__version__
    assert told["numba"].strip() == numba.__version__
    expected = {"minidl", "python", "numpy", "numba", "cupy", "processor", "kernels", "gpu"}
    assert set(told) - {"threads", "kernel cache"} == expected
    assert all(value.strip() for value in told.values())


def test_a_gpu_is_told_with_its_driver(monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=lambda: 1, getDeviceProperties=lambda i: {"name": b"NVIDIA H200"},
                              driverGetVersion=lambda: 13020)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    assert gpu() == "NVIDIA H200; driver for CUDA 13.2"


def test_summary_prints_the_table(capsys):
    assert main(["summary", "lenet5", "--input", "3,28,28"]) == 0
    out = capsys.readouterr().out
    assert "conv1" in out
    assert out.splitlines()[-1].split()[:2] == ["total", f"{61_706 + 2 * 6 * 25:,}"]


@pytest.mark.parametrize(("arguments", "told"), [
    (["summary", "lenet", "--input", "1,28,28"], "did you mean lenet5"),
    (["summary", "lenet5", "--input", "1,40,40"], "LeNet5: images must be 28 x 28 pixels, not 40 x 40"),
])
def test_a_mistake_is_one_line(arguments, told, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]                                 # after a note on compiling, the first time
    assert last.startswith("minidl summary: ")
    assert told in last
    assert "Traceback" not in err


@pytest.mark.parametrize(("error", "code", "told"), [
    (MemoryError("no memory for 9 TiB"), 2, "no memory for 9 TiB"), (MemoryError(), 2, "out of memory"),
    (KeyboardInterrupt(), 130, "stopped"), (FileNotFoundError(2, "No such file", "a"), 2, "No such file: a"),
])
def test_what_stops_a_command_is_one_line(monkeypatch, capsys, error, code, told):
    def fail(args):
        raise error
    monkeypatch.setattr("minidl.commands.info.run", fail)
    assert main(["info"]) == code
    assert capsys.readouterr().err == f"minidl info: {told}\n"
    monkeypatch.setenv("MINIDL_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["info"])


def test_a_reader_who_has_seen_enough():
    command = f"{sys.executable} -m minidl zoo lenet5 lenet5_1998 simple_cnn | head -n 1"
    done = subprocess.run(command, shell=True, cwd=Path(__file__).parents[2], capture_output=True, text=True,
                          check=True)
    assert done.stdout.startswith("network")
    assert "Error" not in done.stderr


@pytest.mark.parametrize("arguments", [
    [], ["dance"], ["summary", "lenet5"], ["summary", "lenet5", "--input", "28"],
    ["summary", "lenet5", "--input", "1,0,2"], ["summary", "lenet5", "--input", "a,b,c"],
])
def test_what_cannot_be_parsed(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_as_a_module():
    command = [sys.executable, "-m", "minidl", "--version"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == f"minidl {minidl.__version__}\n"
