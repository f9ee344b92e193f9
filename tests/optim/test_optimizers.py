"""Optimizers against the formulas of their papers, in Python numbers, one weight at a time."""

import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor, optim
from minidl.device import CPU
from minidl.nn import Parameter
from minidl.testing.strategies import layouts, seeds


def sgd(x, grads, lr, momentum, weight_decay, nesterov=False, dampening=0.0):
    """The value of x after SGD steps with these gradients."""
    velocity = None
    for g in grads:
        g = g + weight_decay * x
        velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
        x = x - lr * (g + momentum * velocity if nesterov else velocity)
    return x


def adam(x, grads, lr, betas, eps, weight_decay, decoupled):
    """The value of x after steps of Adam, or of AdamW, with these gradients."""
    mean = square = 0.0
    for t, g in enumerate(grads, 1):
        if decoupled:
            x = x - lr * weight_decay * x
        else:
            g = g + weight_decay * x
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g * g
        x = x - lr * (mean / (1 - betas[0] ** t)) / (math.sqrt(square / (1 - betas[1] ** t)) + eps)
    return x


def nadam(x, grads, lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay):
    """The value of x after steps of NAdam with these gradients."""
    mean, square, product = 0.0, 0.0, 1.0
    for t, g in enumerate(grads, 1):
        if decoupled_weight_decay:
            x = x - lr * weight_decay * x
        else:
            g = g + weight_decay * x
        now, following = (betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product *= now
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g * g
        root = math.sqrt(square / (1 - betas[1] ** t)) + eps
        x = x - lr * ((1 - now) / (1 - product) * g + following / (1 - product * following) * mean) / root
    return x


def adagrad(x, grads, lr, lr_decay, weight_decay, initial_accumulator_value, eps):
    """The value of x after steps of Adagrad with these gradients."""
    square = initial_accumulator_value
    for t, g in enumerate(grads, 1):
        g = g + weight_decay * x
        square += g * g
        x = x - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(square) + eps)
    return x


def rmsprop(x, grads, lr, alpha, eps, weight_decay, momentum, centered):
    """The value of x after RMSprop steps with these gradients."""
    square = mean = velocity = 0.0
    for g in grads:
        g = g + weight_decay * x
        square = alpha * square + (1 - alpha) * g * g
        mean = alpha * mean + (1 - alpha) * g
        velocity = momentum * velocity + g / (math.sqrt(square - mean**2 if centered else square) + eps)
        x = x - lr * velocity
    return x


DECAYS = st.sampled_from([0, 0.1])
SGDS = st.one_of(
    st.builds(dict, lr=st.floats(0, 0.5), momentum=st.sampled_from([0.5, 0.9]), weight_decay=DECAYS,
              nesterov=st.booleans()),
    st.builds(dict, lr=st.floats(0, 0.5), momentum=st.just(0), weight_decay=DECAYS, nesterov=st.just(False)),
    st.builds(dict, lr=st.floats(0, 0.5), momentum=st.just(0.9), weight_decay=DECAYS, dampening=st.just(0.25)),
)
ADAMS = st.builds(dict, lr=st.floats(0, 0.5), betas=st.sampled_from([(0.9, 0.999), (0, 0.5), (0.5, 0)]),
                  eps=st.sampled_from([1e-8, 0.1]), weight_decay=DECAYS)
RMSPROPS = st.builds(dict, lr=st.floats(0, 0.5), alpha=st.sampled_from([0.5, 0.99]), eps=st.sampled_from([1e-3, 0.1]),
                     weight_decay=DECAYS, momentum=st.sampled_from([0, 0.9]), centered=st.booleans())
NADAMS = st.builds(dict, lr=st.floats(0, 0.5), betas=st.sampled_from([(0.9, 0.999), (0, 0.5), (0.5, 0)]),
                   eps=st.sampled_from([1e-8, 0.1]), weight_decay=DECAYS, momentum_decay=st.sampled_from([4e-3, 1]),
                   decoupled_weight_decay=st.booleans())
ADAGRADS = st.builds(dict, lr=st.floats(0, 0.5), lr_decay=st.sampled_from([0, 0.1]), weight_decay=DECAYS,
                     initial_accumulator_value=st.sampled_from([0, 0.5]), eps=st.sampled_from([1e-8, 0.1]))
CASES = st.one_of(
    st.tuples(st.just(optim.NAdam), NADAMS, st.just(nadam)),
    st.tuples(st.just(optim.Adagrad), ADAGRADS, st.just(adagrad)),
    st.tuples(st.just(optim.RMSprop), RMSPROPS, st.just(rmsprop)),
    st.tuples(st.just(optim.SGD), SGDS, st.just(sgd)),
    st.tuples(st.just(optim.Adam), ADAMS, st.just(partial(adam, decoupled=False))),
    st.tuples(st.just(optim.AdamW), ADAMS, st.just(partial(adam, decoupled=True))),
)


@given(case=CASES, layout=layouts, grad_layout=layouts, seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_steps_are_those_of_the_formula(case, layout, grad_layout, seed, dtype):
    optimizer_class, settings, reference = case
    rng = np.random.default_rng(seed)
    start, *grads = rng.standard_normal((5, 2, 3, 1, 2)).astype(dtype)
    p = Parameter(layout(start.copy()))
    array = p.data
    optimizer = optimizer_class([p], **settings)
    for grad in grads:
        p.grad = grad_layout(grad)
        optimizer.step()
        np.testing.assert_array_equal(p.grad, grad)             # not written to
    assert p.data is array
    assert array.dtype == dtype
    expected = [reference(float(x), map(float, g), **settings)
                for x, *g in zip(start.ravel(), *(g.ravel() for g in grads), strict=True)]
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(array.ravel(), expected, rtol=tolerance, atol=tolerance)


OPTIMIZERS = [
    lambda p: optim.SGD(p, 0.1),
    lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.01, nesterov=True),
    lambda p: optim.Adam(p, 0.1, weight_decay=0.01),
    lambda p: optim.AdamW(p, 0.1),
    lambda p: optim.SGD(p, 0.1, 0.9, dampening=0.5),
    lambda p: optim.NAdam(p, 0.1, weight_decay=0.01),
    lambda p: optim.Adagrad(p, 0.1, lr_decay=0.1, initial_accumulator_value=0.2),
    lambda p: optim.RMSprop(p, 0.1),
    lambda p: optim.RMSprop(p, 0.1, momentum=0.9, centered=True, weight_decay=0.01),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_state_has_the_memory_order_of_the_parameter(make):
    p = Parameter(np.zeros((2, 3, 4, 5), np.float32).transpose(3, 2, 0, 1))
    p.grad = np.ones(p.shape, np.float32)
    optimizer = make([p])
    optimizer.step()
    arrays = [a for a in optimizer.states[0].values() if isinstance(a, np.ndarray)]
    assert all(a.strides == p.data.strides and a.dtype == np.float32 for a in arrays)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_both_libraries_agree(make, xp):
    results = []
    for library in (np, xp):
        p = Parameter(library.asarray(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)))
        optimizer = make([p])
        for factor in (1.0, -0.5):
            p.grad = library.asarray(np.full((2, 3), factor, np.float32))
            optimizer.step()
        assert all(type(a) is np.ndarray for a in optimizer.state_dict()["arrays"].values())
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
        results.append(CPU.put(p.data))
    np.testing.assert_allclose(*results, rtol=1e-6)


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_weight_without_axes(make):
    p = Parameter(np.array(2.0, np.float32))
    optimizer = make([p])
    (p * p).backward()
    optimizer.step()
    assert p.data.shape == ()
    assert p.item() < 2
    p.data = p.data * 2                         # NumPy gives a scalar, which cannot be written into
    before = p.item()
    p.grad = np.ones((), np.float32)
    optimizer.step()
    assert p.item() < before


def test_each_parameter_counts_its_own_steps():
    """One that is unfrozen late starts like a new one."""
    late, early, new, old = (Parameter(np.ones(1, np.float32)) for _ in range(4))
    both, first, second = optim.Adam([late, early], 0.1), optim.Adam([new], 0.1), optim.Adam([old], 0.1)
    late.requires_grad = False
    for _ in range(3):
        early.grad = old.grad = np.ones(1, np.float32)
        both.step()
        second.step()
    assert late.item() == 1
    late.requires_grad = True
    for p in (late, early, new, old):
        p.grad = np.full(1, 0.3, np.float32)
    for optimizer in (both, first, second):
        optimizer.step()
    assert (late.item(), early.item()) == (new.item(), old.item())


def test_zero_grad():
    p, frozen = Parameter(np.ones(2, np.float32)), Parameter(np.ones(2, np.float32), requires_grad=False)
    p.grad = np.ones(2, np.float32)
    optim.SGD([p, frozen]).zero_grad()
    assert p.grad is None


def test_lr_is_an_attribute():
    p = Parameter(np.ones(1, np.float32))
    p.grad = np.ones(1, np.float32)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.lr = np.float64(0.25)
    optimizer.step()
    assert p.item() == 0.75
    assert p.dtype == np.float32


def trained(make, steps, state=None):
    """Two parameters after `steps` steps (from a saved state, if given), and the optimizer."""
    rng = np.random.default_rng(3)
    parameters = {name: Parameter(rng.standard_normal((3, 2)).astype("f").T) for name in ("a.weight", "b", "idle")}
    optimizer = make(parameters.items())
    if state is not None:
        values, saved = state
        for name, p in parameters.items():
            p.data[...] = values[name]
        optimizer.load_state_dict({"arrays": saved["arrays"], "numbers": json.loads(json.dumps(saved["numbers"]))})
    for _ in range(steps):
        for name in ("a.weight", "b"):
            parameters[name].grad = np.sin(parameters[name].data * 9)
        optimizer.step()
    return {name: p.data.copy() for name, p in parameters.items()}, optimizer


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_resumed_run_gives_the_same_bits(make):
    straight, _ = trained(make, 5)
    values, optimizer = trained(make, 2)
    optimizer.lr = 0.1
    state = optimizer.state_dict()
    assert all(type(a) is np.ndarray and a.flags.c_contiguous for a in state["arrays"].values())
    resumed, second = trained(make, 3, (values, state))
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name], array)
    assert second.state_dict()["numbers"]["steps"] == {"a.weight": 5, "b": 5}


def test_saved_arrays_are_named_after_parameters_and_copied():
    _, optimizer = trained(lambda p: optim.SGD(p, 0.1, 0.9), 1)
    state = optimizer.state_dict()
    assert list(state["arrays"]) == ["a.weight.velocity", "b.velocity"]
    before = state["arrays"]["b.velocity"].copy()
    optimizer.step()
    np.testing.assert_array_equal(state["arrays"]["b.velocity"], before)


def test_loading_brings_the_settings_back():
    _, saved = trained(lambda p: optim.Adam(p, 0.3, (0.8, 0.9), 1e-3, 0.2), 1)
    _, optimizer = trained(optim.Adam, 0)
    optimizer.load_state_dict(saved.state_dict())
    assert (optimizer.lr, optimizer.betas, optimizer.eps, optimizer.weight_decay) == (0.3, (0.8, 0.9), 1e-3, 0.2)


def test_a_state_that_does_not_fit_is_reported_in_full_and_changes_nothing():
    _, optimizer = trained(optim.Adam, 2)
    before = optimizer.state_dict()
    state = optimizer.state_dict()
    del state["arrays"]["b.mean"], state["numbers"]["settings"][0]["eps"]
    state["arrays"] |= {"b.square": np.ones(7), "c.mean": np.ones(1)}
    state["numbers"]["steps"]["d"] = 1
    state["numbers"]["settings"][0]["lr"] = 99
    with pytest.raises(ValueError, match="does not fit Adam") as error:
        optimizer.load_state_dict(state)
    for fault in ("b.mean is missing", "b.square has the shape (7,), not (2, 3)", "c.mean is unexpected",
                  "d is unexpected", "setting eps is missing"):
        assert fault in str(error.value)
    after = optimizer.state_dict()
    assert after["numbers"] == before["numbers"]
    for name, array in before["arrays"].items():
        np.testing.assert_array_equal(after["arrays"][name], array)


ONE = Parameter(np.ones(1, np.float32))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: optim.SGD([]), ValueError, "SGD: there are no parameters"),
    (lambda: optim.SGD(ONE), TypeError, "SGD: pass a list"),
    (lambda: optim.SGD([np.ones(1)]), TypeError, "SGD: 0 is not a parameter"),
    (lambda: optim.Adam([("w", Tensor(np.ones(1, int)))]), TypeError, "Adam: w is not a parameter"),
    (lambda: optim.Adam([ONE * 2]), TypeError, "not the output of an operation"),
    (lambda: optim.SGD(nn.Linear(1, 1)), TypeError, r"SGD: pass model\.parameters\(\), not the model"),
    (lambda: optim.SGD(0.1), TypeError, r"SGD: pass model\.parameters\(\) first, not 0.1"),
    (lambda: optim.ExponentialMovingAverage([ONE]), TypeError, "ExponentialMovingAverage: pass the model, not list"),
    (lambda: optim.clip_grad_norm_(nn.Linear(1, 1), 1.0), TypeError, r"clip_grad_norm_: pass model\.parameters\(\)"),
    (lambda: optim.SGD([ONE, ONE]), ValueError, "occurs twice"),
    (lambda: optim.SGD([ONE], lr=-1), ValueError, "SGD: lr=-1"),
    (lambda: optim.SGD([ONE], lr=math.nan), ValueError, "SGD: lr=nan"),
    (lambda: optim.SGD([ONE], momentum=-0.1), ValueError, "momentum=-0.1"),
    (lambda: optim.SGD([ONE], nesterov=True), ValueError, "nesterov=True needs"),
    (lambda: optim.AdamW([ONE], betas=(0.9, 1.0)), ValueError, r"AdamW: betas=\(0.9, 1.0\)"),
    (lambda: optim.Adam([ONE], betas=(0.9,)), ValueError, "betas="),
    (lambda: optim.Adam([ONE], eps=-1e-8), ValueError, "eps=-1e-08"),
    (lambda: optim.AdamW([ONE], weight_decay=-1), ValueError, "weight_decay=-1"),
    (lambda: optim.RMSprop([ONE], alpha=1), ValueError, "RMSprop: alpha=1"),
    (lambda: optim.SGD([ONE], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "and no dampening"),
    (lambda: optim.SGD([ONE], momentum=0.9, dampening=2), ValueError, "SGD: dampening=2"),
    (lambda: optim.NAdam([ONE], momentum_decay=-1), ValueError, "NAdam: momentum_decay=-1"),
    (lambda: optim.Adagrad([ONE], lr_decay=-1), ValueError, "Adagrad: lr_decay=-1"),
    (lambda: optim.RMSprop([ONE], momentum=-1), ValueError, "RMSprop: momentum=-1"),
    (lambda: optim.SGD([{"params": [ONE], "lr": -1}]), ValueError, "SGD: lr=-1"),
    (lambda: optim.SGD([{"params": [ONE], "rate": 1}]), ValueError,
     "SGD: a group has no setting rate; the settings are lr, momentum, dampening, weight_decay"),
    (lambda: optim.SGD([{"params": [ONE]}, {"params": ONE}]), ValueError, "occurs twice"),
    (lambda: optim.SGD([{"params": [ONE]}, ONE]), TypeError, 'every group must be a dictionary with "params"'),
    (lambda: optim.SGD([{"lr": 0.1}]), TypeError, 'every group must be a dictionary with "params"'),
    (lambda: optim.SGD([{"params": []}]), ValueError, "SGD: there are no parameters"),
])
def test_bad_settings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(("name", "settings"), [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.01, "momentum_decay": 0.5}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.01, "decoupled_weight_decay": True}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.01, "initial_accumulator_value": 0.3}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.8, "centered": True}),
])
def test_against_pytorch(name, settings):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, *grads = rng.standard_normal((8, 4, 3)).astype(np.float32)
    ours, theirs = Parameter(start.copy()), torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizers = getattr(optim, name)([ours], **settings), getattr(torch.optim, name)([theirs], **settings)
    for grad in grads:
        ours.grad, theirs.grad = grad, torch.from_numpy(grad)
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def two_layers():
    """A network of two layers with the same initial weights at each call."""
    minidl.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


def learn(model, optimizer, steps, before_step=lambda: None):
    """Steps on the same batches at each call."""
    rng = np.random.default_rng(1)
    for _ in range(steps):
        model.zero_grad()
        (model(Tensor(rng.standard_normal((5, 4)).astype("f"))) ** 2).sum().backward()
        before_step()
        optimizer.step()


def groups_of(model, **first):
    """The layers of `two_layers` as two groups, the first one with settings of its own."""
    named = list(model.named_parameters())
    return [{"params": named[:2], **first}, {"params": named[2:]}]


@pytest.mark.parametrize(("name", "settings", "first"), [
    ("SGD", {"lr": 0.1, "momentum": 0.9}, {"lr": 0.01, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1}, {"momentum": 0.5, "nesterov": True}),
    ("AdamW", {"lr": 0.1}, {"lr": 0.01, "betas": (0.5, 0.9), "weight_decay": 0.5}),
    ("RMSprop", {"lr": 0.01, "centered": True}, {"momentum": 0.9, "centered": False}),
])
def test_each_group_uses_its_own_settings(name, settings, first):
    """As two optimizers would, each with one group."""
    together, apart = two_layers(), two_layers()
    optimizer_class = getattr(optim, name)
    learn(together, optimizer_class(groups_of(together, **first), **settings), 3)
    one, two = (optimizer_class(layer.parameters(), **chosen)
                for layer, chosen in ((apart[0], settings | first), (apart[2], settings)))
    learn(apart, two, 3, one.step)
    for p, q in zip(together.parameters(), apart.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_attributes_read_the_first_group_and_set_all():
    optimizer = optim.SGD(groups_of(two_layers(), lr=0.3), 0.1)
    assert (optimizer.lr, [group["lr"] for group in optimizer.param_groups]) == (0.3, [0.3, 0.1])
    optimizer.lr = 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2]


@pytest.mark.parametrize("steps", [1, 3])
def test_groups_are_resumed_to_the_bit(steps):
    def run(model, count, state=None):
        optimizer = optim.Adam(groups_of(model, lr=0.02), 0.5)
        schedule = optim.StepLR(optimizer, 2)
        if state is not None:
            model.load_state_dict(state[0])
            schedule.load_state_dict(state[1])
            optimizer.load_state_dict(state[2])
        for _ in range(count):
            learn(model, optimizer, 1)
            schedule.step()
        return model.state_dict(), json.loads(json.dumps(schedule.state_dict())), optimizer.state_dict()

    straight, *_ = run(two_layers(), 5)
    resumed, *_ = run(two_layers(), 5 - steps, run(two_layers(), steps))
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name], array)


def test_a_state_of_other_groups_is_refused():
    model = two_layers()
    state = optim.SGD(groups_of(model)).state_dict()
    with pytest.raises(ValueError, match="it has 2 groups of parameters, not 1"):
        optim.SGD(model.named_parameters()).load_state_dict(state)


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_frozen_parameters_and_their_state_stay(make, layer):
    """Weight decay and velocity leave them alone, too; unfrozen, they continue from where they were."""
    model = two_layers()
    optimizer = make(model.named_parameters())
    learn(model, optimizer, 2)
    model[layer].requires_grad_(False)
    arrays = [p.data.copy() for p in model.parameters()]
    states = [{key: np.copy(value) for key, value in state.items()} for state in optimizer.states]
    learn(model, optimizer, 3)
    for name, p, state, array, before in zip(optimizer.names, model.parameters(), optimizer.states, arrays, states,
                                             strict=True):
        frozen = name.startswith(str(layer))
        assert np.array_equal(p.data, array) == frozen
        assert all(np.array_equal(state[key], value) == frozen for key, value in before.items())
        assert optimizer.state_dict()["numbers"]["steps"][name] == (2 if frozen else 5)
    model[layer].requires_grad_()
    learn(model, optimizer, 1)
    assert not any(np.array_equal(p.data, array) for p, array in zip(model.parameters(), arrays, strict=True))
    assert sorted(state["steps"] for state in optimizer.states) == [3, 3, 6, 6]


def test_a_frozen_batch_norm_in_eval_mode_does_not_change():
    """Neither its weights nor its running statistics change while the layer before it learns."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    optimizer = optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=0.1)
    norm = model[1].eval().requires_grad_(False)
    before, weight = norm.state_dict(), model[0].weight.data.copy()
    for _ in range(2):
        (model(Tensor(np.ones((3, 1, 2, 2), np.float32))) ** 2).sum().backward()
        optimizer.step()
    for name, array in norm.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not np.array_equal(model[0].weight.data, weight)


def test_a_parameter_may_get_a_new_array():
    """The optimizer caches the addresses of arrays; a parameter may get a new one, even in another memory order."""
    p, q = (Parameter(np.arange(6, dtype=np.float32).reshape(2, 3)) for _ in range(2))
    optimizer, other = optim.SGD([p], 0.5, 0.9), optim.SGD([q], 0.5, 0.9)
    for make in (np.copy, np.asfortranarray, np.ascontiguousarray):
        old, p.data = p.data, make(p.data)
        p.grad = q.grad = np.full((2, 3), 2, np.float32)
        kept = old.copy()
        optimizer.step()
        other.step()
        np.testing.assert_array_equal(p.data, q.data)
        if p.data is not old:
            np.testing.assert_array_equal(old, kept)


def test_momentum_set_after_some_steps():
    p = Parameter(np.zeros(1, np.float32))
    optimizer = optim.SGD([p], 1.0)
    for momentum in (0, 0.5, 0.5):
        optimizer.momentum = momentum
        p.grad = np.ones(1, np.float32)
        optimizer.step()
    assert p.item() == -(1 + 1 + 1.5)


def test_a_gradient_that_no_longer_fits_is_an_error():
    p = Parameter(np.zeros((2, 3), np.float32))
    p.grad = np.ones((2, 3), np.float32)
    p.data = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"SGD: 0 has the shape \(4, 3\), but its gradient \(2, 3\)"):
        optim.SGD([p], 0.1).step()


def test_one_clip_over_all_groups():
    """The norm is that of the gradients of all groups together."""
    model = two_layers()
    optimizer = optim.SGD(groups_of(model, lr=0.0), 1.0)
    before = [p.data.copy() for p in model.parameters()]
    learn(model, optimizer, 1, lambda: optim.clip_grad_norm_(optimizer.parameters, 0.1))
    grads = [p.grad for p in model.parameters()]
    assert math.sqrt(sum(float((g * g).sum()) for g in grads)) == pytest.approx(0.1, rel=1e-4)
    for p, old, grad, lr in zip(model.parameters(), before, grads, (0, 0, 1, 1), strict=True):
        np.testing.assert_allclose(p.data, old - lr * grad, rtol=1e-6)


def test_training_a_network_against_pytorch():
    """Layers, loss, clipping, optimizer and schedule together: after some steps the weights are still equal."""
    torch = pytest.importorskip("torch")

    def network(nn):
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                             nn.Conv2d(4, 3, (2, 1)), nn.Flatten(), nn.Linear(18, 5))

    ours, theirs = network(nn), network(torch.nn)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3, "nesterov": True}
    mine, other = optim.SGD(ours.parameters(), **settings), torch.optim.SGD(theirs.parameters(), **settings)
    schedule = optim.CosineAnnealingLR(mine, 8)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(other, 8)
    rng = np.random.default_rng(2)
    for _ in range(5):
        images, labels = rng.standard_normal((6, 1, 6, 7)).astype(np.float32), rng.integers(0, 5, 6)
        mine.zero_grad()
        other.zero_grad()
        F.cross_entropy(ours(Tensor(images)), labels).backward()
        torch.nn.functional.cross_entropy(theirs(torch.from_numpy(images)), torch.from_numpy(labels)).backward()
        optim.clip_grad_norm_(ours.parameters(), 1.0)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        for stepper in (mine, other, schedule, reference):
            stepper.step()
    for name, t in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], t.numpy(), rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("make", [make for make in OPTIMIZERS if not make([ONE]).weight_decay])
def test_without_weight_decay_an_infinite_weight_stays(make):
    """As in PyTorch: nothing is multiplied by a weight decay of 0."""
    p = Parameter(np.array([np.inf, -np.inf, 1], np.float32))
    p.grad = np.ones(3, np.float32)
    make([p]).step()
    np.testing.assert_array_equal(p.data[:2], [np.inf, -np.inf])
    assert p.data[2] < 1


def test_a_state_saved_before_there_was_dampening_is_loaded():
    p = Parameter(np.ones(2, np.float32))
    p.grad = np.ones(2, np.float32)
    optimizer = optim.SGD([p], 0.1, 0.9)
    optimizer.step()
    state = optimizer.state_dict()
    del state["numbers"]["settings"][0]["dampening"]
    optimizer.load_state_dict(state)
    assert optimizer.dampening == 0


def test_zero_grad_sets_gradients_to_none():
    optimizer = optim.SGD([Parameter(np.ones(2, np.float32))])
    optimizer.zero_grad(set_to_none=True)
    with pytest.raises(ValueError, match="set_to_none=False is not supported"):
        optimizer.zero_grad(set_to_none=False)
