"""The moving average of the weights: its formula, its use by the model, and resuming."""

import contextlib
import json

import numpy as np
import pytest

import minidl.nn as nn
from minidl import Tensor
from minidl.device import CPU
from minidl.optim import ExponentialMovingAverage, Lookahead


def network():
    """Weights in two memory orders, and buffers."""
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3))


def moved(model, seed):
    """Give every parameter and buffer of the model new values."""
    rng = np.random.default_rng(seed)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dtype.kind == "f":
            tensor.data[...] = rng.random(tensor.shape)
    return [p.data.copy() for p in model.parameters()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("warmup", [False, True])
def test_the_formula(dtype, warmup):
    model = network().to(dtype=dtype)
    expected = moved(model, 0)
    average = ExponentialMovingAverage(model, 0.3, warmup=warmup)
    for n in range(4):
        decay = min(0.3, (1 + n) / (10 + n)) if warmup else 0.3
        expected = [decay * a + (1 - decay) * x for a, x in zip(expected, moved(model, n + 1), strict=True)]
        average.update()
    with average.averaged():
        for p, a in zip(model.parameters(), expected, strict=True):
            assert p.dtype == dtype
            np.testing.assert_allclose(p.data, a, rtol=1e-5)


def test_both_libraries_agree(xp):
    class Model(nn.Module):
        def __init__(self, library):
            self.weight = nn.Parameter(library.asarray(np.arange(6, dtype=np.float32).reshape(2, 3)))

    results = []
    for library in (np, xp):
        model = Model(library)
        average = ExponentialMovingAverage(model, 0.9)
        model.weight.data = model.weight.data * 3
        average.update()
        results.append(average.state_dict()["arrays"]["weight"])
    np.testing.assert_allclose(*results, rtol=1e-6)
    assert type(CPU.put(results[1])) is np.ndarray


def test_the_model_gets_its_own_weights_back():
    model = network()
    own = [p.data for p in model.parameters()]
    average = ExponentialMovingAverage(model)
    values = moved(model, 1)
    running = model[1].running_mean.data.copy()
    with contextlib.suppress(KeyError), average.averaged():
        np.testing.assert_array_equal(model[1].running_mean.data, running)              # its own, not an average
        assert not np.array_equal(model[0].weight.data, values[0])
        raise KeyError
    for p, array, value in zip(model.parameters(), own, values, strict=True):
        assert p.data is array
        np.testing.assert_array_equal(array, value)
    model(Tensor(np.ones((2, 2, 3, 3), np.float32))).sum().backward()                  # gradients reach the weights


def test_resuming_from_a_state():
    model = network()
    moved(model, 0)
    straight, first, second = (ExponentialMovingAverage(model, 0.9, warmup=True) for _ in range(3))
    for n in range(5):
        moved(model, n)
        straight.update()
        if n < 2:
            first.update()
        elif n == 2:
            state = first.state_dict()
            second.load_state_dict({"arrays": state["arrays"], "numbers": json.loads(json.dumps(state["numbers"]))})
        if n >= 2:
            second.update()
    for name, array in straight.state_dict()["arrays"].items():
        np.testing.assert_array_equal(second.state_dict()["arrays"][name], array)
    assert second.updates == 5


def test_misuse_is_named():
    model = network()
    for decay in (-0.1, 1.1, float("nan"), "0.9", None, True):
        with pytest.raises(ValueError, match="decay="):
            ExponentialMovingAverage(model, decay)
    with pytest.raises(ValueError, match="no parameters"):
        ExponentialMovingAverage(nn.ReLU())
    average = ExponentialMovingAverage(model)
    with average.averaged():
        with pytest.raises(RuntimeError, match="update"):
            average.update()
        with pytest.raises(RuntimeError, match="already"), average.averaged():
            pass
    state = average.state_dict()
    state["arrays"]["0.bias"] = np.ones(7)
    state["arrays"]["2.bias"] = state["arrays"].pop("0.weight")
    with pytest.raises(ValueError, match="does not fit the model") as error:
        average.load_state_dict(state)
    for fault in ("0.weight is missing", "2.bias is unexpected", "0.bias has the shape (7,), not (3,)"):
        assert fault in str(error.value)


@pytest.mark.parametrize("alpha", [0.3, lambda n: 1 / n if n else 1.0])
def test_lookahead(alpha):
    """Every two steps the slow weights move, and the model, its running means included, gets them."""
    model = network()
    lookahead = Lookahead(model, 2, alpha)
    tensors = [t for t in (*model.parameters(), *model.buffers()) if t.dtype.kind == "f"]
    slow = [t.data.copy() for t in tensors]
    for n in range(1, 7):
        moved(model, n)
        fast = [t.data.copy() for t in tensors]
        lookahead.update()
        if n % 2 == 0:
            part = alpha(n) if callable(alpha) else alpha
            slow = fast = [s + part * (f - s) for s, f in zip(slow, fast, strict=True)]
        for t, f in zip(tensors, fast, strict=True):
            np.testing.assert_allclose(t.data, f, rtol=1e-5)
        with lookahead.averaged():
            for t, s in zip(tensors, slow, strict=True):
                np.testing.assert_allclose(t.data, s, rtol=1e-5)
    again = Lookahead(network(), 2, alpha)
    again.load_state_dict(lookahead.state_dict())
    for name, array in lookahead.state_dict()["arrays"].items():
        np.testing.assert_array_equal(again.state_dict()["arrays"][name], array)
    assert again.updates == 6


def test_lookahead_is_plain_training_or_an_average_of_the_start():
    """With alpha=1 nothing changes; with alpha=0 the model returns to its initial weights."""
    for alpha in (1, 0):
        model = network()
        first = [p.data.copy() for p in model.parameters()]
        lookahead = Lookahead(model, 1, alpha)
        own = moved(model, 3)
        lookahead.update()
        for p, array in zip(model.parameters(), own if alpha else first, strict=True):
            np.testing.assert_allclose(p.data, array, rtol=1e-5)


def test_misuse_of_lookahead_is_named():
    model = network()
    with pytest.raises(ValueError, match="Lookahead: steps=0"):
        Lookahead(model, 0)
    for alpha in (1.5, lambda n: 2, "0.5", None):
        with pytest.raises(ValueError, match="Lookahead: alpha="):
            Lookahead(model, 5, alpha)
    with pytest.raises(TypeError, match="Lookahead: pass the model, not list"):
        Lookahead(model.parameters())
    assert repr(Lookahead(model)) == "Lookahead(steps=5, alpha=0.5)"
    assert repr(Lookahead(model, 3, lambda n: 1)) == "Lookahead(steps=3, alpha=a function)"
