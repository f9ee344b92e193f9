"""The command line: its output, and one sentence with exit code 2 for mistakes."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest
from PIL import Image

import minidl
import zoo
from minidl.cli import COMMANDS, main
from minidl.commands.info import gpu
from minidl.io import save_model

ROOT = Path(__file__).parents[2]


def test_info_describes_this_machine(capsys):
    assert main(["info"]) == 0
    facts = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert facts["minidl"].strip() == minidl.__version__
    assert facts["numba"].strip() == numba.__version__
    expected = {"minidl", "python", "numpy", "numba", "cupy", "processor", "kernels", "gpu"}
    assert set(facts) - {"threads", "kernel cache"} == expected
    assert all(value.strip() for value in facts.values())


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="kernels are not compiled")
def test_info_predicts_threads_and_layer():
    code = ("from minidl.commands.info import info; text = info()['threads']; from minidl.kernels.cpu.runtime import "
            "threads; import numba; count = threads.thread_count(); print(text); print(count, numba.threading_layer())")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    text, actual = done.stdout.splitlines()
    count, layer = actual.split()
    assert text.startswith(f"{count} on ")
    assert text.endswith(f"({layer})")


def test_gpu_is_named_with_its_driver(monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=lambda: 1, driverGetVersion=lambda: 13020)
    runtime.getDeviceProperties = lambda i: {"name": b"NVIDIA H200", "major": 9, "minor": 0,
                                             "totalGlobalMem": 150_000_000_000}
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    assert gpu() == "NVIDIA H200 (compute capability 9.0, 139.70 GiB); driver for CUDA 13.2"


def test_summary_prints_the_table(capsys):
    assert main(["summary", "lenet5", "--input", "3,28,28"]) == 0
    out = capsys.readouterr().out
    assert "conv1" in out
    assert out.splitlines()[-1].split()[:2] == ["total", f"{61_706 + 2 * 6 * 25:,}"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["summary", "lenet", "--input", "1,28,28"], "did you mean lenet5"),
    (["summary", "nothing.safetensors", "--input", "1,28,28"], "nothing.safetensors: there is no such file"),
    (["summary", "lenet5", "--input", "1,40,40"], "LeNet5: images must be 28 x 28 pixels, not 40 x 40"),
])
def test_mistake_is_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("minidl summary: ")
    assert message in line


@pytest.mark.parametrize(("error", "code", "message"), [
    (MemoryError("no memory for 9 TiB"), 2, "no memory for 9 TiB"), (MemoryError(), 2, "out of memory"),
    (KeyboardInterrupt(), 130, "stopped"), (FileNotFoundError(2, "No such file", "a"), 2, "No such file: a"),
    (ValueError(), 2, "ValueError"), (minidl.DeviceError("no GPU"), 2, "no GPU"),
    (minidl.NonFiniteError("the loss is nan"), 1, "the loss is nan"),
])
def test_errors_become_one_line(monkeypatch, capsys, error, code, message):
    def fail(args):
        raise error
    monkeypatch.setattr("minidl.commands.info.run", fail)
    assert main(["info"]) == code
    assert capsys.readouterr().err == f"minidl info: {message}\n"
    monkeypatch.setenv("MINIDL_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["info"])


@pytest.mark.parametrize(("name", "reason"), [
    ("nothing.pth", "nothing.pth: there is no such file"),
    ("nowhere/resnet18", "nowhere/resnet18: there is no such file"),
    (".", ".: this is a folder, not a file"), ("resnet19", "did you mean resnet18"),
])
def test_draw_tells_a_missing_file_from_an_unknown_network(capsys, tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    assert main(["draw", name, "-o", "a.svg"]) == 2
    assert reason in capsys.readouterr().err


def test_draw_does_not_write_svg_under_another_name(capsys, tmp_path):
    assert main(["draw", "lenet5", "-o", str(tmp_path / "a.png")]) == 2
    assert "drawings are SVG files; name it a.svg" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_summary_and_draw_take_model_files(capsys, tmp_path):
    save_model(tmp_path / "m", zoo.create("lenet5", num_classes=3), input=(1, 28, 28))
    assert main(["summary", str(tmp_path / "m"), "--input", "1,28,28"]) == 0
    assert "conv1" in capsys.readouterr().out
    assert main(["draw", str(tmp_path / "m"), "-o", str(tmp_path / "a.svg")]) == 0
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<svg")


@pytest.mark.parametrize(("arguments", "reason"), [
    (["look", ".", "-o", "o"], "this is a folder, not a photograph: ."),
    (["look", "a.png", "-o", "m"], "this is a file, not a folder for pictures: m"),
    (["look", "a.png", "-o", ""], "'' is not the name of a file"), (["look", "nothing", "-o", "o"], "nothing"),
])
def test_look_refuses_what_is_no_photograph(capsys, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    save_model("m", zoo.create("lenet5", num_classes=3), input=(1, 28, 28))
    Image.new("L", (28, 28)).save("a.png")
    assert main([*arguments, "--model", "m"]) == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="it has neither /dev/stdout nor >&-")
def test_closed_stdout_and_devices():
    def run(command):
        return subprocess.run(f"{sys.executable} -m minidl {command}", shell=True, cwd=ROOT, capture_output=True,
                              check=False)
    for command in ("info", "zoo lenet5", "summary lenet5 --input 1,28,28"):
        done = run(f"{command} >&-")
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert b"stdout is closed" in done.stderr
    if Path("/dev/stdout").exists():
        assert run("draw lenet5 -o /dev/stdout | cat").stdout.startswith(b"<svg")
    if Path("/dev/full").exists():
        done = run("zoo lenet5 > /dev/full")
        assert (done.returncode, done.stderr) == (2, b"minidl zoo: No space left on device\n")


@pytest.mark.parametrize("text", ["9" * 5000, "1.5", "-1", "\u0663x", ""])
def test_whole_numbers(capsys, text):
    with pytest.raises(SystemExit):
        main(["predict", "a", "--model", "m", f"--top={text}"])
    assert "is not a whole number of at least 1" in capsys.readouterr().err


def test_closed_pipe_is_silent():
    command = f"{sys.executable} -m minidl zoo lenet5 lenet5_1998 simple_cnn | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("network")
    assert "Error" not in done.stderr


@pytest.mark.parametrize("arguments", [
    [], ["dance"], ["summary", "lenet5", "--input", "28"],
    ["summary", "lenet5", "--input", "1,0,2"], ["summary", "lenet5", "--input", "a,b,c"],
])
def test_invalid_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name, capsys):
    with pytest.raises(SystemExit) as error:
        main([name, "--help"])
    assert error.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: minidl {name} ")


def test_table_has_every_command():
    files = {path.stem for path in (ROOT / "minidl" / "commands").glob("*.py")
             if "def add_arguments(" in path.read_text(encoding="utf-8")}
    assert set(COMMANDS) == files


def test_help_imports_no_command():
    code = ("import sys; from minidl.cli import parser; text = parser().format_help(); "
            "print([name for name in sys.modules if name.startswith(('minidl.commands', 'zoo', 'numba', 'PIL'))])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_as_a_module():
    command = [sys.executable, "-m", "minidl", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"minidl {minidl.__version__}\n"
