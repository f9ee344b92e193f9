"""Copies of optimizers, averages and schedules train the copied parameters, in this process and in another one."""

import copy
import gc
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import strict_array

import minidl
import minidl.nn as nn
from minidl import Tensor, optim

ROOT = Path(__file__).parent.parent.parent
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.01, nesterov=True),
    "Adam": lambda p: optim.Adam(p, 0.1),
    "AdamW": lambda p: optim.AdamW(p, 0.1),
    "RMSprop": lambda p: optim.RMSprop(p, 0.1, momentum=0.9, centered=True),
}
X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
each = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def network():
    minidl.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


def learn(model, optimizer, steps=1):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(Tensor(X)) ** 2).sum().backward()
        optimizer.step()
    return model.state_dict()


def assert_same(state, other):
    for name, array in state.items():
        np.testing.assert_array_equal(array, other[name])


def pickled(things):
    return pickle.loads(pickle.dumps(things))


@each
@pytest.mark.parametrize("how", [copy.deepcopy, pickled])
def test_a_copy_with_its_model_goes_on_alone(make, how):
    model = network()
    optimizer = make(model.named_parameters())
    learn(model, optimizer, 2)
    twin, other = how((model, optimizer))
    assert other.parameters[0] is twin[0].weight
    before = model.state_dict()
    after = learn(twin, other, 2)
    assert_same(model.state_dict(), before)                     # the original did not move
    assert_same(learn(model, optimizer, 2), after)              # and the copy moved as the original does


@each
def test_a_copy_survives_the_original(make):
    model = network()
    optimizer = make(model.parameters())
    learn(model, optimizer)
    twin, other = copy.deepcopy((model, optimizer))
    expected = learn(model, optimizer, 2)
    del model, optimizer
    gc.collect()
    np.full(1000, np.nan)                                       # what reuses the memory must not matter
    assert_same(learn(twin, other, 2), expected)


@each
def test_an_optimizer_copied_alone_has_its_own_parameters(make):
    model = network()
    optimizer = make(model.parameters())
    learn(model, optimizer)
    before, other = model.state_dict(), copy.deepcopy(optimizer)
    for p in other.parameters:
        p.requires_grad = True
        p.grad = np.ones_like(p.data)
    kept = [p.data.copy() for p in other.parameters]
    other.step()
    assert_same(model.state_dict(), before)
    assert not any(np.array_equal(p.data, array) for p, array in zip(other.parameters, kept, strict=True))


def test_a_shallow_copy_trains_the_same_parameters():
    """As PyTorch's does: it shares the parameters, the groups and the state."""
    model, straight = network(), network()
    optimizer, expected = (optim.Adam(m.parameters(), 0.1) for m in (model, straight))
    learn(model, optimizer)
    learn(model, copy.copy(optimizer))
    assert_same(learn(model, optimizer), learn(straight, expected, 3))


ELSEWHERE = """
import pickle, sys
import numpy as np
from minidl import Tensor
with open(sys.argv[1], "rb") as file:
    model, optimizer, average, schedule, x = pickle.load(file)
for _ in range(2):
    optimizer.zero_grad()
    (model(Tensor(x)) ** 2).sum().backward()
    optimizer.step()
    average.update()
    schedule.step()
with open(sys.argv[2], "wb") as file:
    pickle.dump((model.state_dict(), average.state_dict()["arrays"], optimizer.lr), file)
"""


@each
def test_a_pickle_goes_on_in_another_process(make, tmp_path):
    model = network()
    optimizer = make(model.parameters())
    average = optim.ExponentialMovingAverage(model, 0.5)
    schedule = optim.LinearWarmup(optimizer, 2, after=optim.StepLR(optimizer, 1))
    learn(model, optimizer)
    average.update()
    (tmp_path / "in").write_bytes(pickle.dumps((model, optimizer, average, schedule, X)))
    subprocess.run([sys.executable, "-c", ELSEWHERE, tmp_path / "in", tmp_path / "out"], check=True, cwd=ROOT)
    for _ in range(2):
        learn(model, optimizer)
        average.update()
        schedule.step()
    state, averages, lr = pickle.loads((tmp_path / "out").read_bytes())
    assert lr == optimizer.lr
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(state[name], array, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(averages[name], average.averages[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", [copy.deepcopy, pickled])
def test_a_copied_average_belongs_to_the_copied_model(how):
    model = network()
    average = optim.ExponentialMovingAverage(model, 0.5)
    average.update()
    twin, other = how((model, average))
    kept = average.state_dict()["arrays"]
    for p in twin.parameters():
        p.data[...] = 7
    other.update()
    assert_same(average.state_dict()["arrays"], kept)
    for name, array in other.state_dict()["arrays"].items():
        np.testing.assert_allclose(array, (kept[name] + 7) / 2, rtol=1e-6)


def test_a_shallow_copy_of_an_average_has_its_own_averages():
    model = network()
    average = optim.ExponentialMovingAverage(model, 0.5)
    kept, other = average.state_dict()["arrays"], copy.copy(average)
    for p in model.parameters():
        p.data[...] = 7
    other.update()
    assert_same(average.state_dict()["arrays"], kept)


def test_copies_within_averaged():
    """The copied model keeps the averaged weights, and training it does not change either average."""
    model = network()
    average = optim.ExponentialMovingAverage(model, 0.5)
    learn(model, optim.SGD(model.parameters(), 0.1))
    average.update()
    kept = average.state_dict()["arrays"]
    with average.averaged():
        twin, other = copy.deepcopy((model, average))
    assert_same(twin.state_dict(), kept)
    learn(twin, optim.SGD(twin.parameters(), 0.1))
    assert_same(other.state_dict()["arrays"], kept)
    assert_same(average.state_dict()["arrays"], kept)
    other.update()
    with other.averaged():
        pass


def test_a_copied_schedule_sets_the_copied_optimizer():
    model = network()
    optimizer = optim.SGD(model.parameters(), 1.0)
    schedule = optim.LinearWarmup(optimizer, 2, after=optim.StepLR(optimizer, 1, 0.5))
    _, other, twin = copy.deepcopy((model, optimizer, schedule))
    assert twin.optimizer is other
    assert twin.after.optimizer is other
    for _ in range(4):
        twin.step()
    assert (other.lr, optimizer.lr) == (0.25, pytest.approx(1 / 3))


@each
def test_the_state_follows_a_model_that_moves(make):
    """To another dtype and back between steps, weights of one element included."""
    model = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 1))
    optimizer, average = make(model.parameters()), optim.ExponentialMovingAverage(model, 0.5)
    for dtype in (np.float32, np.float64, np.float32):
        model.to(dtype=dtype)
        for _ in range(2):
            optimizer.zero_grad()
            (model(Tensor(X.astype(dtype))) ** 2).sum().backward()
            optimizer.step()
            average.update()
        arrays = [a for state in optimizer.states for a in state.values() if isinstance(a, np.ndarray)]
        assert {a.dtype for a in [*arrays, *average.averages.values()]} == {np.dtype(dtype)}
        with average.averaged():
            assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}
    assert all(np.isfinite(p.data).all() for p in model.parameters())


def test_a_parameter_of_another_shape_is_an_error():
    model = nn.Linear(3, 2)
    optimizer, average = optim.SGD(model.parameters(), 0.1, 0.9), optim.ExponentialMovingAverage(model, 0.5)
    for array in (model.bias.data, np.zeros(5, np.float32)):
        model.zero_grad()
        model.bias.data = array
        model.bias.grad = np.ones_like(array)
        if len(array) == 2:
            optimizer.step()
            average.update()
    for act in (optimizer.step, average.update):
        with pytest.raises(ValueError, match=r"shape \(2,\) was kept for a parameter whose shape is now \(5,\)"):
            act()


@each
def test_the_state_follows_a_model_to_another_device_and_back(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_array)
    moving, still = (nn.Sequential(nn.Linear(4, 3)) for _ in range(2))
    still.load_state_dict(moving.state_dict())
    kinds = {"gpu": strict_array.ndarray, "cpu": np.ndarray}
    optimizer, expected = make(moving.parameters()), make(still.parameters())
    average = optim.ExponentialMovingAverage(moving, 0.5)
    for device in ("cpu", "gpu", "cpu"):
        moving.to(device)
        for model, stepper in ((moving, optimizer), (still, expected)):
            stepper.zero_grad()
            (model(Tensor(X, device=device if model is moving else "cpu")) ** 2).sum().backward()
            stepper.step()
        average.update()
        arrays = [a for state in optimizer.states for a in state.values() if not isinstance(a, int)]
        assert all(isinstance(a, kinds[device]) for a in [*arrays, *average.averages.values()])
    for name, array in still.state_dict().items():
        np.testing.assert_allclose(moving.state_dict()[name], array, rtol=1e-4, atol=1e-6)
