"""Type hints: mypy accepts the public modules and correct user code, and finds mistakes in wrong user code."""

import importlib
import inspect
import os
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import tensor_stub

ROOT = Path(__file__).parent.parent

CORRECT = """
import numpy as np

import minidl.functional as F
from minidl import Tensor, data, manual_seed, nn, no_grad, optim

manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
x = Tensor(np.ones((2, 1, 8, 8), np.float32))
loss: Tensor = F.cross_entropy(model(x), np.array([1, 2]), label_smoothing=0.1)
optimizer.zero_grad()
loss.backward()
optimizer.step()
with no_grad():
    y = (2 - x.mean(axis=(2, 3), keepdims=True)) * x[:, :, 0].reshape(2, 1, 1, 8)
    z: Tensor = F.relu(y, ceiling=6).to("cpu").T
rows: int = z.shape[0]
value: float = float(loss) + loss.item()
"""

MISTAKES = {                                          # a wrong line, and a word of mypy's message
    "loss.backwards()": '"Tensor" has no attribute "backwards"',
    "F.relu(x, ceilng=6)": 'Unexpected keyword argument "ceilng"',
    "F.conv2d(x)": "Too few arguments",
    'F.linear(x, x, relu="yes")': "incompatible type",
    "x.sum(0).flatten('all')": "incompatible type",
    'Tensor(1.0, device=["gpu"])': "incompatible type",
    "x.grad.sum()": 'has no attribute "sum"',         # it may be None
    "F.max_pool2d(x, 2).data.get()": '"get"',         # it may be an array of NumPy
    'F.cross_entropy(x, x, reduction="average")': "incompatible type",
}


PACKAGES = ("data", "evaluation", "functional", "io", "nn", "optim", "report", "testing", "train")


@pytest.mark.parametrize("package", PACKAGES)
def test_all_parameters_of_public_functions_and_classes_have_hints(package):
    module = importlib.import_module(f"minidl.{package}")
    values = {name: getattr(module, name) for name in module.__all__}
    missing = [f"{name}: {p.name}" for name, value in values.items() if callable(value) and not unsigned(value)
               for p in inspect.signature(value).parameters.values() if p.annotation is p.empty]
    assert missing == []


def unsigned(value):
    """Whether `inspect` finds no signature: the name of a type, or a class of exceptions without its own __init__."""
    if typing.get_origin(value) is not None:
        return True
    return inspect.isclass(value) and issubclass(value, BaseException) and "__init__" not in vars(value)


def mypy(*arguments, cwd):
    """Run mypy as a user would: its output and exit code."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), *arguments]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


def test_the_public_modules():
    output, code = mypy(cwd=ROOT)
    assert code == 0, output


def test_user_code(tmp_path):
    """One run of mypy for all, because each takes seconds."""
    lines = [f"{line}  # mistake" for line in MISTAKES]
    script = tmp_path / "script.py"
    script.write_text("\n".join([CORRECT, *lines]) + "\n", encoding="utf-8")
    output, code = mypy("--config-file", str(ROOT / "pyproject.toml"), "script.py", cwd=tmp_path)
    first = len(CORRECT.splitlines()) + 2
    errors = {}
    for line in output.splitlines():
        if line.startswith("script.py:") and ": error: " in line:
            errors.setdefault(int(line.split(":")[1]) - first, []).append(line)
    assert code == 1, output
    assert set(errors) == set(range(len(MISTAKES))), output
    for found, message in zip((errors[i] for i in range(len(MISTAKES))), MISTAKES.values(), strict=True):
        assert message in "\n".join(found)


def test_the_stub_of_tensor_is_up_to_date():
    assert tensor_stub.STUB.read_text(encoding="utf-8") == tensor_stub.stub(), "run python tests/tensor_stub.py"
