"""Model files: the file alone rebuilds the network, and a forged file does no harm."""

import tracemalloc

import numpy as np
import pytest

import minidl.nn as nn
import zoo
from minidl import Tensor, no_grad
from minidl.io import CheckpointError, load_checkpoint, load_model, save_checkpoint, save_model
from minidl.io.model import ABOUT

ABOUT_CATS = {"classes": ["cat", "dog"], "input": [3, 28, 28], "resize": 30, "mean": [0.5] * 3, "std": [0.2] * 3}


class Own(nn.Module):
    """A network that is not in the zoo."""

    def __init__(self):
        self.fc = nn.Linear(2, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def test_file_alone_rebuilds_the_model(path):
    model = zoo.create("simple_cnn", in_channels=3, num_classes=2, width=4)
    model.blocks[0].norm.running_mean.data[...] = 0.5
    save_model(path, model, **ABOUT_CATS)
    again = zoo.load(path)
    assert again.architecture == model.architecture
    assert again.about == ABOUT_CATS
    assert not again.training
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 28, 28)).astype(np.float32))
    with no_grad():
        np.testing.assert_array_equal(again(x).numpy(), model.eval()(x).numpy())


def test_facts_are_carried_from_file_to_file(path, tmp_path):
    save_model(path, zoo.create("lenet5", num_classes=2), **ABOUT_CATS)
    model = zoo.load(path)
    save_model(tmp_path / "b", model, classes=("yes", "no"), resize=None)
    assert zoo.load(tmp_path / "b").about == {**ABOUT_CATS, "classes": ["yes", "no"]}
    assert set(ABOUT) == set(ABOUT_CATS)


def test_network_made_by_its_factory_can_be_rebuilt(path):
    from zoo.lenet import lenet5
    save_model(path, lenet5(3, num_classes=4))
    assert zoo.load(path).architecture == {"name": "lenet5", "settings": {"in_channels": 3, "num_classes": 4}}


def test_network_with_a_new_head_can_be_rebuilt(path):
    save_model(path, zoo.replace_head(zoo.create("resnet20"), 3))
    assert zoo.load(path).linear.weight.shape == (3, 64)


def test_custom_network_needs_create(path):
    model = Own()
    save_model(path, model)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: it is for 'test_model\.Own', which is not in the zoo; "
                                              r"load it with load_model\(path, create="):
        zoo.load(path)
    np.testing.assert_array_equal(load_model(path, create=Own).fc.weight.numpy(), model.fc.weight.numpy())


def test_weights_without_a_network_need_create(path):
    save_checkpoint(path, zoo.create("lenet5").state_dict())
    with pytest.raises(CheckpointError, match="it does not say which network it is for"):
        zoo.load(path)
    assert load_model(path, create=lambda: zoo.create("lenet5")).about == {}


def test_load_model_needs_a_way_to_make_the_network(path):
    save_model(path, zoo.create("lenet5"))
    with pytest.raises(TypeError, match=r"pass create=.*zoo\.load"):
        load_model(path)
    assert load_model(path, zoo.build).architecture["name"] == "lenet5"


def test_numbers_of_numpy_are_facts_too(path):
    model = zoo.create("lenet5", num_classes=2)
    save_model(path, model, classes=np.array(["cat", "dog"]), input=np.array([1, 28, 28]), resize=np.int64(30),
               mean=np.float32(0.5), std=[np.float64(0.25)])
    about = zoo.load(path).about
    assert about == {"classes": ["cat", "dog"], "input": [1, 28, 28], "resize": 30, "mean": [0.5], "std": [0.25]}


@pytest.mark.parametrize(("fact", "reason"), [
    ({"classes": {"a", "b"}}, "the fact 'classes' cannot be stored: .* is set"), ({"resize": object()}, "'resize'"),
    ({"classes": [b"a"]}, "'classes' cannot be stored: b'a' is bytes"), ({"input": 1j}, "'input'"),
])
def test_facts_that_json_cannot_hold_are_named(path, fact, reason):
    with pytest.raises(TypeError, match=reason):
        save_model(path, Own(), **fact)
    assert not path.exists()


@pytest.mark.parametrize(("fact", "reason"), [
    ({"mean": (123.675, 116.28, 103.53)}, r"mean is for pixels in 0\.\.1.*divided by 255 it is \(0\.485, 0\.456"),
    ({"std": (58.395, 57.12, 57.375)}, r"divided by 255 it is \(0\.229, 0\.224, 0\.225\)"),
    ({"input": (3, 8, 8), "mean": [0.5]}, "one finite number per channel, 3 in all"),
    ({"std": [float("nan")]}, "finite"), ({"classes": "abc"}, "classes are not a list of names"),
    ({"classes": [1, 2]}, "classes are not a list of names"), ({"input": (1, 28)}, "input shape is"),
    ({"input": 5, "mean": 0.5}, "input shape is 5"), ({"resize": float("nan")}, "resized to nan"),
    ({"mean": "a"}, "finite"), ({"resize": True}, "resized to True"), ({"resize": "30"}, "resized to '30'"),
])
def test_facts_that_do_not_fit_are_refused(path, fact, reason):
    with pytest.raises(ValueError, match=rf"save_model: .*{reason}"):
        save_model(path, Own(), **fact)
    assert not path.exists()


def test_unknown_fact_is_refused(path):
    with pytest.raises(TypeError, match="save_model: there is no clases; there are classes, input"):
        save_model(path, Own(), clases=["a"])
    assert not path.exists()


MADE = {
    "an unknown network": ({"name": "lenet6", "settings": {}}, "did you mean lenet5"),
    "a number for a name": ({"name": 3, "settings": {}}, "not in the zoo"),
    "a list for a name": ({"name": ["lenet5"], "settings": {}}, "not in the zoo"),
    "an unknown setting": ({"name": "lenet5", "settings": {"depth": 3}}, "no setting 'depth'"),
    "text for a number": ({"name": "lenet5", "settings": {"num_classes": "10"}}, "cannot be built"),
    "no name": ({"settings": {}}, "not in the zoo"),
    "no settings": ({"name": "lenet5"}, "not in the zoo"),
    "a module's name": ("os.system", "not in the zoo"),
    "another network": ({"name": "simple_cnn", "settings": {}}, "is missing"),
    "other settings": ({"name": "lenet5", "settings": {"num_classes": 11}}, "for 10 classes and the model is for 11"),
    "many classes": ({"name": "lenet5", "settings": {"num_classes": 1 << 20}}, "more than is allowed"),
    "very many classes": ({"name": "lenet5", "settings": {"num_classes": 1 << 40}}, "cannot be built"),
    "a great depth": ({"name": "simple_cnn", "settings": {"depth": 1 << 40}}, "cannot be built"),
    "a long list": ({"name": "simple_cnn", "settings": {"depth": [1 << 40]}}, "cannot be built"),
    "a list of lists": ({"name": "simple_cnn", "settings": {"depth": [[1]]}}, "cannot be built"),
    "a dictionary": ({"name": "simple_cnn", "settings": {"depth": {}}}, "cannot be built"),
    "a great width": ({"name": "simple_cnn", "settings": {"width": 5000}}, "more than is allowed"),
    "a width of infinity": ({"name": "mobilenet_v1", "settings": {"width": float("inf")}}, "cannot be built"),
    "a download": ({"name": "resnet18", "settings": {"pretrained": "resnet18"}}, "no setting 'pretrained'"),
}


@pytest.mark.parametrize(("made", "reason"), MADE.values(), ids=MADE)
def test_forged_architecture_is_refused_and_allocates_no_memory(path, made, reason):
    arrays = zoo.create("lenet5").state_dict()
    save_checkpoint(path, arrays, {"architecture": made})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"(?s)a\.safetensors: .*{reason}"):
            zoo.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("classes", ["abc", [1, 2], {"a": 1}, 3])
def test_classes_that_are_not_names_are_refused(path, classes):
    model = zoo.create("lenet5")
    save_checkpoint(path, model.state_dict(), {"architecture": model.architecture, "classes": classes})
    with pytest.raises(CheckpointError, match="classes are not a list of names"):
        zoo.load(path)


@pytest.mark.parametrize("shape", ["abc", [3], [1, 28, "28"], [1, 28, -1], [1, 28, float("nan")], [1, 28, 1 << 40], 3])
def test_shapes_that_are_not_are_refused(path, shape):
    model = zoo.create("lenet5")
    save_checkpoint(path, model.state_dict(), {"architecture": model.architecture, "input": shape})
    with pytest.raises(CheckpointError, match=r"its input shape is .*, not"):
        zoo.load(path)


def test_checkpoints_of_a_run_are_model_files(tmp_path):
    from minidl.data import drawn_digits
    from minidl.optim import SGD
    from minidl.train import fit
    model = zoo.create("lenet5")
    data = drawn_digits(8)
    fit(model, SGD(model.named_parameters(), 0.01), data, output_dir=tmp_path, epochs=1, batch_size=8, log_interval=0)
    for name in ("best", "last"):
        again = zoo.load(tmp_path / f"{name}.safetensors")
        assert again.about["classes"] == list("0123456789")
        assert again.about["input"] == [1, 28, 28]
    saved, _ = load_checkpoint(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(zoo.load(tmp_path / "best.safetensors").fc3.bias.numpy(), saved["fc3.bias"])
