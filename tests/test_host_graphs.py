"""Captured steps on the CPU: they repeat with the bits of ordinary ones, and what cannot be repeated stays ordinary."""

import itertools

import numba
import numpy as np
import pytest
import toy_run

import minidl
import minidl.functional as F
from minidl import Tensor, nn, optim
from minidl.graphs import Graphed
from minidl.traced import Traced

if numba.config.DISABLE_JIT:
    pytest.skip("the cpu backend is compiled", allow_module_level=True)

from minidl.kernels.cpu.runtime.memory_pool import pool


def trained(steps, graph, optimizer=lambda p: optim.SGD(p, 0.05, 0.9), average=None):
    """The weights, buffers and losses after steps of a small net with a schedule; every fifth batch is smaller."""
    rng, model = np.random.default_rng(0), toy_run.net()
    opt = optimizer(model.named_parameters())
    schedule, average = optim.CosineAnnealingLR(opt, steps), average and average(model)

    def step(images, labels):
        opt.zero_grad()
        loss = F.cross_entropy(model(images), labels, ignore_index=0)
        loss.backward()
        opt.step()
        if average:
            average.update()
        return loss

    step, losses = minidl.graphed(step) if graph else step, []
    for i in range(steps):
        count = 6 if i % 5 == 4 else 8
        images = Tensor(rng.standard_normal((count, 1, 28, 28), dtype=np.float32))
        losses.append(step(images, rng.integers(0 if i > 10 else 1, 10, count)).item())
        schedule.step()
    arrays = {**model.state_dict(), **opt.state_dict()["arrays"], "losses": np.array(losses)}
    return arrays | ({f"average of {name}": x for name, x in average.averages.items()} if average else {}), step


def assert_equal(first, second):
    """The arrays of two dictionaries have the same bits."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array, err_msg=name)


@pytest.mark.parametrize(("steps", "optimizer", "average"), [
    (100, lambda p: optim.Adam(p, 0.01), lambda m: optim.ExponentialMovingAverage(m, 0.9)),
    (20, lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.01), lambda m: optim.Lookahead(m, 3)),
    (20, lambda p: optim.NAdam(p, 0.01), None), (20, lambda p: optim.RMSprop(p, 0.01, momentum=0.5), None),
], ids=["Adam", "SGD", "NAdam", "RMSprop"])
def test_a_hundred_steps_have_the_bits_of_the_ordinary_ones(capsys, steps, optimizer, average):
    """Some labels are ignored from the eleventh step on, long after the capture."""
    ordinary, _ = trained(steps, False, optimizer, average)
    captured, step = trained(steps, True, optimizer, average)
    assert_equal(ordinary, captured)
    assert (step.captures, step.given_up) == (1, "")
    assert step.graph.checked
    assert capsys.readouterr().out.count("graph: this step is eager, because its batch has another shape") == 1


def test_memory_is_not_above_that_of_ordinary_steps():
    rng = np.random.default_rng(0)
    model, images = toy_run.net(), Tensor(rng.standard_normal((256, 1, 28, 28), dtype=np.float32))
    labels = rng.integers(0, 10, 256)

    def step(images, labels):
        for p in model.parameters():
            p.grad = None
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        return loss
    step = minidl.graphed(step)
    step(images, labels)
    pool.clear()
    step(images, labels)
    peak = pool.peak_bytes
    for _ in range(3):
        step(images, labels)
    memory = step.graph.recording.memory
    inputs = images.data.nbytes + labels.nbytes
    assert sum(map(len, memory.used.values())) <= 1.25 * peak + inputs + 64 * len(memory.used)


def test_rows_of_an_array_are_not_numbers():
    def step(x):
        first, second = x.data
        return Tensor(first * second)
    graph = minidl.graphed(step)
    for i in range(6):
        assert graph(Tensor([[i, 1.0], [2.0, 3.0]])).numpy().tolist() == [2 * i, 3]
    assert (graph.captures, graph.given_up) == (1, "")


@pytest.mark.parametrize(("step", "reason"), [
    (lambda x: x * (1.0 if x.sum().item() > 0 else 2.0), "reads numbers back, by item"),
    (lambda x: x * float(x.data[0]), "by float of an array"),
    (lambda x: x if (x.data > 0).all() else -x, "by bool of an array"),
    (lambda x: x * Tensor([1.0, 1.0]), "a Tensor is made of what is not an input"),
    (lambda x: Tensor(x.data[x.data > 0]), "values decide how many elements there are"),
    (lambda x: Tensor(x.data[np.where(x.data > 0)]), "values decide how many elements there are"),
    (lambda x: x * x.data.tolist()[0], "by tolist of an array"),
    (lambda x: x * next(x.data.__iter__()), "by iter of an array"),
])
def test_what_cannot_be_repeated_is_right_all_the_same_and_said_once(capsys, step, reason):
    graph = minidl.graphed(step)
    for i in range(1, 7):
        x = np.array([i, -1 if i == 5 else 1], np.float32)
        assert graph(Tensor(x)).numpy().tolist() == step(Tensor(x)).numpy().tolist()
    said = capsys.readouterr().out
    assert said.count("graph: this step is eager, because it cannot be captured: ") == 1
    assert reason in said


def test_what_is_computed_after_the_update_is_not_trusted(capsys):
    model = toy_run.net()
    optimizer = optim.SGD(model.parameters(), 0.1)

    def step(x):
        loss = model(x).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss * 2
    graph, x = minidl.graphed(step), Tensor(toy_run.DIGITS.batch(range(4))[0])
    assert len({graph(x).item() for _ in range(6)}) == 6
    assert "because it cannot be captured: it computes after the update of the weights" in capsys.readouterr().out


class Fading(nn.Module):
    """Every call has another factor."""

    def __init__(self):
        self.weight, self.calls = nn.Parameter(np.ones(1, np.float32)), 0

    def forward(self, x):
        self.calls += 1
        return x * self.weight * (1.0 if self.calls < 10 else 0.5)


def test_a_module_that_changes_its_numbers_is_not_captured(capsys):
    model = Fading()
    graph, x = minidl.graphed(model), Tensor(np.ones(1, np.float32))
    assert [graph(x).item() for _ in range(12)] == [1] * 9 + [0.5] * 3
    assert "because it cannot be captured: Fading changes its calls in each step" in capsys.readouterr().out


def test_a_state_that_always_changes_is_said_once(capsys):
    graph = Graphed(lambda x: x * 2, state=itertools.count().__next__)
    for _ in range(20):
        assert graph(Tensor(np.ones(1, np.float32))).item() == 2
    assert capsys.readouterr().out.count("changes from call to call") == 1


@pytest.mark.parametrize("baked", [
    lambda x, i: x * float(i), lambda x, i: Tensor.made_by(np.fromiter(map(float, x.shape), np.float32), None) * x * i,
])
def test_a_number_that_is_baked_in_differs_from_the_ordinary_step(capsys, baked):
    calls = iter(range(1, 100))
    graph = minidl.graphed(lambda x: baked(x, next(calls)))
    x = Tensor(np.ones(1, np.float32))
    assert [graph(x).item() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert "its repetition has other bits than the ordinary step" in capsys.readouterr().out


def test_numpy_between_operations_is_repeated(capsys):
    """Array code of every kind: what copies, computes, writes, and makes arrays."""
    def step(x):
        a = x.data
        b = np.zeros_like(a)
        b[1:] = a[:-1] * 2
        b += np.where(a > 0, a, -a)
        c = np.concatenate([a, np.ascontiguousarray(b[::-1]), np.full(2, 7.0, np.float32)])
        np.maximum(c, 1, out=c)
        d = c.reshape(2, -1)[:, [0, 2]].copy()
        d.sort()
        np.add.at(d, (np.array([0, 0]), 1), a[0])
        return Tensor(np.append(d.ravel(), [d.sum(), d.mean(), a.argmax()]))
    graph = minidl.graphed(step)
    for i in range(8):
        x = np.arange(6, dtype=np.float32) * (i - 3) + i
        np.testing.assert_array_equal(graph(Tensor(x)).numpy(), step(Tensor(x)).numpy())
    assert (graph.given_up, graph.graph.checked) == ("", True)
    assert capsys.readouterr().out == ""


def test_a_wrong_label_is_told_in_a_repetition():
    weight = Tensor(np.eye(3, dtype=np.float32), requires_grad=True)
    step = minidl.graphed(lambda x, y: F.cross_entropy(x @ weight, y))
    x = Tensor(np.ones((4, 3), np.float32))
    for _ in range(6):
        step(x, np.array([0, 1, 2, 0]))
    with pytest.raises(ValueError, match="3"):
        step(x, np.array([0, 1, 3, 0]))
    assert step(x, np.array([0, 1, 2, 0])).item() == pytest.approx(np.log(3))


def test_a_tensor_with_another_array_is_captured_anew():
    weight = Tensor(np.ones(2, np.float32), requires_grad=True)
    step = minidl.graphed(lambda x: x * weight)
    x = Tensor(np.ones(2, np.float32))
    for i in range(1, 4):
        weight.data = np.full(2, i, np.float32)
        assert [step(x).numpy()[0] for _ in range(6)] == [i] * 6
        weight.data[...] = 9
        assert step(x).numpy()[0] == 9
    assert (step.captures, step.given_up) == (3, "")


@pytest.mark.parametrize("every", [1, 2, 3])
def test_gradients_that_add_up_over_steps(every):
    """Where the recorded step found no gradient and a later one does, the later one is ordinary."""
    weight = Tensor(np.ones(2, np.float32), requires_grad=True)
    step = minidl.graphed(lambda x: (x * weight).sum().backward())
    for i in range(12):
        if i < 6 or i % every == 0:
            weight.grad, count = None, 0
        count += i
        step(Tensor(np.full(2, i, np.float32)))
        assert weight.grad.tolist() == [count] * 2


def test_gradients_that_a_step_forgets():
    """Two steps in turns: one forgets gradients that the other has left, before it updates."""
    first, second = (Tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(2))
    opt = optim.SGD([first, second], 1.0)

    def update(x):
        opt.zero_grad()
        (x * first).sum().backward()
        opt.step()
    steps = minidl.graphed(update), minidl.graphed(lambda x: (x * second).sum().backward())
    for i in range(1, 8):
        for step in steps:
            step(Tensor(np.ones(2, np.float32)))
        assert (first.numpy().tolist(), second.numpy().tolist()) == ([1 - i] * 2, [1, 1])


def test_a_clipping_of_ones_own_is_repeated():
    """It does nothing in the steps that are captured and checked."""
    weight = Tensor(np.ones(2, np.float32), requires_grad=True)
    opt = optim.SGD([weight], 1.0)

    def step(x):
        opt.zero_grad()
        (x * weight).sum().backward()
        weight.grad = np.minimum(weight.grad, 1)
        opt.step()
    step = minidl.graphed(step)
    for i, x in enumerate((1, 1, 1, 1, 5, 1), 1):
        step(Tensor(np.full(2, x, np.float32)))
        assert weight.numpy().tolist() == [1 - i] * 2
    assert step.graph.checked


def test_modes_and_hooks_of_modules_are_seen(capsys):
    model, calls = nn.BatchNorm1d(2), []
    step, x = minidl.graphed(lambda x: model(x)), Tensor(np.arange(4, dtype=np.float32).reshape(2, 2))
    for _ in range(5):
        step(x)
    model.eval()
    mean, out = model.running_mean.numpy().copy(), step(x).numpy()
    np.testing.assert_array_equal(model.running_mean.numpy(), mean)
    np.testing.assert_array_equal(out, model(x).numpy())
    model.register_forward_hook(lambda *_: calls.append(1))
    for count in range(1, 4):
        step(x)
        assert len(calls) == count
    assert "because it cannot be captured: BatchNorm1d has hooks" in capsys.readouterr().out


def test_settings_of_kernels_are_seen():
    """Winograd's algorithm rounds otherwise than direct convolution."""
    conv = nn.Conv2d(16, 16, 3, padding=1)
    step = minidl.graphed(lambda x: conv(x))
    x = Tensor(np.random.default_rng(0).standard_normal((2, 16, 8, 8), dtype=np.float32))
    for _ in range(6):
        by_tiles = step(x).numpy().copy()
    with minidl.kernels.using(winograd=False):
        for _ in range(6):
            directly = step(x).numpy().copy()
        np.testing.assert_array_equal(directly, conv(x).numpy())
    assert (by_tiles != directly).any()


def test_checkpointed_blocks_are_ordinary_or_right():
    def losses(graph):
        minidl.manual_seed(5)
        block = nn.Checkpoint(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)))
        weights = list(block.parameters())

        def step(x):
            for p in weights:
                p.grad = None
            loss = block(x).sum()
            loss.backward()
            return loss
        step, out = minidl.graphed(step) if graph else step, []
        for i in range(8):
            out += [step(Tensor(np.full((3, 4), i, np.float32))).item(), *(p.grad.copy() for p in weights)]
        return dict(enumerate(map(np.array, out)))
    assert_equal(losses(False), losses(True))


def test_an_error_in_the_captured_step_changes_nothing():
    """The call begins anew, as an ordinary step: statistics move once, and random numbers go on."""
    def results(graph, failing=-1):
        minidl.manual_seed(4)
        model, calls, out = nn.BatchNorm1d(2), iter(range(10)), []

        def step(x):
            y = F.dropout(model(x))
            if next(calls) == failing:
                raise OSError("no space left")
            return y
        step = minidl.graphed(step) if graph else step
        for i in range(6):
            out.append(step(Tensor(np.arange(6, dtype=np.float32).reshape(3, 2) * (i + 1))).numpy().copy())
        return {"outputs": np.array(out), **model.state_dict()}
    assert_equal(results(False), results(True))
    assert_equal(results(False), results(True, failing=2))


def test_profiles_and_the_search_for_nan_are_ordinary(capsys):
    step, x = minidl.graphed(lambda x: x * 2), Tensor(np.ones(2, np.float32))
    for _ in range(5):
        step(x)
    with minidl.profile() as p:
        step(x)
    assert [call.name for call in p.calls] == ["mul"]
    with minidl.detect_nonfinite():
        step(x)
    said = capsys.readouterr().out
    assert "graph: this step is eager, because a profile measures each operation" in said
    assert "because detect_nan looks at each operation" in said


def test_the_plain_backend_stays_ordinary(capsys):
    step, x = minidl.graphed(lambda x: x * 2), Tensor(np.ones(2, np.float32))
    with minidl.kernels.using(backend="plain"):
        assert [step(x).numpy().tolist() for _ in range(5)] == [[2, 2]] * 5
    assert step.captures == 0
    assert "array code" in capsys.readouterr().out


def test_nothing_traced_is_left_behind():
    weight = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    norm = nn.BatchNorm1d(2)

    def step(x):
        weight.grad = None
        out = norm(x @ weight)
        out.sum().backward()
        return {"out": out, "list": [out.data]}
    step = minidl.graphed(step)
    for _ in range(6):
        out = step(Tensor(np.random.default_rng(0).standard_normal((4, 2), dtype=np.float32)))
        buffers = norm.running_mean.data, norm.running_var.data, norm.num_batches_tracked.data
        arrays = [out["out"].data, out["list"][0], weight.grad, weight.data, *buffers]
        assert not any(isinstance(x, Traced) for x in arrays)
    assert np.zeros(3).__class__ is np.ndarray
