"""Networks read from ONNX: own exports, operators of other programs, training, and hostile files."""

import contextlib
import os

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from graphs import EVERY, LAYERS, PIXELS, ZOO, Applied, check_equal, images, ours, settled, small  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import minidl.functional as F  # noqa: E402
import minidl.nn as nn  # noqa: E402
import zoo  # noqa: E402
from minidl import Tensor, io, optim  # noqa: E402
from minidl.cli import main  # noqa: E402
from minidl.io import CheckpointError  # noqa: E402
from minidl.onnx.read import from_onnx  # noqa: E402
from minidl.onnx.reading.functions import erf, resample  # noqa: E402
from minidl.onnx.reading.resize import taps  # noqa: E402
from minidl.onnx.source import Unsupported  # noqa: E402
from minidl.onnx.write import NEWEST, OLDEST, to_onnx  # noqa: E402
from minidl.testing import check_gradients  # noqa: E402


def graph(nodes, arrays=None, shape=("N", 4, 6, 6), opset=17, kind=TensorProto.FLOAT):
    """A model of nodes that read "x" and make "y"."""
    tensors = [numpy_helper.from_array(array, name) for name, array in (arrays or {}).items()]
    proto = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)],
                              [helper.make_tensor_value_info("y", kind, None)], tensors)
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(kind, *inputs, out="y", **attributes):
    return helper.make_node(kind, list(inputs) or ["x"], [out], name=f"my_{kind}", **attributes)


@pytest.mark.parametrize("opset", [OLDEST, pytest.param(NEWEST, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*EVERY, *LAYERS])
def test_own_exports_compute_the_same(name, opset):
    models = [Applied(function) for function in EVERY.get(name, ())] + [make() for make in LAYERS.get(name, ())]
    for model in map(settled, models):
        x, proto = images(PIXELS, 5), to_onnx(model, PIXELS, opset)
        network = from_onnx(proto)
        check_equal(ours(network, x), ours(model, x), 2e-6)
        assert sum(p.numel() for p in network.parameters()) >= sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_and_back(name):
    model, shape = small(name)
    x = images(shape, 3)
    network = from_onnx(to_onnx(model, shape))
    check_equal(ours(network, x), ours(model, x), 5e-6)          # response norm of zfnet is computed in steps: 3e-6
    state, own = network.state_dict(), model.state_dict()
    assert all((own[key] == array).all() for key, array in state.items() if not key.endswith("num_batches_tracked"))
    assert all(key.startswith("aux") for key in own if key not in state)
    assert {key for key, _ in network.named_parameters()} <= set(own)
    folded = from_onnx(to_onnx(model, shape, NEWEST, fold=True))
    check_equal(ours(folded, x), ours(model, x), 1e-5)


def test_an_import_is_exported_again():
    model, shape = small("resnet20")
    x = images(shape, 3)
    again = from_onnx(to_onnx(from_onnx(to_onnx(model, shape)), shape))
    check_equal(ours(again, x), ours(model, x), 1e-6)
    assert set(again.state_dict()) == set(model.state_dict())


def trained(model, x, labels):
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    model.train()
    losses = []
    for _ in range(6):
        loss = F.cross_entropy(model(Tensor(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_an_import_trains_as_the_original():
    model, shape = small("resnet20")
    x, labels = images(shape, 8), np.arange(8) % 10
    network = from_onnx(to_onnx(model, shape))
    losses = trained(network, x, labels)
    assert losses[-1] < 0.8 * losses[0]
    assert losses == pytest.approx(trained(model, x, labels), rel=1e-3)


def test_dropout_drops_in_training():
    proto = graph([node("Dropout")], opset=11)
    network, x = from_onnx(proto), images(PIXELS)
    assert (ours(network, x) == x).all()
    assert (network.train()(Tensor(x)).numpy() == 0).any()


def test_a_head_is_replaced():
    model, shape = small("resnet20")
    network = from_onnx(to_onnx(model, shape))
    network.heads = ("linear",)
    assert ours(zoo.replace_head(network, 3), images(shape)).shape == (2, 3)


def test_a_fixed_batch_is_free():
    """Reshapes to a shape with the number of images, which other programs write, do not hold it."""
    arrays = {"whole": np.array([1, 144]), "rest": np.array([1, -1])}
    for name in arrays:
        network = from_onnx(graph([node("Reshape", "x", name)], arrays, (1, *PIXELS)))
        assert ours(network, images(PIXELS, 3)).shape == (3, 144)


def test_weights_that_several_nodes_read_are_one():
    arrays = {"w": images((4, 1, 1), 4)}
    nodes = [node("Conv", "x", "w", out="a"), node("Conv", "a", "w")]
    network = from_onnx(graph(nodes, arrays))
    assert len(network.parameters()) == 1


def test_names_of_other_programs():
    arrays = {"conv1_w_0": images((4, 1, 1), 4), "deep.weight": images((4, 1, 1), 4), "forward": np.float32([2.0])}
    nodes = [node("Conv", "x", "conv1_w_0", out="a"), node("Conv", "a", "deep.weight", out="b"),
             node("Mul", "b", "forward")]
    network = from_onnx(graph(nodes, arrays))
    assert {name for name, _ in network.named_parameters()} == {"my_Conv.weight", "deep.weight", "forward_"}
    ours(network, images(PIXELS))


def test_constants_are_folded():
    arrays = {"a": np.array([2, 72]), "b": np.array([1]), "axis": np.array([0])}
    nodes = [node("Gather", "a", "b", out="c"), node("Neg", "b", out="d"), node("Concat", "d", "c", out="e", axis=0),
             node("Reshape", "x", "e")]
    network = from_onnx(graph(nodes, arrays))
    assert [step.node.kind for step in network.plan] == ["Reshape"]
    assert ours(network, images(PIXELS)).shape == (4, 72)


def test_the_shape_of_the_input_may_be_computed_with():
    nodes = [node("Shape", "x", out="s"), node("Gather", "s", "zero", out="n"), node("Unsqueeze", "n", "axis", out="m"),
             node("Concat", "m", "minus", out="t", axis=0), node("Reshape", "x", "t")]
    arrays = {"zero": np.array(0), "axis": np.array([0]), "minus": np.array([-1])}
    assert ours(from_onnx(graph(nodes, arrays)), images(PIXELS, 3)).shape == (3, 144)


def test_erf_and_resample_have_gradients():
    assert erf(np.float64([0.0, 1e-3, 0.5, -2.0])).numpy() == pytest.approx(
        [0.0, 0.0011283787909692363, 0.5204998778130465, -0.9953222650189527], abs=2e-8)
    check_gradients(erf, np.array([-1.5, 0.3, 2.0]))
    table = taps(4, 7, 1.75, "cubic", "half_pixel", "floor", -0.75)
    check_gradients(lambda x: resample(x, rows=table, columns=table), np.random.default_rng(0).random((1, 2, 4, 4)))


@pytest.mark.parametrize(("nodes", "words"), [
    ([node("LSTM", "x", "x", "x")], "'LSTM' of the node 'my_LSTM' is not supported; layers of CNNs are"),
    ([node("MaxPoll")], "'MaxPoll' of the node 'my_MaxPoll' is not supported; .*MaxPool"),
    ([node("LRN", size=4)], "LRN 'my_LRN': size 4 is not supported; odd sizes are"),
    ([helper.make_node("Relu", ["x"], ["y"], domain="com.example")], "domain 'com.example'"),
    ([node("Cast", to=TensorProto.FLOAT16)], "Cast 'my_Cast': the type number 10 is not supported"),
    ([node("Resize", "x", "", "s", antialias=1)], "antialias"),
])
def test_what_is_not_supported_is_refused_at_loading(nodes, words):
    arrays = {"s": np.float32([1, 1, 2, 2])}
    with pytest.raises(Unsupported, match=words):
        from_onnx(graph(nodes, arrays))


def many(count):
    return [node("Relu", f"v{i}" if i else "x", out=f"v{i + 1}") for i in range(count)] + [node("Relu", f"v{count}")]


def test_a_deep_graph_needs_no_recursion():
    assert ours(from_onnx(graph(many(3000))), images(PIXELS)).shape == (2, *PIXELS)


def huge(name, dims, raw=b"\0" * 8):
    return TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT, raw_data=raw)


def hostile(change):
    proto = graph([node("Relu", out="a"), node("Relu", "a")])
    change(proto.graph)
    return proto


@pytest.mark.parametrize(("change", "words"), [
    (lambda g: g.node[0].input.__setitem__(0, "y"), "in a cycle"),
    (lambda g: g.node[0].input.__setitem__(0, "nothing"), "reads 'nothing', which nothing makes"),
    (lambda g: g.node[1].output.__setitem__(0, "a"), "two nodes make the value 'a'"),
    (lambda g: g.output[0].__setattr__("name", "z"), "nothing makes the output 'z'"),
    (lambda g: g.initializer.append(huge("w", [1 << 20, 1 << 20, 1 << 20])), "has the shape .* and 2 elements"),
    (lambda g: g.initializer.append(huge("w", [-1, 2])), "has the shape"),
    (lambda g: g.initializer.extend([huge("w", [2])] * 2), "two initializers 'w'"),
])
def test_damaged_graphs(change, words):
    with pytest.raises(ValueError, match=words):
        from_onnx(hostile(change))


@pytest.mark.parametrize("nodes", [
    [node("Expand", "x", "big")],
    [node("Tile", "x", "big")],
    [node("Pad", "x", "pads")],
    [node("ConstantOfShape", "big", out="c"), node("Add", "x", "c")],
    [node("Range", "zero", "many", "one", out="r"), node("Cast", "r", out="f", to=1), node("Mul", "x", "f")],
    [node("Resize", "x", "", "scales")],
])
def test_no_room_is_made_for_what_no_network_needs(nodes):
    arrays = {"big": np.array([1 << 24, 4, 6, 6]), "pads": np.array([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20]),
              "zero": np.array(0), "many": np.array(1 << 40), "one": np.array(1),
              "scales": np.float32([1, 1, 1e6, 1e6])}
    with pytest.raises(ValueError, match=r"more than the 268,435,456 that one array may have|cannot be inferred"):
        from_onnx(graph(nodes, arrays))


def test_random_bytes_and_damage_give_errors_alone(tmp_path):
    model, shape = small("simple_cnn")
    content = to_onnx(model, shape).SerializeToString()
    rng, path = np.random.default_rng(0), tmp_path / "a.onnx"
    for i in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, 3000 if i % 2 else len(content), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[:rng.integers(1, len(content))] if i % 3 == 0 else damaged)
        with contextlib.suppress(ValueError, TypeError, IndexError):
            ours(io.load_onnx(path), images(shape, 1))


class TestExternalData:
    """Weights in files beside the model."""

    def saved(self, folder, location="weights.bin", **facts):
        model, _ = small("lenet5")
        proto = to_onnx(model, (1, 28, 28))
        tensor = proto.graph.initializer[0]
        (folder / "weights.bin").write_bytes(tensor.raw_data)
        entries = {"location": location, "offset": "0", "length": str(len(tensor.raw_data)), **facts}
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        (folder / "model.onnx").write_bytes(proto.SerializeToString())
        return model, folder / "model.onnx"

    def test_only_if_asked(self, tmp_path):
        model, path = self.saved(tmp_path)
        with pytest.raises(CheckpointError, match="external_data=True"):
            io.load_onnx(path)
        x = images((1, 28, 28))
        check_equal(ours(io.load_onnx(path, external_data=True), x), ours(model, x))

    @pytest.mark.parametrize(("facts", "words"), [
        ({"location": "../weights.bin"}, "not in the folder of the model"),
        ({"location": "/etc/passwd"}, "not in the folder of the model"),
        ({"location": "none.bin"}, "is not there"),
        ({"offset": "-4"}, "are not"),
        ({"offset": "4"}, "are not"),
        ({"length": "9999999999"}, "are not"),
        ({"length": "many"}, "no number"),
    ])
    def test_what_is_wrong(self, tmp_path, facts, words):
        inner = tmp_path / "inner"
        inner.mkdir()
        (tmp_path / "weights.bin").write_bytes(bytes(600))
        _, path = self.saved(inner, **facts)
        with pytest.raises(CheckpointError, match=words):
            io.load_onnx(path, external_data=True)

    @pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
    def test_a_link_leads_nowhere(self, tmp_path):
        inner = tmp_path / "inner"
        inner.mkdir()
        _, path = self.saved(inner)
        (inner / "weights.bin").rename(tmp_path / "weights.bin")
        (inner / "weights.bin").symlink_to(tmp_path / "weights.bin")
        with pytest.raises(CheckpointError, match="not in the folder"):
            io.load_onnx(path, external_data=True)


@pytest.fixture
def exported(tmp_path):
    """(network, path of its export)"""
    model, shape = small("simple_cnn")
    path = tmp_path / "model.onnx"
    io.export_onnx(model, path, shape, classes=list("abcdefghij"), mean=(0.13,), std=(0.31,))
    return model, path


def test_facts_come_back(exported):
    model, path = exported
    network = zoo.load(path)
    assert network.about == {"classes": list("abcdefghij"), "input": [1, 28, 28], "mean": [0.13], "std": [0.31]}
    x = images((1, 28, 28))
    check_equal(ours(network, x), ours(model, x))


def test_weights_go_into_a_network_of_the_zoo(exported):
    model, path = exported
    other = zoo.create("simple_cnn", pretrained=path).eval()
    x = images((1, 28, 28))
    check_equal(ours(other, x), ours(model, x))


def photograph(folder):
    from PIL import Image
    path = folder / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)).save(path)
    return str(path)


def test_commands_take_it_where_they_take_a_model(exported, tmp_path, capsys):
    model, path = exported
    picture = photograph(tmp_path)
    io.save_model(tmp_path / "model.safetensors", model, classes=list("abcdefghij"), input=(1, 28, 28), mean=(0.13,),
                  std=(0.31,))
    shown = []
    for file in (path, tmp_path / "model.safetensors"):
        assert main(["predict", picture, "--model", str(file), "--csv"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].split(",")[:7] == shown[1].split(",")[:7]
    assert main(["summary", str(path), "--input", "1,28,28"]) == 0
    assert "blocks.2.conv" in capsys.readouterr().out
    assert main(["draw", str(path), "-o", str(tmp_path / "a.svg")]) == 0
    assert "blocks.2.conv" in (tmp_path / "a.svg").read_text()
    assert main(["look", picture, "--model", str(path), "-o", str(tmp_path / "look")]) == 0
    assert (tmp_path / "look" / "grad_cam.png").exists()
    assert main(["export", str(path), "-o", str(tmp_path / "again.onnx"), "--fold"]) == 0
    assert main(["convert", str(path), "-o", str(tmp_path / "b.safetensors")]) == 0
    x = images((1, 28, 28))
    check_equal(ours(zoo.load(tmp_path / "b.safetensors"), x), ours(model, x))


def test_training_starts_from_it(exported, tmp_path):
    _, path = exported
    assert main(["train", "digits", "--model", "simple_cnn", "--pretrained", str(path), "--epochs", "1", "--limit",
                 "64", "--output-dir", str(tmp_path / "run")]) in (0, None)
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_a_network_that_takes_pixels_predicts(exported, tmp_path, capsys):
    model, path = exported
    picture = photograph(tmp_path)
    io.export_onnx(model, tmp_path / "pixels.onnx", (1, 28, 28), uint8=True, classes=list("abcdefghij"), mean=(0.13,),
                   std=(0.31,))
    shown = []
    for file in (path, tmp_path / "pixels.onnx"):
        assert main(["predict", picture, "--model", str(file)]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_a_layer_norm_and_a_fixed_size():
    """A network that is not for images, and one input that is not square."""
    network = from_onnx(to_onnx(settled(nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 2))), (4, 6, 6)))
    assert ours(network, images(PIXELS, 3)).shape == (3, 4, 6, 2)
