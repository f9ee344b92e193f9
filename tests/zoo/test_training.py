"""Every network trains: each parameter gets a gradient, and eight images can be overfitted, by narrow variants."""

import numpy as np
import pytest

import minidl.nn as nn
import zoo
from minidl import Tensor, manual_seed, no_grad, optim
from minidl.train import loss_of
from zoo.googlenet import GoogLeNetOutputs

ONE_OF_EACH_KIND = {          # a network for every kind of block; the full level trains the others too
    "lenet5", "simple_cnn", "alexnet_cifar", "vgg11_bn_cifar", "googlenet_cifar", "resnet18", "resnet20",
    "mobilenet_v2_cifar", "unet", "airbench94",
}
every_network = pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in ONE_OF_EACH_KIND else pytest.mark.slow) for name in zoo.names()])


def narrow(name):
    """(settings, side of the images, learning rate) that make the network `name` quick to train."""
    if name.startswith("lenet5") or name == "simple_cnn":
        return {}, 28, 3e-3
    if name == "unet":
        return {"base_channels": 4, "depth": 2, "padded": True, "batch_norm": True}, 32, 1e-2
    if name.startswith("mobilenet"):
        return {"width": 0.25}, 32, 3e-3
    if name.startswith("googlenet"):
        return {}, 16 if name == "googlenet_cifar" else 33, 5e-4
    if name.startswith(("alexnet", "zfnet")):
        return {"hidden": 64}, 16 if name.endswith("cifar") else 64, 1e-3
    if name.startswith("vgg"):              # dense weights of deviation 0.01 need many inputs, or activations vanish
        return {"width": 8} | ({} if name.endswith("cifar") else {"hidden": 2048}), 32, 5e-4
    return {"width": 8}, 16 if zoo.image_size(name) == 32 else 32, 3e-3


def build(name):
    """(narrow network, eight grey images, labels (for U-Net one per pixel), learning rate)"""
    settings, side, lr = narrow(name)
    manual_seed(1)
    model = zoo.create(name, in_channels=1, num_classes=2 if name == "unet" else 8, **settings)
    patches = np.random.default_rng(0).standard_normal((8, 1, 4, 4)).astype(np.float32)
    images = np.kron(patches, np.ones((-(-side // 4),) * 2, np.float32))[:, :, :side, :side]
    return model, Tensor(images), (images[:, 0] > 0).astype(int) if name == "unet" else np.arange(8), lr


@every_network
def test_every_parameter_gets_a_gradient_and_eight_images_are_overfitted(name):
    model, images, labels, lr = build(name)
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0                                            # it would prevent overfitting
    optimizer = optim.Adam(model.parameters(), lr=lr)
    for step in range(90):
        optimizer.zero_grad()
        outputs = model(images)
        loss_of(model)(outputs, labels).backward()
        if step == 0:
            assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
        if (outputs.data.argmax(1) == labels).all():
            return
        optimizer.step()
    pytest.fail(f"{(outputs.data.argmax(1) == labels).mean():.0%} accuracy after 90 steps")


@every_network
def test_inference_is_deterministic_independent_of_the_batch_and_survives_a_state_dict(name):
    model, images, _, _ = build(name)
    model(images)                                                    # gives batch norms statistics other than 0 and 1
    model.eval()
    before = model.state_dict()
    with no_grad():
        out = model(images).data
        np.testing.assert_array_equal(model(images).data, out)
        one = model(images[:1]).data
        np.testing.assert_allclose(one, out[:1], rtol=1e-4, atol=1e-4 * np.abs(out).max())
        assert all(np.array_equal(before[key], array) for key, array in model.state_dict().items())

        other, _, _, _ = build(name)
        for tensor in (*other.parameters(), *other.buffers()):
            tensor.data[...] = 0
        other.load_state_dict(before)
        np.testing.assert_array_equal(other.eval()(images).data, out)
        assert np.isfinite(model.train()(images).data).all()


def test_auxiliary_heads_in_training_only():
    model, images, labels, _ = build("googlenet")
    outputs = model(images)
    assert isinstance(outputs, GoogLeNetOutputs)
    assert [o.shape for o in outputs] == [(8, 8)] * 3
    assert outputs.data is outputs.logits.data
    top, high, low = (float(model.loss(o, labels)) for o in outputs)
    np.testing.assert_allclose(float(model.loss(outputs, labels)), top + 0.3 * (high + low), rtol=1e-5)
    assert isinstance(model.eval()(images), Tensor)
    assert isinstance(zoo.create("googlenet", aux_logits=False, in_channels=1)(images), Tensor)
