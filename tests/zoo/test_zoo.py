"""Every network: its size, that all of it learns, and that it can fit a few images by heart."""

import numpy as np
import pytest

import minidl.functional as F
import zoo
from minidl import Tensor, manual_seed, no_grad, optim
from minidl.summary import summary

SIZES = {"lenet5": (61_706, 416_520), "simple_cnn": (104_426, 7_462_656)}       # parameters, multiply-adds
IMAGES = np.random.default_rng(0).standard_normal((8, 1, 28, 28)).astype(np.float32)
LABELS = np.arange(8)


@pytest.fixture(params=zoo.names())
def model(request):
    """Each network in turn, always with the same weights."""
    manual_seed(1)
    return zoo.create(request.param)


def test_sizes_are_those_the_files_tell():
    assert sorted(SIZES) == sorted(zoo.names())
    for name, size in SIZES.items():
        table = summary(zoo.create(name), (1, 28, 28))
        assert (table.parameters, table.multiply_adds) == size


def test_every_parameter_gets_a_gradient(model):
    F.cross_entropy(model(Tensor(IMAGES)), LABELS).backward()
    for name, p in model.named_parameters():
        assert p.grad.any(), name


def test_it_learns_eight_images_by_heart(model):
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(IMAGES)), LABELS).backward()
        optimizer.step()
    with no_grad():
        assert (model(Tensor(IMAGES)).data.argmax(1) == LABELS).all()


def test_in_use_it_is_deterministic_and_knows_no_neighbours(model):
    model(Tensor(IMAGES))
    model.eval()
    with no_grad():
        out = model(Tensor(IMAGES)).data
        np.testing.assert_array_equal(model(Tensor(IMAGES)).data, out)
        np.testing.assert_allclose(model(Tensor(IMAGES[:1])).data, out[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", zoo.names())
def test_channels_and_classes_are_settings(name):
    model = zoo.create(name, in_channels=3, num_classes=4)
    assert model(Tensor(np.zeros((2, 3, 28, 28), np.float32))).shape == (2, 4)


def test_simple_cnn_for_other_sizes():
    model = zoo.simple_cnn(image_size=32, width=4)
    assert model(Tensor(np.zeros((2, 1, 32, 32), np.float32))).shape == (2, 10)
    with pytest.raises(ValueError, match="linear: x"):
        model(Tensor(IMAGES))


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(ValueError, match="no network 'lenet'; did you mean lenet5"):
        zoo.create("lenet")
    with pytest.raises(ValueError, match="there are lenet5, simple_cnn"):
        zoo.create("zzz")
