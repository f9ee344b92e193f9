"""Networks written as ONNX: what onnxruntime computes with them, their names and metadata, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")


from graphs import EVERY, LAYERS, PIXELS, ZOO, Applied, check_equal, images, ours, settled, small, theirs  # noqa: E402

import minidl.functional as F  # noqa: E402
import minidl.nn as nn  # noqa: E402
import zoo  # noqa: E402
from minidl import Tensor, io  # noqa: E402
from minidl.cli import main  # noqa: E402
from minidl.onnx.write import NEWEST, OLDEST, to_onnx  # noqa: E402
from minidl.onnx.writing import WRITERS  # noqa: E402


@pytest.mark.parametrize("opset", [OLDEST, pytest.param(18, marks=pytest.mark.slow),
                                   pytest.param(20, marks=pytest.mark.slow), NEWEST])
@pytest.mark.parametrize("name", [*EVERY, *LAYERS])
def test_every_operation(name, opset):
    models = [Applied(function) for function in EVERY.get(name, ())] + [make() for make in LAYERS.get(name, ())]
    for model in map(settled, models):
        x = images(PIXELS, 5)
        check_equal(theirs(to_onnx(model, PIXELS, opset), x), ours(model, x))


def test_no_operation_is_left_out():
    assert set(WRITERS) == {*EVERY, *LAYERS}


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name):
    model, shape = small(name)
    x = images(shape, 3)
    expected = ours(model, x)
    for opset, fold in ((OLDEST, False), (NEWEST, True)):
        proto = to_onnx(model, shape, opset, fold)
        check_equal(theirs(proto, x), expected)
        assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
        assert proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "N"


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_the_zoo_in_full_size(name):
    model = settled(zoo.create(name))
    shape = (model.architecture["settings"]["in_channels"], *2 * [zoo.image_size(name)])
    x = images(shape, 1)
    check_equal(theirs(to_onnx(model, shape), x), ours(model, x))


def test_weights_and_nodes_have_the_names_of_the_network():
    model, shape = small("resnet18")
    proto = to_onnx(model, shape)
    state = model.state_dict()
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    assert set(weights) == {name for name in state if not name.endswith("num_batches_tracked")}
    assert all((weights[name] == state[name]).all() for name in weights)
    names = [node.name for node in proto.graph.node]
    assert {"conv1", "bn1", "bn1.relu", "maxpool", "layer1.0.conv1", "layer1.0.bn2.add", "layer2.0.downsample.1",
            "reshape", "fc"} <= set(names)
    assert len(set(names)) == len(names)
    assert {node.domain for node in proto.graph.node} == {""}


def test_folding_leaves_no_batch_norm_and_keeps_names():
    model, shape = small("mobilenet_v1")
    proto = to_onnx(model, shape, fold=True)
    assert "BatchNormalization" not in {node.op_type for node in proto.graph.node}
    assert {tensor.name for tensor in proto.graph.initializer} >= {"conv1.conv.weight", "conv1.conv.bias", "fc.bias"}


def test_what_another_layer_reads_is_not_folded():
    class Both(nn.Module):
        def __init__(self):
            self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.conv(x)
            return self.norm(x) + x
    model, x = settled(Both()), images(PIXELS)
    proto = to_onnx(model, PIXELS, fold=True)
    assert "BatchNormalization" in {node.op_type for node in proto.graph.node}
    check_equal(theirs(proto, x), ours(model, x))


def test_shared_weights_are_written_once():
    class Twice(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(self.norm(self.conv(x))))
    model, x = settled(Twice()), images(PIXELS)
    for fold in (False, True):
        proto = to_onnx(model, PIXELS, fold=fold)
        check_equal(theirs(proto, x), ours(model, x))
        assert len({node.name for node in proto.graph.node}) == len(proto.graph.node)


def test_pixels_are_normalized_in_the_graph(tmp_path):
    model, shape = small("resnet20")
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    path = tmp_path / "model.onnx"
    io.export_onnx(model, path, shape, uint8=True, mean=mean, std=std, classes=["a", "b"])
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    normal = (pixels.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
    proto = onnx.load(path)
    check_equal(theirs(proto, pixels), ours(model, np.ascontiguousarray(normal.transpose(0, 3, 1, 2))))
    facts = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert facts["mean"] == list(mean)
    assert facts["classes"] == ["a", "b"]
    assert facts["input"] == [3, 32, 32]
    assert facts["architecture"]["name"] == "resnet20"


def test_outputs_of_all_kinds():
    class Several(nn.Module):
        def __init__(self, outputs):
            self.outputs = outputs

        def forward(self, x):
            return self.outputs(x, x * 2)
    names = {tuple: ["output_0", "output_1"], dict: ["a", "input_2"]}
    for model, kind in ((Several(lambda x, y: (y, y)), tuple), (Several(lambda x, y: {"a": y, "input": x}), dict)):
        proto = to_onnx(model, PIXELS)
        assert [info.name for info in proto.graph.output] == names[kind]
        theirs(proto, images(PIXELS))


class Refused(nn.Module):
    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(("function", "words"), [
    (lambda x: F.where(x > 0, x, 0.0), "where: its input number 1 changes with the images"),
    (lambda x: x + Tensor(np.sin(x.numpy())), "add: its input number 2 changes with the images"),
    (lambda x: x * len(x), "mul: its input number 2 changes"),
    (lambda x: F.relu(x) if len(x) == 2 else F.tanh(x), "does not run the same operations"),
    (lambda x: F.batch_norm(x, None, None), "moments of the batch"),
    (lambda x: F.dropout(x, 0.5), "dropout: "),
    (lambda x: F.local_response_norm(x, 2), "size=2 is even"),
    (lambda x: F.softplus(x, threshold=1.0), "threshold=1"),
    (lambda x: x[np.arange(len(x)), :1], "getitem: its setting index changes"),
    (lambda x: F.mse_loss(x, x), "mse_loss cannot be exported"),
    (lambda x: 3, "returns int"),
    (lambda x: Tensor(np.ones(3)), "does not depend on the input"),
])
def test_what_cannot_be_exported_is_refused_by_name(function, words):
    with pytest.raises(ValueError, match=words):
        to_onnx(Refused(function), PIXELS)


def test_the_layer_is_named():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(nn.LocalResponseNorm(2)))
    with pytest.raises(ValueError, match=r"^1\.0: local_response_norm: size=2"):
        to_onnx(model, PIXELS)


def test_the_model_stays_as_it_was():
    model, shape = small("simple_cnn")
    model.train()
    before = model.state_dict()
    to_onnx(model, shape)
    assert model.training
    assert all(layer.training for _, layer in model.named_modules())
    assert all((before[name] == array).all() for name, array in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize("opset", [16, NEWEST + 1, 17.5])
def test_opsets_that_cannot_be_written(opset):
    with pytest.raises(ValueError, match="opset"):
        to_onnx(nn.ReLU(), PIXELS, opset)


def test_float64():
    model = settled(nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3), nn.ReLU6(), nn.Flatten())).to(dtype="float64")
    x = images(PIXELS).astype(np.float64)
    proto = to_onnx(model, PIXELS, fold=True)
    onnx.checker.check_model(proto, full_check=True)
    from onnx.reference import ReferenceEvaluator
    found = ReferenceEvaluator(proto).run(None, {"input": x})[0]
    check_equal(found, ours(model, x), 1e-12)


def test_the_command(tmp_path, capsys):
    model, _ = small("simple_cnn")
    io.save_model(tmp_path / "model.safetensors", model, input=(1, 28, 28), classes=list("0123456789"))
    path = tmp_path / "model.onnx"
    assert main(["export", str(tmp_path / "model.safetensors"), "-o", str(path), "--opset", "18", "--fold"]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    proto, x = onnx.load(path), images((1, 28, 28))
    assert proto.opset_import[0].version == 18
    check_equal(theirs(proto, x), ours(model, x))


@pytest.mark.parametrize(("flags", "words"), [
    (["--opset", "12"], "opset 12 cannot be written; give one from 17"),
    (["--input-size", "28"], "'28' is not a height and a width"),
    (["--input-size", "20x20"], "images must be 28 x 28 pixels"),
])
def test_errors_of_the_command(tmp_path, capsys, flags, words):
    model, _ = small("simple_cnn")
    io.save_model(tmp_path / "model.safetensors", model, input=(1, 28, 28))
    try:
        code = main(["export", str(tmp_path / "model.safetensors"), "-o", str(tmp_path / "model.onnx"), *flags])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()


def test_a_network_without_weights_is_refused(tmp_path, capsys):
    assert main(["export", "lenet5", "-o", str(tmp_path / "model.onnx")]) == 2
    assert "no trained weights" in capsys.readouterr().err


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"onnx is not installed; pip install 'minidl\[onnx\]'"):
        io.export_onnx(nn.ReLU(), tmp_path / "model.onnx", (1, 2, 2))




def test_the_program_in_the_docs_runs(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8").partition("\n## As ONNX")[2]
    program = text.partition("```python\n")[2].partition("```")[0]
    io.export_onnx(small("lenet5")[0], tmp_path / "model.onnx", (1, 28, 28))
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(program, found)
    assert found["logits"].shape == (8, 10)
