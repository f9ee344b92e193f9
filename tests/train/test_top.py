"""A new top for networks of the zoo: put in place, it gives what it gave on the features."""

import numpy as np
import pytest

import minidl
import zoo
from minidl import Tensor, io, nn, no_grad, train

SMALL = {"mobilenet_v1": {"width": 0.25}, "vgg11": {"width": 4, "hidden": 8},
         "mobilenet_v2": {"width": 0.25}}


@pytest.mark.parametrize("kind", train.TOPS)
@pytest.mark.parametrize("name", SMALL)
def test_features_and_top_are_the_whole(name, kind, tmp_path):
    model = train.without_top(zoo.create(name, **SMALL[name])).eval()
    x = Tensor(np.random.default_rng(0).random((2, 3, 64, 64)).astype(np.float32))
    seen = []
    model.avgpool.register_forward_hook(lambda layer, inputs, out: seen.append(out))
    with no_grad():
        model(x)
        top = train.new_top(seen[0].shape[1:], 1, kind, hidden=8).eval()
        apart = top(seen[0]).numpy()
        whole = train.with_top(model, top)(x).numpy()
    assert whole.shape == (2, 1)
    np.testing.assert_allclose(whole, apart, rtol=1e-4, atol=1e-5)
    io.save_model(tmp_path / "model.safetensors", model, classes=["cat", "dog"], input=(3, 64, 64))
    with no_grad():
        np.testing.assert_array_equal(zoo.load(tmp_path / "model.safetensors")(x).numpy(), whole)


def test_parts_below():
    assert train.parts_below(zoo.create("mobilenet_v1", width=0.25)) == ["conv1", *(f"blocks.{i}" for i in range(13))]
    assert train.parts_below(zoo.create("vgg11", width=4, hidden=8))[-2:] == ["features.16", "features.18"]
    with nn.init.placeholders():
        resnet = zoo.create("resnet18")
    assert train.parts_below(resnet)[:4] == ["conv1", "bn1", "layer1.0", "layer1.1"]


def test_bad_arguments():
    minidl.manual_seed(0)
    with pytest.raises(ValueError, match="LeNet5 has no avgpool followed by dense layers"):
        train.without_top(zoo.create("lenet5"))
    with pytest.raises(ValueError, match="kind='deep' is none of pooled, dense"):
        train.new_top((3, 2, 2), 1, "deep")
