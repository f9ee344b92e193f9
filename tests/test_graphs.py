"""CUDA graphs: a captured step repeats with the bits of the eager one, and what cannot be captured stays eager.

The double of a graph (strict_graph.py) repeats launches with the addresses and numbers that they had.
"""

import emulator
import numpy as np
import pytest
import strict_array
import strict_graph

import minidl
import minidl.functional as F
from minidl import Tensor, nn, optim
from minidl.capture import varying
from minidl.graphs import CAPTURES, Graphed

pytestmark = pytest.mark.skipif(emulator.missing() is not None, reason=emulator.missing() or "")


class Net(nn.Module):
    """Normalization with buffers, dropout with random numbers, pooling."""

    def __init__(self):
        self.norm, self.dropout = nn.BatchNorm2d(3), nn.Dropout(0.3)
        self.scale = nn.Parameter(np.linspace(0.5, 1.5, 3, dtype=np.float32).reshape(1, 3, 1, 1))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(x)) * self.scale, 2)
        return F.mean(self.dropout(x), (2, 3))


def trained(steps, graph, optimizer=lambda p: optim.SGD(p, 0.1, 0.9), scaler=None):
    """The weights, buffers and losses after steps of a small net; every fifth batch is smaller."""
    minidl.manual_seed(3)
    rng, model = np.random.default_rng(0), Net().to("gpu")
    opt = optimizer(model.named_parameters())
    schedule = optim.CosineAnnealingLR(opt, steps)

    def step(images, labels, factor):
        opt.zero_grad()
        loss = F.cross_entropy(model(images), labels) * factor
        if scaler is None:
            loss.backward()
            opt.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        return loss

    step, losses = minidl.graphed(step) if graph else step, []
    for i in range(steps):
        count = 3 if i % 5 == 4 else 4
        images = Tensor(rng.standard_normal((count, 3, 4, 4), dtype=np.float32), device="gpu")
        labels = Tensor(rng.integers(0, 3, count), device="gpu")
        factor = Tensor(np.float32(np.inf if scaler is not None and i % 4 == 2 else 1), device="gpu")
        losses.append(step(images, labels, factor).item())
        schedule.step()
    return {**model.state_dict(), **opt.state_dict()["arrays"], "losses": np.array(losses)}, step


@pytest.mark.parametrize(("steps", "optimizer"), [
    (100, lambda p: optim.Adam(p, 0.01)), (20, lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.01)),
    (20, lambda p: optim.RMSprop(p, 0.01, momentum=0.5)),
], ids=["Adam", "SGD", "RMSprop"])
def test_a_hundred_steps_have_the_bits_of_the_eager_ones(gpu, capsys, steps, optimizer):
    eager, _ = trained(steps, False, optimizer)
    graph, step = trained(steps, True, optimizer)
    for name, array in eager.items():
        np.testing.assert_array_equal(graph[name], array, err_msg=name)
    assert (step.captures, step.given_up) == (1, "")
    assert len(set(eager["losses"])) == steps
    assert capsys.readouterr().out.count("graph: this step is eager, because its batch has another shape") == 1


def test_steps_that_are_left_out_are_the_same_ones(gpu):
    scalers = [optim.GradScaler(growth_interval=3) for _ in range(2)]
    results = [trained(20, graph, lambda p: optim.Adam(p, 0.01), scaler)
               for graph, scaler in zip((False, True), scalers, strict=True)]
    assert scalers[0].state_dict() == scalers[1].state_dict()
    assert scalers[0].skipped == 5
    for name, array in results[0][0].items():
        np.testing.assert_array_equal(results[1][0][name], array, err_msg=name)


def test_a_number_that_is_baked_in_shows(gpu):
    x, rates = Tensor(np.ones(2, np.float32), device="gpu"), iter([1.0, 2.0, 3.0, 4.0, 5.0])
    baked = minidl.graphed(lambda x: x * next(rates))
    assert [baked(x).numpy()[0] for _ in range(5)] == [1, 2, 3, 3, 3]
    counts = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    free = minidl.graphed(lambda x: x.data * varying(lambda: next(counts)))
    assert [float(free(x)[0]) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_an_address_of_memory_that_was_freed_shows(gpu):
    x, held = Tensor(np.ones(2, np.float32), device="gpu"), [strict_array.ones(2, dtype=np.float32)]
    step = minidl.graphed(lambda x: x.data + held[0])
    for _ in range(4):
        step(x)
    held[0] = strict_array.ones(2, dtype=np.float32)
    with pytest.raises(strict_graph.StaleAddress):
        step(x)


def test_a_capture_computes_nothing(gpu):
    stream, x = gpu.Stream(), strict_array.ones(3, dtype=np.float32)
    with stream:
        stream.begin_capture()
        x += 1
        y = x * 2
        graph = stream.end_capture()
    assert x.get().tolist() == [1, 1, 1]
    assert np.isnan(y.get()).all()
    graph.launch(stream)
    graph.launch(stream)
    assert (x.get().tolist(), y.get().tolist()) == ([3, 3, 3], [6, 6, 6])


@pytest.mark.parametrize(("step", "reason"), [
    (lambda x: x * (1.0 if x.sum().item() > 0 else 2.0), "item"),
    (lambda x: Tensor(x.data[x.data > 0]), "a mask as an index"),
    (lambda x: x * Tensor(np.ones(2, np.float32), device="gpu"), "copied from the host"),
    (lambda x: Tensor(x.data.reshape(1, 2) @ x.data), "matmul"),
])
def test_what_a_capture_refuses_stays_eager_and_is_said_once(gpu, capsys, step, reason):
    x = Tensor(np.ones(2, np.float32), device="gpu")
    graph = minidl.graphed(step)
    for _ in range(6):
        assert graph(x).numpy().flat[0] in (1, 2)
    said = capsys.readouterr().out
    assert said.count("graph: this step is eager, because it cannot be captured: ") == 1
    assert reason in said
    assert (graph.captures, graph.graph) == (1, None)


def test_random_numbers_go_on_as_if_a_capture_had_not_failed(gpu):
    def losses(graph):
        minidl.manual_seed(5)
        x = Tensor(np.ones(50, np.float32), device="gpu")

        def step(x):
            out = F.dropout(x).sum()
            return out if out.item() >= 0 else None
        step = minidl.graphed(step) if graph else step
        return [step(x).item() for _ in range(6)]
    assert losses(True) == losses(False)


def test_profiles_and_the_search_for_nan_are_eager(gpu, capsys):
    x = Tensor(np.ones(2, np.float32), device="gpu")
    step = minidl.graphed(lambda x: x * 2)
    for _ in range(4):
        step(x)
    with minidl.profile() as p:
        step(x)
    assert [call.name for call in p.calls] == ["mul"]
    with minidl.detect_nonfinite():
        step(x)
    said = capsys.readouterr().out
    assert "graph: this step is eager, because a profile measures each operation" in said
    assert "because detect_nan looks at each operation" in said


def test_a_changed_state_is_captured_anew_but_not_for_ever(gpu, capsys):
    x, state = Tensor(np.ones(2, np.float32), device="gpu"), [0]
    step = Graphed(lambda x: x * float(state[0]), lambda: state[0])
    for i in range(CAPTURES + 2):
        state[0] = i
        assert [step(x).numpy()[0] for _ in range(4)] == [i] * 4
    assert step.captures == CAPTURES
    assert step.given_up == "it changes from call to call"


def test_an_optimizer_that_is_not_ready_for_graphs_stays_eager(gpu, capsys):
    class Halving(optim.Optimizer):
        def update(self, kernels, batch, grads):
            for x, grad in zip(batch.xs, grads, strict=True):
                x -= grad * (self.lr / 2 ** batch.states[0]["steps"])

    def weights(graph):
        p = Tensor(np.ones(2, np.float32), requires_grad=True, device="gpu")
        opt = Halving([p], lr=1.0)

        def step(x):
            opt.zero_grad()
            (p * x).sum().backward()
            opt.step()
        step = minidl.graphed(step) if graph else step
        for _ in range(6):
            step(Tensor(np.ones(2, np.float32), device="gpu"))
        return p.numpy().tolist()
    assert weights(True) == weights(False)
    assert "a graph would bake in the numbers that Halving changes in each step" in capsys.readouterr().out
