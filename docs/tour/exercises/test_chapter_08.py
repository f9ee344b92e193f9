"""How far you are with the exercises of chapter 8."""

import numpy as np
import pytest

import minidl
import minidl.functional as F
from minidl import Tensor, nn, optim
from minidl.summary import summary


def images(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(("inputs", "outputs", "stride", "parameters"), [
    (8, 8, 1, 2 * 8 * 8 * 9 + 2 * 16),
    (8, 16, 2, 8 * 16 * 9 + 16 * 16 * 9 + 8 * 16 + 3 * 32),
])
def test_residual(exercise, inputs, outputs, stride, parameters):
    block, x = exercise.Residual(inputs, outputs, stride), images(4, inputs, 10, 10)
    assert block(x).shape == (4, outputs, 10 // stride, 10 // stride)
    assert sum(p.numel() for p in block.parameters()) == parameters
    if inputs == outputs:
        np.testing.assert_allclose(block(x).data, F.relu(x).data, atol=1e-6)         # norm2's weight is 0


def test_residual_passes_gradients_through_many_blocks(exercise):
    x = Tensor(np.abs(images(4, 4, 6, 6).data), requires_grad=True)
    model = nn.Sequential(*[exercise.Residual(4, 4) for _ in range(30)])
    model(x).backward(np.ones(x.shape, np.float32))
    np.testing.assert_allclose(x.grad, 1, atol=1e-5)
    model[0].norm2.weight.data[...] = 1
    x.grad = None
    model(x).backward(images(*x.shape).data)
    assert all(p.grad is not None for p in model.parameters())
    assert np.abs(model[0].conv1.weight.grad).max() > 1e-4


@pytest.mark.parametrize(("inputs", "outputs", "expansion"), [(8, 8, 6), (8, 12, 6), (3, 5, 2)])
def test_inverted_residual(exercise, inputs, outputs, expansion):
    block = exercise.InvertedResidual(inputs, outputs, expansion)
    found = summary(block, (inputs, 10, 14))
    assert exercise.inverted_costs(inputs, outputs, expansion, 10, 14) == (found.parameters, found.multiply_adds)
    wide = expansion * inputs
    assert found.parameters == wide * (inputs + 9 + outputs) + 4 * wide + 2 * outputs
    x = images(2, inputs, 10, 14)
    out = block(x).data
    assert out.shape == (2, outputs, 10, 14)
    if inputs == outputs:                                  # the result of the last norm has mean 0 for each channel
        np.testing.assert_allclose((out - x.data).mean((0, 2, 3)), 0, atol=1e-4)
    assert (out < 0).any()


def test_adding_unet_learns_to_outline(exercise):
    """Mark the edges of discs under noise."""
    minidl.manual_seed(0)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24]
    centres, radii = rng.uniform(6, 18, (64, 2, 1, 1)), rng.uniform(3, 8, (64, 1, 1))
    distance = np.hypot(y - centres[:, 0], x - centres[:, 1]) - radii
    masks = (abs(distance) < 1).astype(np.int64)
    pictures = (masks + 0.3 * rng.standard_normal(masks.shape))[:, None].astype(np.float32)
    model = exercise.AddingUNet(8)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for step in range(60):
        batch = np.arange(16) + 16 * (step % 3)            # the last 16 are for the test
        loss = F.cross_entropy(model(Tensor(pictures[batch])), masks[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with minidl.no_grad():
        found = model(Tensor(pictures[48:])).data.argmax(1)
    truth = masks[48:]
    assert (found & truth).sum() / (found | truth).sum() > 0.75


def test_adding_unet_adds(exercise):
    """Parameters: with concatenation the convolutions on the way up would have twice the inputs."""
    found = summary(exercise.AddingUNet(4), (1, 16, 20))
    convolutions = 9 * (4 + 4 * 8 + 8 * 16 + 8 * 8 + 4 * 4)
    ups = 16 * 8 * 4 + 8 + 8 * 4 * 4 + 4
    norms_and_head = 2 * (4 + 8 + 16 + 8 + 4) + 4 * 2 + 2
    assert found.parameters == convolutions + ups + norms_and_head
    assert found.rows[-1].shape == (2, 16, 20)
