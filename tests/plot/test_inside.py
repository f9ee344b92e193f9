"""Filters, feature maps and Grad-CAM against values computed by hand; looking changes nothing."""

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
import zoo
from minidl import Tensor, no_grad, plot
from minidl.cli import main
from minidl.io import save_model
from minidl.io.image import read_image


class Hand(nn.Module):
    """Two maps, x and -2x, whose means have the weights 3 and 1 for class 0, and -1 and 0.5 for class 1."""

    def __init__(self):
        self.maps, self.fc = nn.Conv2d(1, 2, 1, bias=False), nn.Linear(2, 2, bias=False)
        self.unused = nn.Conv2d(1, 1, 1)
        self.maps.weight.data[:, 0, 0, 0] = 1, -2
        self.fc.weight.data[...] = [[3, 1], [-1, 0.5]]

    def forward(self, x):
        return self.fc(self.maps(x).mean((2, 3)))


def image(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("wrap", [np.asarray, Tensor, lambda x: x[None]])
def test_grad_cam_by_hand(wrap):
    x = image(1, 4, 6)
    for target, slope in ((0, 3 - 2), (1, -1 - 1)):                  # relu(sum of slope_k / 24 * A_k)
        picture = plot.grad_cam(Hand(), wrap(x), "maps", target)
        np.testing.assert_allclose(picture.values, np.maximum(0, slope * x[0] / 24), rtol=1e-5, atol=1e-7)
    predicted = 0 if x.mean() > 0 else 1
    np.testing.assert_array_equal(plot.grad_cam(Hand(), x).values, plot.grad_cam(Hand(), x, "maps", predicted).values)


def test_grad_cam_resizes_small_maps_to_the_image_and_sums_over_pixels():
    model = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 1))
    model[1].weight.data[:, 0, 0, 0] = 2, -1
    x = np.abs(image(1, 4, 6))
    with no_grad():
        resized = F.interpolate(F.avg_pool2d(Tensor(x[None]), 2), (4, 6), mode="bilinear").numpy()[0, 0]
    np.testing.assert_allclose(plot.grad_cam(model, x, "0", 0).values, 2 * resized, rtol=1e-5)
    assert not plot.grad_cam(model, x, "0", 1).values.any()


@pytest.mark.parametrize(("name", "settings", "layer", "shape"), [
    ("lenet5", {}, "conv2", (1, 28, 28)),
    ("resnet20", {"width": 4}, "layer2.1", (3, 32, 32)),
    ("googlenet", {}, "inception3a", (3, 32, 32)),
    ("mobilenet_v2", {"width": 0.25}, "features.3.conv", (3, 64, 64)),
    ("unet", {"base_channels": 2, "depth": 1}, "bottom", (1, 18, 18)),
])
def test_networks_of_the_zoo_are_left_unchanged(name, settings, layer, shape):
    model = zoo.create(name, **settings).train()
    for p in model.parameters():
        p.grad = np.ones(p.shape, np.float32)
    model.parameters()[0].requires_grad = False
    before, gradients = model.state_dict(), [p.grad for p in model.parameters()]
    attributes = [dict(vars(module)) for _, module in model.named_modules()]
    x = image(*shape)
    assert plot.grad_cam(model, x).values.shape == shape[1:]
    if name != "mobilenet_v2":                                       # its blocks call the layers of `conv` one by one
        assert plot.grad_cam(model, x, layer).values.min() >= 0
        assert plot.feature_maps(model, x, layer).values.ndim == 3
    else:
        with pytest.raises(ValueError, match="is not called"):
            plot.grad_cam(model, x, layer)
    assert plot.filters(model).values.ndim == 4
    assert [dict(vars(module)) for _, module in model.named_modules()] == attributes
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_feature_maps_are_what_the_layer_gives():
    model, x = zoo.create("simple_cnn", width=3).eval(), image(1, 28, 28)
    with no_grad():
        first = model.blocks[0](Tensor(x[None]))
        expected = model.blocks[1].norm(model.blocks[1].conv(first), relu=True).numpy()[0]
    np.testing.assert_array_equal(plot.feature_maps(model, x, "blocks.1.norm").values, expected)
    np.testing.assert_array_equal(plot.feature_maps(model, x, "blocks.0").values, first.numpy()[0])


def test_each_layer_of_a_sequential_can_be_looked_at():
    """Even a ReLU that is otherwise fused into the convolution."""
    model, x = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1)), image(1, 4, 6)
    with no_grad():
        first = model[0](Tensor(x[None])).numpy()[0]
    np.testing.assert_array_equal(plot.feature_maps(model, x, "0").values, first)
    np.testing.assert_array_equal(plot.feature_maps(model, x, "1").values, np.maximum(first, 0))


def test_filters_are_the_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.Conv2d(3, 5, 3), nn.Conv2d(2, 40, (1, 2)))
    np.testing.assert_array_equal(plot.filters(model).values, model[1].weight.data)
    np.testing.assert_array_equal(plot.filters(model, "2").values, model[2].weight.data)
    model[1].weight.data[...] = 0
    sheet = plot.filters(model).figure.axes[0].images[0].get_array()
    assert sheet.shape == (7, 11, 3)                                 # two rows of three tiles, with lines between
    assert (sheet[:3, :3] == 0.5).all()
    assert (sheet[3] == 1).all()
    assert (sheet[4:, 8:] == 1).all()


def test_bad_input(tmp_path):
    model, x = Hand(), image(1, 4, 4)
    for function in (plot.grad_cam, plot.feature_maps):
        name = function.__name__
        with pytest.raises(ValueError, match=f"^{name}: there is no layer 'map'; did you mean maps"):
            function(model, x, "map")
        with pytest.raises(ValueError, match=f"^{name}: the layer 'unused' is not called"):
            function(model, x, "unused")
        with pytest.raises(ValueError, match=rf"^{name}: the layer 'fc' gives \(1, 2\)"):
            function(model, x, "fc")
        with pytest.raises(ValueError, match=f"^{name}: x must be one image"):
            function(model, image(2, 1, 4, 4), "maps")
    with pytest.raises(ValueError, match="there is no layer 'zzz'; the layers are maps"):
        plot.filters(model, "zzz")
    for target in (2, -1):
        with pytest.raises(ValueError, match=f"target={target} is not a class; the classes are 0 to 1"):
            plot.grad_cam(model, x, "maps", target)
    with pytest.raises(ValueError, match="Linear has no layer with filters"):
        plot.filters(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="no layer of Hand gives maps"):
        plot.grad_cam(model, image(1, 1, 1))


def test_on_the_command_line(tmp_path, capsys):
    from PIL import Image

    model, photo = str(tmp_path / "m.safetensors"), str(tmp_path / "x.png")
    save_model(model, zoo.create("simple_cnn", width=2), input=(1, 28, 28), classes=[str(i) for i in range(10)])
    Image.fromarray(np.arange(900, dtype=np.uint8).reshape(30, 30)).save(photo)
    assert main(["look", photo, "--model", model, "-o", str(tmp_path / "out")]) == 0
    for name in ("filters.png", "maps.png", "grad_cam.png"):
        assert min(read_image(tmp_path / "out" / name).size) > 100
    assert main(["look", photo, "--model", model, "-o", str(tmp_path / "out"), "--layer", "block"]) == 2
    assert "look: --layer block: there is no such layer; did you mean blocks" in capsys.readouterr().err
    assert main(["look", photo, "--model", model, "-o", str(tmp_path / "out"), "--target", "10"]) == 2
    assert "look: --target 10 is not a class; the classes are 0 to 9" in capsys.readouterr().err
    assert main(["draw", model, "-o", str(tmp_path / "m.svg")]) == 0
    assert "simple_cnn" in (tmp_path / "m.svg").read_text()
