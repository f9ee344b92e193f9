"""The page with a network inside: its JavaScript, run by Node, against Python; and what is refused."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from settled import settled

import minidl.functional as F
import minidl.nn as nn
import zoo
from minidl import Tensor, io, no_grad
from minidl.cli import main
from minidl.demo import page
from minidl.demo.program import source

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node, which runs JavaScript, is not installed")
RUN = """
const { networkOf, softmax } = require(process.argv[1]);
const [program, images] = JSON.parse(require("fs").readFileSync(0));
const network = networkOf(program);
console.log(JSON.stringify(images.map((image) => Array.from(network(Float32Array.from(image))))));
"""


def program_in(text):
    """The program in a page, as the browser finds it."""
    return json.loads(re.search(r'<script type="application/json" id="program">(.*?)</script>', text, re.S)[1])


def scores(tmp_path, text, images):
    """What the page's network gives for images, computed by Node."""
    (tmp_path / "network.js").write_text(source("network.js"))
    result = subprocess.run(["node", "-e", RUN, str(tmp_path / "network.js")], check=True, capture_output=True,
                            text=True, input=json.dumps([program_in(text), images.reshape(len(images), -1).tolist()]))
    return np.array(json.loads(result.stdout))


NETWORKS = {
    "lenet5": (lambda: zoo.create("lenet5"), (1, 28, 28)),
    "simple_cnn": (lambda: zoo.create("simple_cnn"), (1, 28, 28)),
    "simple_cnn in colour": (lambda: zoo.create("simple_cnn", in_channels=3, image_size=32), (3, 32, 32)),
    "a block of ResNet": (lambda: nn.Sequential(
        zoo.create("resnet18_cifar", width=4).layer1[0], nn.Flatten(), nn.Linear(4 * 64, 5)), (4, 8, 8)),
    "other windows": (lambda: nn.Sequential(
        nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), nn.ReLU(), nn.Dropout2d(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Flatten(), nn.BatchNorm1d(72), nn.ReLU6(), nn.Linear(72, 3)),
        (4, 8, 7)),
}


@needs_node
@pytest.mark.parametrize("name", NETWORKS)
def test_javascript_computes_what_python_does(tmp_path, name):
    make, shape = NETWORKS[name]
    model = settled(make())
    images = np.random.default_rng(0).standard_normal((3, *shape), dtype=np.float32)
    with no_grad():
        expected = model(Tensor(images)).numpy()
    found = scores(tmp_path, page(model, {"input": shape}), images)
    assert found.shape == expected.shape
    assert abs(found - expected).max() < 1e-4 * max(1, abs(expected).max())


def test_nothing_comes_from_elsewhere():
    text = page(zoo.create("lenet5"), {"input": (1, 28, 28)})
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"\b(src|import|fetch|XMLHttpRequest)\b *[=(]", text)
    assert len(text) < 400_000


def test_names_of_classes_do_not_end_the_script():
    text = page(zoo.create("lenet5"), {"input": (1, 28, 28), "classes": ["</script><b>"] + list("123456789")})
    assert "</script><b>" not in text
    assert program_in(text)["classes"][0] == "</script><b>"


@pytest.mark.parametrize(("model", "shape", "words"), [
    (lambda: zoo.create("resnet18_cifar"), (3, 32, 32), "11,173,962 weights; a page holds at most 1,000,000"),
    (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU()), (1, 8, 8), "1: gelu is none of conv2d"),
    (lambda: nn.Conv2d(1, 2, 3), (1, 8, 8), "not one score per class"),
])
def test_what_is_refused(model, shape, words):
    with pytest.raises(ValueError, match=words):
        page(model(), {"input": shape})


def test_a_constant_is_refused():
    class Shifted(nn.Module):
        def forward(self, x):
            return F.flatten(x + 1, 1)
    with pytest.raises(ValueError, match="no constants"):
        page(Shifted(), {"input": (1, 2, 2)})


def test_the_command(tmp_path, capsys):
    io.save_model(tmp_path / "m.safetensors", zoo.create("lenet5"), input=(1, 28, 28), classes=list("abcdefghij"),
                  mean=(0.13,), std=(0.31,))
    assert main(["export", str(tmp_path / "m.safetensors"), "--html", str(tmp_path / "demo.html")]) == 0
    program = program_in((tmp_path / "demo.html").read_text())
    assert (program["classes"][0], program["mean"], program["input"]) == ("a", [0.13], [1, 28, 28])
    assert main(["export", str(tmp_path / "m.safetensors")]) == 2
    assert "-o model.onnx, or --html demo.html" in capsys.readouterr().err
