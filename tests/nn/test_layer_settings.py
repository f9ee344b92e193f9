"""Sizes and settings of layers: NumPy's numbers are stored as Python's, promote nothing, and can be saved."""

import copy
import json

import numpy as np
import pytest

import minidl.nn as nn
import zoo
from minidl import Tensor, io, manual_seed
from minidl.nn import init
from minidl.summary import summary

IMAGES = np.random.default_rng(0).standard_normal((2, 4, 6, 6)).astype(np.float32)
VECTORS = IMAGES[:, :, 0, 0]

LAYERS = {
    "Conv2d": lambda i, f: nn.Conv2d(i(4), i(2), i(3), i(2), i(1), i(1), i(2), np.True_),
    "Conv2d with pairs": lambda i, f: nn.Conv2d(i(4), i(2), (i(3), i(1)), [i(1), i(2)], (i(1), i(0))),
    "ConvTranspose2d": lambda i, f: nn.ConvTranspose2d(i(4), i(2), i(3), i(2), i(1), i(1), i(2), dilation=i(1)),
    "Linear": lambda i, f: nn.Linear(i(6), i(3)),
    "Dropout": lambda i, f: nn.Dropout(f(0.5)),
    "Dropout2d": lambda i, f: nn.Dropout2d(f(0.25)),
    "Upsample": lambda i, f: nn.Upsample(scale_factor=f(1.5), mode="bilinear"),
    "Upsample to a size": lambda i, f: nn.Upsample((i(3), i(4))),
    "Flatten": lambda i, f: nn.Flatten(i(1), i(2)),
    "BatchNorm2d": lambda i, f: nn.BatchNorm2d(i(4), f(0.125), f(0.25)),
    "BatchNorm1d": lambda i, f: nn.BatchNorm1d(i(4), f(0.125), f(0.25)),
    "LayerNorm": lambda i, f: nn.LayerNorm((i(6), i(6)), f(0.125)),
    "LayerNorm of one axis": lambda i, f: nn.LayerNorm(i(6), f(0.125)),
    "GroupNorm": lambda i, f: nn.GroupNorm(i(2), i(4), f(0.125)),
    "LocalResponseNorm": lambda i, f: nn.LocalResponseNorm(i(3), f(0.5), f(0.75), f(2)),
    "MaxPool2d": lambda i, f: nn.MaxPool2d(i(2), i(1), i(1), i(1), ceil_mode=np.True_),
    "AvgPool2d": lambda i, f: nn.AvgPool2d(i(2), i(1), i(1), np.True_, np.False_, i(3)),
    "AdaptiveAvgPool2d": lambda i, f: nn.AdaptiveAvgPool2d(i(2)),
    "AdaptiveMaxPool2d": lambda i, f: nn.AdaptiveMaxPool2d((i(2), None)),
    "LeakyReLU": lambda i, f: nn.LeakyReLU(f(0.25)),
    "ELU": lambda i, f: nn.ELU(f(0.5)),
    "Softplus": lambda i, f: nn.Softplus(f(2), f(8)),
    "Softmax": lambda i, f: nn.Softmax(i(1)),
}


def settings_of(layer):
    """The attributes that are no tensors."""
    return {key: value for key, value in vars(layer).items()
            if not key.startswith("built_") and not isinstance(value, Tensor | nn.Module)}


@pytest.mark.parametrize(("whole", "number"), [(np.int64, np.float64), (np.uint8, np.float32), (np.int32, np.float32)])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_with_numbers_of_numpy(name, whole, number):
    ours, plain = (manual_seed(0) or LAYERS[name](*kinds) for kinds in ((whole, number), (int, float)))
    assert repr(ours) == repr(plain)
    assert json.dumps(settings_of(ours)) == json.dumps(settings_of(plain))
    x = VECTORS if name == "BatchNorm1d" else IMAGES
    for mode in (True, False):
        results = []
        for layer in (ours.train(mode), plain.train(mode)):
            manual_seed(1)
            leaf = Tensor(x.copy(), requires_grad=True)
            out = layer(leaf)
            (out * out).sum().backward()
            results.append((out.data, leaf.grad))
            assert {a.dtype for a in results[-1]} == {np.dtype(np.float32)}
            assert all(t.dtype in (np.float32, np.int64) for t in layer.buffers())
        for mine, expected in zip(*results, strict=True):
            np.testing.assert_array_equal(mine, expected)


def test_sizes_and_settings_as_arrays_without_axes():
    layer = nn.Sequential(nn.Linear(np.array(3), np.array(2)), nn.BatchNorm1d(np.array(2), momentum=np.array(0.5)),
                          nn.Dropout(np.array(0.5)), nn.LayerNorm(np.array([2])), nn.LeakyReLU(np.array(0.5)))
    assert repr(layer[1]) == "BatchNorm1d(2, eps=1e-05, momentum=0.5, affine=True, track_running_stats=True)"
    assert layer(Tensor(np.ones((2, 3), np.float32))).dtype == np.float32
    assert (layer[2].p, layer[3].normalized_shape, layer[4].negative_slope) == (0.5, (2,), 0.5)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Linear("3", 2), "Linear: in_features='3' must be a whole number"),
    (lambda: nn.Linear(3, 2.0), "Linear: out_features=2.0 must be a whole number"),
    (lambda: nn.Linear(3, True), "Linear: out_features=True must be a whole number"),
    (lambda: nn.Conv2d(3, None, 1), "Conv2d: out_channels=None must be a whole number"),
    (lambda: nn.Conv2d(3, 4, 1, padding="full"), "Conv2d: padding='full' must be 'same', 'valid', a whole number"),
    (lambda: nn.Conv2d(3, 4, 1, groups=np.int64(2)), "Conv2d: groups=2 must divide in_channels=3"),
    (lambda: nn.BatchNorm2d(np.float32(3)), "BatchNorm2d: num_features=.* must be a whole number"),
    (lambda: nn.BatchNorm2d(3, eps="1e-5"), "BatchNorm2d: eps='1e-5' must be a finite number"),
    (lambda: nn.BatchNorm2d(3, momentum=1.5), "BatchNorm2d: momentum=1.5 must be a finite number from 0 to 1"),
    (lambda: nn.BatchNorm1d(3, momentum=True), "BatchNorm1d: momentum=True must be a finite number"),
    (lambda: nn.LayerNorm("6"), "LayerNorm: normalized_shape='6' must be a whole number"),
    (lambda: nn.GroupNorm(2, 4, None), "GroupNorm: eps=None must be a finite number"),
    (lambda: nn.LocalResponseNorm(3, alpha="x"), "LocalResponseNorm: alpha='x' must be a finite number"),
    (lambda: nn.Dropout(1.1), "Dropout: p=1.1 must be a finite number from 0 to 1"),
    (lambda: nn.Dropout2d("0.5"), "Dropout2d: p='0.5' must be a finite number from 0 to 1; convert text"),
    (lambda: nn.Dropout(None), "Dropout: p=None"),
    (lambda: nn.LeakyReLU("x"), "LeakyReLU: negative_slope='x'"),
    (lambda: nn.ELU(None), "ELU: alpha=None"),
    (lambda: nn.Softplus(beta="1"), "Softplus: beta='1'"),
    (lambda: nn.MaxPool2d(2, ceil_mode="yes"), "MaxPool2d: ceil_mode='yes' must be True or False"),
    (lambda: init.uniform((2, 2), "1"), "init: bound='1' must be a finite number"),
    (lambda: init.normal((2, 2), None), "init: deviation=None must be a finite number"),
    (lambda: init.xavier_uniform((2, 2), "1"), "init: gain='1' must be a finite number"),
    (lambda: init.kaiming_normal((2, 2), a="1"), "init: the negative slope='1' must be a finite number"),
])
def test_what_is_no_number_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("p", [0, 1, 1.0, np.float32(1)])
def test_a_dropout_of_nothing_and_of_everything(p):
    assert nn.Dropout(p).p == nn.Dropout2d(p).p == float(p)


def test_initial_weights_with_numbers_of_numpy():
    for make in (lambda f: init.kaiming_uniform((3, 2), f(0.5)), lambda f: init.xavier_normal((3, 2), f(1.5)),
                 lambda f: init.kaiming_normal((3, 2), f(0.1)), lambda f: init.uniform((3, 2), f(0.25))):
        plain, ours = (manual_seed(0) or make(f) for f in (float, np.float64))
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, plain)
    assert init.uniform(np.array([3, 2]), 1).shape == (3, 2)


def test_a_network_of_the_zoo_with_numbers_of_numpy(tmp_path):
    model = zoo.create("googlenet_cifar", num_classes=np.int64(3), aux_logits=np.False_)
    assert json.loads(json.dumps(model.architecture))["settings"]["num_classes"] == 3
    io.save_model(tmp_path / "model.safetensors", model)
    assert zoo.load(tmp_path / "model.safetensors").architecture == model.architecture
    assert summary(model, np.array([3, 32, 32])).parameters == sum(p.numel() for p in model.parameters())


def test_another_head_with_numbers_of_numpy(tmp_path):
    model = zoo.create("lenet5")
    twin = copy.copy(model)
    zoo.replace_head(model, np.int64(3))
    assert json.dumps(model.architecture["settings"]) == '{"in_channels": 1, "num_classes": 3}'
    assert twin.architecture["settings"]["num_classes"] == 10                # a shallow copy keeps its own
    io.save_model(tmp_path / "model.safetensors", model)
    assert zoo.load(tmp_path / "model.safetensors").state_dict().keys() == model.state_dict().keys()
    with pytest.raises(ValueError, match="replace_head: num_classes='3' must be a whole number"):
        zoo.replace_head(model, "3")
