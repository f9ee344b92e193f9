"""Captured steps of every network train with the bits of ordinary ones."""

import numpy as np
import pytest
from test_training import build, every_network

import minidl
from minidl import Tensor, kernels, optim
from minidl.train import loss_of

pytestmark = pytest.mark.skipif(kernels.host_backend() is kernels.plain, reason="array code is not captured")


def trained(name, graph, steps=6):
    """(losses, state, the step) after training on batches of four images, with dropout."""
    model, images, labels, lr = build(name)
    optimizer, loss_function = optim.SGD(model.parameters(), lr, momentum=0.9), loss_of(model)

    def step(images, labels):
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss
    step, losses = minidl.graphed(step) if graph else step, []
    for i in range(steps):
        half = slice(4 * (i % 2), 4 * (i % 2) + 4)
        losses.append(step(Tensor(images.data[half]), labels[half]).item())
    return losses, model.state_dict(), step


@every_network
def test_captured_steps_have_the_bits_of_ordinary_ones(name):
    ordinary, before, _ = trained(name, False)
    captured, after, step = trained(name, True)
    assert captured == ordinary
    assert [key for key in before if not np.array_equal(before[key], after[key], equal_nan=True)] == []
    assert step.given_up == ""
    assert step.graph.checked
