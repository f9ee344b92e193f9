"""Whole networks through the emulated kernels: their training equals the CPU's, and takes few launches."""

import emulator
import numpy as np
import pytest
import strict_array
import strict_cuda

import minidl.functional as F
import zoo
from minidl import Tensor, graphed, manual_seed, optim
from minidl.kernels import using

NETWORKS = {                         # images of a step, and at most so many launches and new arrays of a step
    "lenet5": ((8, 1, 28, 28), 40, 80),
    "resnet20": ((4, 3, 12, 12), 250, 400),
}
TOLERANCES = {"float32": 1e-4, "float64": 1e-10}


def network(name, dtype):
    manual_seed(0)
    model = zoo.create(name)
    for tensor in model.parameters() + model.buffers():
        if tensor.dtype.kind == "f":
            tensor.data = tensor.data.astype(dtype)
    return model


def train(model, images, labels):
    """The loss of each step, and what the last step launched and allocated."""
    optimizer = optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    losses = []
    for x, y in zip(images, labels, strict=True):
        strict_cuda.launches.clear()
        arrays = emulator.Fence.made
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses, dict(strict_cuda.launches), emulator.Fence.made - arrays


@pytest.mark.parametrize("steps", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_training_equals_that_on_the_cpu(name, dtype, steps):
    shape, most_launches, most_arrays = NETWORKS[name]
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((steps, *shape)).astype(dtype), rng.integers(0, 10, (steps, shape[0]))
    here, there = network(name, dtype), network(name, dtype)
    for tensor in there.parameters() + there.buffers():
        tensor.data = strict_array.asarray(tensor.data)
    with using(winograd=False):                          # which is further from float64 than what is tested here
        losses, *_ = train(here, images, labels)
    strict_cuda.read_backs.clear()
    on_device = (list(map(strict_array.asarray, some)) for some in (images, labels))
    theirs, launches, arrays = train(there, *on_device)
    assert strict_cuda.read_backs == []
    np.testing.assert_allclose([x.item() for x in theirs], [x.item() for x in losses], rtol=TOLERANCES[dtype])
    for one, other in zip(here.parameters() + here.buffers(), there.parameters() + there.buffers(), strict=True):
        difference = np.linalg.norm(other.data.get() - one.data)
        assert difference <= TOLERANCES[dtype] * max(1, np.linalg.norm(one.data))
    print(name, sum(launches.values()), "launches", arrays, "arrays", launches)
    assert sum(launches.values()) < most_launches
    assert arrays < most_arrays


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_of_a_step_is_refused_by_a_capture(gpu, capsys, name):
    """The fourth step is a replay; its loss has the bits of the eager one."""
    shape, *_ = NETWORKS[name]
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((4, *shape)).astype(np.float32), rng.integers(0, 10, (4, shape[0]))
    losses = []
    for graph in (False, True):
        model = network(name, "float32").to("gpu")
        optimizer = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

        def step(x, y, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss
        step = graphed(step) if graph else step
        losses.append([step(Tensor(x, device="gpu"), Tensor(y, device="gpu")).item()
                       for x, y in zip(images, labels, strict=True)])
    assert losses[0] == losses[1]
    assert "graph: " not in capsys.readouterr().out
