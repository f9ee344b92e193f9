"""`minidl compile` fills the kernel cache; commands that only describe a network compile nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

if numba.config.DISABLE_JIT:
    pytest.skip("the compiled kernels need Numba's compiler", allow_module_level=True)

import zoo
from minidl import kernels, nn
from minidl.cli import main
from minidl.commands.compile import warm_up
from minidl.io import save_model
from zoo.googlenet import GoogLeNet, GoogLeNetOutputs

ROOT = Path(__file__).parents[2]

# Runs main() for each command line, and prints the functions that Numba compiled.
COUNTING = """
import sys
from numba.core import event
from minidl.cli import main
compiled = []
class Listener(event.Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].__name__)
    def on_end(self, event):
        pass
event.register("numba:compile", Listener())
for line in sys.argv[1:]:
    assert main(line.split()) == 0
    print(compiled)
"""


# The command line with one more network, whose kernels are compiled in a moment.
TINY = """
import sys
import zoo
from minidl import nn
from minidl.cli import main
def tiny():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    model.architecture = {"name": "tiny", "settings": {"in_channels": 1}}
    return model
zoo.NETWORKS["tiny"] = (tiny, 8)
sys.exit(main(sys.argv[1:]))
"""


def run(cache, *arguments):
    """(stdout, stderr) of a new Python with its kernel cache in the folder `cache`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, *arguments], cwd=cache, env=environment, check=True, capture_output=True,
                          text=True)
    return done.stdout, done.stderr


def test_commands_that_describe_a_network_compile_nothing(tmp_path):
    save_model(tmp_path / "model", zoo.create("lenet5"), input=(1, 28, 28))
    out, err = run(tmp_path, "-c", COUNTING, "info", "zoo lenet5 mobilenet_v1_cifar",
                   "summary resnet20 --input 3,32,32", "draw resnet20 -o a.svg", "draw model -o b.svg",
                   "convert model -o c")
    assert out.count("[]") == 6
    assert err == ""


def test_compile_leaves_nothing_to_compile(tmp_path):
    out, _ = run(tmp_path, "-c", TINY, "compile", "tiny", "-b", "4")
    *lines, total, cache = out.splitlines()
    assert len(lines) > 2
    assert all(line.startswith("    ") and line.endswith(" s") for line in lines)
    assert total.startswith(f"tiny: {len(lines)} kernels compiled in ")
    assert cache == f"kernel cache: {tmp_path}"
    again, err = run(tmp_path, "-c", TINY, "compile", "tiny", "-b", "4")
    assert again.splitlines() == ["tiny: nothing to compile, all kernels are cached", cache]
    assert err == ""


class Pixels(nn.Module):
    """Logits for every pixel, as U-Net gives."""

    architecture = {"settings": {"in_channels": 1}}  # noqa: RUF012  (as on the zoo's networks)

    def __init__(self):
        self.conv = nn.Conv2d(1, 3, 1)

    def forward(self, x):
        return self.conv(x)


class Auxiliary(Pixels):
    """Logits with auxiliary classifiers in training, as GoogLeNet gives."""

    loss = GoogLeNet.loss

    def forward(self, x):
        logits = self.conv(x).mean((2, 3))
        return GoogLeNetOutputs(logits, logits, logits) if self.training else logits


@pytest.mark.parametrize("network", [Pixels, Auxiliary, lambda: zoo.create("lenet5")])
def test_warm_up_trains_networks_with_every_kind_of_output(network):
    model = network()
    before = [p.numpy().copy() for p in model.parameters()]
    with kernels.using("plain"):
        warm_up(model, 28, 2, "float64")
    for p, old in zip(model.parameters(), before, strict=True):
        assert p.dtype == "float64"
        assert (p.numpy() != old).any()
    assert not model.training


def test_unknown_network_is_refused_before_compiling(capsys):
    assert main(["compile", "lenet5", "lenet6"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean lenet5" in err


def test_compile_needs_the_jit(capsys, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert main(["compile", "lenet5"]) == 2
    assert "NUMBA_DISABLE_JIT is set" in capsys.readouterr().err
