"""Networks by name, with other channels, classes and sizes, and errors for unsuitable input."""

import numpy as np
import pytest

import zoo
from minidl import Tensor, no_grad
from minidl.cli import main
from zoo.resnet import CifarResNet

SMALLEST = {                  # name: (settings, minimum side of an image)
    "airbench94": ({"width": 4}, 9),
    "alexnet": ({"hidden": 8}, 63),
    "alexnet_2012": ({"hidden": 8}, 63),
    "alexnet_cifar": ({"hidden": 8}, 15),
    "zfnet": ({"hidden": 8}, 47),
    "zfnet_cifar": ({"hidden": 8}, 8),
    "vgg11": ({"width": 4, "hidden": 8}, 32),
    "vgg16_bn_cifar": ({"width": 4}, 32),
    "googlenet": ({}, 15),
    "googlenet_2014": ({}, 31),
    "googlenet_cifar": ({}, 2),
}


def zeros(*shape):
    return Tensor(np.zeros(shape, np.float32))


def test_an_unknown_name_suggests_the_closest():
    with pytest.raises(ValueError, match="no network 'lenet'; did you mean lenet5"):
        zoo.create("lenet")
    with pytest.raises(ValueError, match="no network 'resnet51'; did you mean resnet5"):
        zoo.image_size("resnet51")
    with pytest.raises(ValueError, match="there are lenet5, lenet5_1998, simple_cnn, alexnet"):
        zoo.create("zzz")


def test_an_unknown_setting_suggests_the_closest():
    with pytest.raises(ValueError, match="resnet18 has no setting 'num_class'; did you mean num_classes"):
        zoo.create("resnet18", num_class=10)
    with pytest.raises(ValueError, match="lenet5 has no setting 'xyz'; there are in_channels, num_classes"):
        zoo.create("lenet5", xyz=1)


def test_summary_on_the_command_line(capsys):
    assert main(["summary", "resnet20", "--input", "1,32,32"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[1] == f"{269_722 - 2 * 16 * 9:,}"
    assert main(["summary", "vgg", "--input", "3,32,32"]) == 2
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.parametrize("name", SMALLEST)
def test_minimum_image_size(name):
    settings, smallest = SMALLEST[name]
    model = zoo.create(name, **settings).eval()
    kind = type(model).__name__
    with no_grad():
        assert model(zeros(1, 3, smallest, smallest + 1)).shape == (1, model(zeros(1, 3, 64, 64)).shape[1])
        with pytest.raises(ValueError, match=f"^{kind}: images must be at least {smallest} x {smallest} pixels"):
            model(zeros(1, 3, smallest, smallest - 1))
        model.smallest = 1
        with pytest.raises(ValueError, match="pool"):              # the stated minimum is tight
            model(zeros(1, 3, smallest - 1, smallest - 1))


@pytest.mark.parametrize("name", ["resnet18", "resnet18_cifar", "resnet20", "mobilenet_v1", "mobilenet_v2"])
def test_networks_that_accept_one_pixel_images(name):
    with no_grad():
        assert zoo.create(name, width=1, num_classes=5).eval()(zeros(2, 3, 1, 1)).shape == (2, 5)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "simple_cnn"])
def test_networks_with_a_fixed_image_size(name):
    with pytest.raises(ValueError, match="images must be 28 x 28 pixels, not 32 x 32"):
        zoo.create(name)(zeros(1, 1, 32, 32))


@pytest.mark.parametrize("name", [name for name in zoo.names() if name not in ("alexnet", "alexnet_2012", "zfnet")
                                  and not name.startswith("vgg")] + ["vgg11_cifar"])
def test_wrong_number_of_channels(name):
    side = zoo.image_size(name)
    with pytest.raises(ValueError, match=r"must be images \(N, 2, H, W\), not \(1, 4, "):
        zoo.create(name, in_channels=2)(zeros(1, 4, side, side))
    with pytest.raises(ValueError, match="must be images"):
        zoo.create(name, in_channels=2)(zeros(2, side, side))


def test_simple_cnn_with_other_widths_depths_and_sizes():
    assert zoo.simple_cnn(image_size=32, width=4)(zeros(2, 1, 32, 32)).shape == (2, 10)
    deep = zoo.simple_cnn(in_channels=3, image_size=32, width=2, depth=5, num_classes=7)
    assert deep(zeros(2, 3, 32, 32)).shape == (2, 7)
    assert [block.conv.weight.shape[0] for block in deep.blocks] == [2, 4, 8, 16, 32]
    with pytest.raises(ValueError, match=r"depth=5 blocks leave no pixels of 28 x 28 images; .* least 32 x 32"):
        zoo.simple_cnn(depth=5)


def test_the_papers_unet_returns_184_pixels_less_than_its_input():
    model = zoo.unet(base_channels=1)
    with no_grad():
        assert model(zeros(1, 1, 572, 188)).shape == (1, 2, 388, 4)
        for side in (172, 187, 189, 196):
            with pytest.raises(ValueError, match=rf"one of 188, 204, 220, \.\.\., not {side} and 204"):
                model(zeros(1, 1, side, 204))


@pytest.mark.parametrize(("depth", "smallest", "left"), [(1, 18, 2), (2, 44, 4), (3, 92, 4)])
def test_unet_with_other_depths(depth, smallest, left):
    model = zoo.unet(base_channels=1, depth=depth)
    assert model(zeros(1, 1, smallest, smallest + 2**depth)).shape == (1, 2, left, left + 2**depth)
    with pytest.raises(ValueError, match=f"one of {smallest}, "):
        model(zeros(1, 1, smallest - 2**depth, smallest))


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_padded_unet_keeps_the_image_size(bilinear, batch_norm):
    model = zoo.unet(3, 4, base_channels=2, depth=2, padded=True, bilinear=bilinear, batch_norm=batch_norm)
    assert model(zeros(2, 3, 8, 12)).shape == (2, 4, 8, 12)
    with pytest.raises(ValueError, match=r"one of 4, 8, 12, \.\.\., not 10 and 12"):
        model(zeros(2, 3, 10, 12))
    with pytest.raises(ValueError, match="depth=0"):
        zoo.unet(depth=0)


def test_invalid_settings():
    with pytest.raises(ValueError, match="transform_input needs the three colour channels"):
        zoo.create("googlenet", in_channels=1, transform_input=True)
    with pytest.raises(ValueError, match="depth=21 is not 6n"):
        CifarResNet(21, 3, 10)
