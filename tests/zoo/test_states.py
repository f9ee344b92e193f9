"""Names, shapes and number of all weights, and the multiply-adds of an image."""

import inspect
import re

import numpy as np
import pytest
from states import read_states

import zoo
from minidl import nn
from minidl.nn import init
from minidl.summary import summary

STATES = read_states()
TRAINED = {                   # parameters, as given by papers, torchvision and others
    "lenet5": 61_706, "lenet5_1998": 60_000,
    "alexnet": 61_100_840, "alexnet_2012": 60_965_224, "zfnet": 62_357_608,
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840, "vgg13_bn": 133_053_736, "vgg16_bn": 138_365_992, "vgg19_bn": 143_678_248,
    "vgg16_bn_cifar": 14_728_266,
    "googlenet": 13_004_888, "googlenet_2014": 13_378_280,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "resnet18_cifar": 11_173_962, "resnet50_cifar": 23_520_842,
    "resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018, "resnet110": 1_727_962,
    "airbench94": 1_971_352, "mobilenet_v1": 4_231_976, "mobilenet_v2": 3_504_872,
}


@pytest.fixture(autouse=True)
def no_weights():
    """VGG-19 takes neither time nor memory."""
    with init.placeholders():
        yield


def sizes(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", STATES)
def test_names_and_shapes_are_those_of_the_published_weights(name):
    assert {key: array.shape for key, array in zoo.create(name).state_dict().items()} == STATES[name]


@pytest.mark.parametrize("name", STATES)
def test_the_table_matches_pytorch(name):
    torch = pytest.importorskip("torch")
    from torch_networks import build
    with torch.device("meta"):
        assert {key: tuple(tensor.shape) for key, tensor in build(name).state_dict().items()} == STATES[name]


@pytest.mark.parametrize("name", TRAINED)
def test_number_of_parameters(name):
    assert sizes(zoo.create(name)) == TRAINED[name]


@pytest.mark.parametrize("name", zoo.names())
def test_each_docstring_states_parameters_and_multiply_adds(name):
    factory, side = zoo.NETWORKS[name]
    stated = re.match(r"([\d,]+) parameters.*, ([\d,]+) multiply-adds for an image of (\d) x (\d+) x (\d+)\.",
                      inspect.getdoc(factory))
    parameters, multiply_adds, channels, height, width = (int(number.replace(",", "")) for number in stated.groups())
    table = summary(factory(), (channels, height, width))
    assert (table.parameters, table.multiply_adds) == (parameters, multiply_adds)
    assert height == width == side == zoo.image_size(name)


def test_number_of_parameters_without_auxiliary_heads():
    assert sizes(zoo.create("googlenet", aux_logits=False)) == 6_624_904
    assert sizes(zoo.create("googlenet_2014", aux_logits=False)) == 6_998_552


def test_mobilenet_multipliers():
    """Howard et al., tables 6 and 7: millions of parameters, and of multiply-adds, which the authors round down."""
    for width, side, parameters, multiply_adds in [(0.75, 224, 2.6, 325), (0.5, 224, 1.3, 149), (0.25, 224, 0.5, 41),
                                                   (1.0, 192, 4.2, 418), (1.0, 160, 4.2, 290), (1.0, 128, 4.2, 186)]:
        table = summary(zoo.create("mobilenet_v1", width=width), (3, side, side))
        assert round(table.parameters / 1e6, 1) == parameters
        assert table.multiply_adds // 10**6 == multiply_adds


def test_mobilenet_v2_widths():
    """Published parameter counts by width (Sandler et al., and the authors' list of models)."""
    for width, millions in [(1.4, 6.1), (0.75, 2.6), (0.5, 2.0), (0.35, 1.7)]:
        assert round(sizes(zoo.create("mobilenet_v2", width=width)) / 1e6, 1) == millions


@pytest.mark.parametrize("name", zoo.names())
def test_any_number_of_channels_and_classes(name):
    model = zoo.create(name, in_channels=2, num_classes=7).eval()
    table = summary(model, (2, zoo.image_size(name), zoo.image_size(name)))
    outputs = {row.shape[0] for row in table.rows if row.name in model.heads}
    assert outputs == {7}


@pytest.mark.parametrize("name", zoo.names())
def test_a_new_head_keeps_all_other_weights(name):
    model = zoo.create(name)
    before, training = model.state_dict(), dict(model.named_parameters())
    assert zoo.replace_head(model, 3) is model
    after = model.state_dict()
    assert list(after) == list(before)
    heads = tuple(f"{head}." for head in model.heads)
    for key in before:
        if key.startswith(heads):
            assert after[key].shape == (3, *before[key].shape[1:])
        else:
            assert after[key].shape == before[key].shape
    kept = {key: tensor for key, tensor in model.named_parameters() if not key.startswith(heads)}
    assert all(training[key] is tensor for key, tensor in kept.items())


def test_a_new_head_needs_the_attribute_heads():
    with pytest.raises(AttributeError, match="replace_head: Linear has no attribute `heads` to name its last layers"):
        zoo.replace_head(nn.Linear(3, 2), 5)


def test_a_new_head_has_the_device_dtype_and_mode_of_the_old():
    model = zoo.create("resnet20").to(dtype=np.float64).eval()
    zoo.replace_head(model, 3)
    assert model.linear.weight.dtype == model.linear.bias.dtype == np.float64
    assert not model.linear.training
