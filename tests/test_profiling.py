"""The profiler: its counts against values computed by hand, what it leaves unchanged, and that it ends."""

import gc
import itertools
import json
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
import minidl.functional as F
from minidl import Tensor, kernels, no_grad, optim
from minidl.modes import mode
from minidl.profiling import Memory
from minidl.summary import summary
from minidl.tensor import op
from zoo import lenet5

KIB = 1024


def row(p, name, phase="forward"):
    """The one row of a function and phase."""
    return next(row for row in p.rows() if (row.name, row.phase) == (name, phase))


def parameter(*shape):
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


@pytest.fixture(params=["auto", "plain"])
def backend(request):
    with kernels.using(request.param):
        yield request.param


@op
def sleep(x, /, *, forward=0.0, back=0.0):
    """x, after some seconds."""
    time.sleep(forward)

    def backward(grad):
        def by_x():
            time.sleep(back)
            return grad + 0
        return by_x
    return x + 0, backward


def test_time_and_calls_forward_and_backward_apart():
    x = parameter(3)
    with minidl.profile() as p:
        for _ in range(2):
            sleep(sleep(x, forward=0.02, back=0.01)).sum().backward()
    ahead, back = row(p, "sleep"), row(p, "sleep", "backward")
    assert ahead.calls == back.calls == 4
    assert ahead.seconds >= 0.04
    assert back.seconds >= 0.02
    assert sum(r.seconds for r in p.rows()) <= p.seconds
    assert [r.seconds for r in p.rows()] == sorted((r.seconds for r in p.rows()), reverse=True)
    assert not any(r.name == "leaf" for r in p.rows())


CONV = 2 * (2 * 6 * 5 * 4) * (3 * 3 * 2)          # N F OH OW, KH KW C/groups
TRANSPOSED = 2 * (2 * 3 * 4 * 5) * (6 * 2 * 3)     # N C H W, F/groups KH KW
PRODUCTS = [
    (lambda x, w, b: F.conv2d(x, w, b, padding=(1, 0), groups=2), (2, 4, 5, 6), (6, 2, 3, 3), CONV),
    (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2), (2, 3, 4, 5), (3, 6, 2, 3), TRANSPOSED),
    (F.linear, (5, 7, 3), (6, 3), 2 * 5 * 7 * 6 * 3),
]


@pytest.mark.parametrize(("function", "x", "weight", "flops"), PRODUCTS)
def test_flops_of_what_was_computed(backend, function, x, weight, flops):
    images, filters, bias = np.ones(x, np.float32), np.ones(weight, np.float32), parameter(6)
    for required in ((False, False), (True, False), (False, True), (True, True)):
        tensors = [Tensor(a, requires_grad=want) for a, want in zip((images, filters), required, strict=True)]
        with minidl.profile() as p:
            out = function(*tensors, bias)
            out.backward(np.ones_like(out.data))
        name = out.node.name
        assert row(p, name).flops == flops
        assert row(p, name, "backward").flops == sum(required) * flops


@pytest.mark.parametrize(("a", "b", "products"), [
    ((4, 5), (5, 6), 4 * 5 * 6), ((5,), (5, 6), 5 * 6), ((4, 5), (5,), 4 * 5), ((5,), (5,), 5),
    ((3, 4, 5), (5, 6), 3 * 4 * 5 * 6), ((2, 1, 4, 5), (3, 5, 6), 2 * 3 * 4 * 5 * 6),
])
def test_flops_of_matmul(a, b, products):
    with minidl.profile() as p:
        out = parameter(*a) @ parameter(*b)
        out.backward(np.ones_like(out.data))
    assert row(p, "matmul").flops == 2 * products
    assert row(p, "matmul", "backward").flops == 4 * products


def test_bytes_read_and_written():
    """4 bytes per element: inputs and output; in backward the gradient, the inputs and the gradients computed."""
    a, b = parameter(10, 20), parameter(20)
    with minidl.profile() as p:
        (a * b).backward(np.ones((10, 20), np.float32))
    assert row(p, "mul").bytes == 4 * (200 + 20 + 200)
    assert row(p, "mul", "backward").bytes == 4 * (200 + 200 + 20 + 200 + 20)
    assert row(p, "mul").flops == 0


def test_views_move_nothing():
    x = parameter(10, 20)
    with minidl.profile() as p:
        (x * 1).reshape(20, 10)[3:].backward(np.ones((17, 10), np.float32))
    for name, phase in (("reshape", "forward"), ("getitem", "forward"), ("reshape", "backward")):
        assert row(p, name, phase).bytes == row(p, name, phase).allocated == 0
    assert row(p, "getitem", "backward").bytes > 0


def test_memory_of_live_results():
    """Each result has 4 KiB; two are live at a time, and three while the third is computed."""
    x = Tensor(np.zeros(KIB, np.float32))
    with minidl.profile() as p:
        a = x + 1
        b = x + 2
        del a
        c = x + 3
        del b
        d = c[::2]
        del c
        e = F.exp(d)
        del d, e
        f = x + 4
    assert row(p, "add").allocated == 4 * 4 * KIB
    assert [call.live for call in p.calls] == [4 * KIB, 8 * KIB, 8 * KIB, 4 * KIB, 6 * KIB, 4 * KIB]
    assert row(p, "add").peak == 8 * KIB
    assert f.shape == (KIB,)


def test_memory_of_the_pool_includes_scratch_and_excludes_what_was_live_before():
    pytest.importorskip("numba")
    if kernels.settings.backend == "plain":
        pytest.skip("plain kernels have no memory pool")
    from minidl.kernels.cpu.runtime import memory_pool
    x = Tensor(np.ones((8, 3, 64, 64), np.float32))
    w = Tensor(np.ones((16, 3, 5, 5), np.float32))
    before = F.conv2d(x, w, padding=2)                # compiled, and alive
    memory_pool.pool.clear()                          # earlier tests have left larger blocks
    with minidl.profile() as p:
        F.conv2d(x, w, padding=2)
    out = before.data.nbytes
    assert row(p, "conv2d").allocated > out           # a border of zeros, too
    assert out < row(p, "conv2d").peak <= row(p, "conv2d").allocated
    assert p.calls[0].live < out + 64 * KIB


def test_an_optimizers_step():
    x = parameter(1000)
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9)
    x.grad = np.ones(1000, np.float32)
    with minidl.profile() as p:
        optimizer.step()
    assert row(p, "SGD", "step").calls == 1
    assert row(p, "SGD", "step").bytes == 4 * 1000 * 5        # gradient, x and velocity twice


def test_profiled_training_gives_the_same_bits(backend):
    def train():
        minidl.manual_seed(0)
        rng = np.random.default_rng(0)
        model = lenet5()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            images = Tensor(rng.standard_normal((4, 1, 28, 28), dtype=np.float32))
            F.cross_entropy(model(images), rng.integers(0, 10, 4)).backward()
            optimizer.step()
        return [p.data for p in model.parameters()]

    plain = train()
    with minidl.profile() as p:
        profiled = train()
    for a, b in zip(plain, profiled, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {r.phase for r in p.rows()} == {"forward", "backward", "step"}


def test_nothing_is_kept_alive():
    x = parameter(KIB)
    gc.collect()
    gc.disable()
    try:
        with minidl.profile():
            y = x * 2
            array, node = weakref.ref(y.data), weakref.ref(y.node)
            y.sum().backward()
            del y
            assert array() is None
            assert node() is None
    finally:
        gc.enable()


def test_it_ends_also_after_an_exception():
    def fail(p):
        with p as p:
            kept.append(p)
            parameter(3) * 2
            raise ZeroDivisionError

    kept = []
    with pytest.raises(ZeroDivisionError):
        fail(minidl.profile())
    p = kept[0]
    assert mode.watcher is None
    parameter(3) * 2
    assert row(p, "mul").calls == 1
    assert p.seconds > 0


def test_a_call_that_raises_is_not_counted_and_says_what_it_always_says():
    with minidl.profile() as p, pytest.raises(ValueError, match="linear: x "):
        F.linear(parameter(2, 3), parameter(4, 5))
    assert p.rows() == []
    assert "all" in p.table()


def test_profiles_nest():
    x = parameter(3)
    with minidl.profile() as outer:
        x * 2
        with minidl.profile() as inner:
            x * 2
        x * 2
    assert row(inner, "mul").calls == 1
    assert row(outer, "mul").calls == 3
    assert [call.begin for call in outer.calls] == sorted(call.begin for call in outer.calls)
    assert inner.calls[0].begin < outer.calls[1].begin


def test_a_profile_sees_its_own_thread():
    x, inside, outside = parameter(3), threading.Event(), threading.Event()
    seen = []

    def work():
        with minidl.profile() as p:
            inside.set()
            outside.wait(10)
            x * 2
        seen.append(p)
    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    with minidl.profile() as p:
        x + 2
        outside.set()
        thread.join()
    assert [r.name for r in p.rows()] == ["add"]
    assert [r.name for r in seen[0].rows()] == ["mul"]


def test_graphs_that_cross_the_edges_of_a_profile():
    """The backward of a graph recorded before is measured; a backward after the profile is not."""
    x = parameter(4, 4)
    y = (x @ x).sum()
    with minidl.profile() as p:
        y.backward()
        z = (x @ x).sum()
    z.backward()
    assert row(p, "matmul", "backward").calls == 1
    assert row(p, "matmul", "backward").flops == 0               # the shapes of its inputs are unknown
    np.testing.assert_array_equal(x.grad, np.full((4, 4), 16))


def test_under_no_grad():
    with minidl.profile() as p, no_grad():
        parameter(3) * 2
    assert row(p, "mul").calls == 1


def test_the_table():
    x = parameter(100, 100)
    with minidl.profile() as p:
        (x @ x).sum().backward()
    lines = str(p).splitlines()
    assert lines[0].split() == ["function", "calls", "ms", "share", "GFLOP/s", "GB/s", "allocated", "peak"]
    assert len({len(line) for line in lines[:-1]}) == 1           # columns are aligned
    assert any(line.startswith("matmul ") and " backward " in line for line in lines)
    assert lines[-2].split()[:2] == ["all", str(len(p.calls))]
    assert lines[-1].startswith("Outside these calls: ")


def test_messages_beside_calls():
    with minidl.profile() as p:
        for _ in range(2):
            sleep(parameter(3)).sum()
    p.calls = [call._replace(begin=begin, seconds=0.5) for call, begin in zip(p.calls, (1, 2, 3, 4), strict=True)]
    p.messages = [SimpleNamespace(begin=p.begin + begin, seconds=seconds, waited=0.0, bytes=2**20)
                  for begin, seconds in ((1.25, 0.25), (1.4, 0.8), (4.0, 0.125), (4.4, 9.0))]
    assert p.hidden() == pytest.approx({("sleep", "forward"): 0.25, ("sum", "forward"): 0.425, ("all", ""): 0.675})
    lines = str(p).splitlines()
    assert lines[0].endswith(" messages")
    assert len({len(line) for line in lines[:4]}) == 1
    assert {line.split()[0]: line.split()[-2:] for line in lines[1:4]} == {
        "sleep": ["250.000", "ms"], "sum": ["425.000", "ms"], "all": ["675.000", "ms"]}


def test_an_empty_table_while_it_is_open():
    with minidl.profile() as p:
        assert "Outside these calls" in p.table()
    assert p.rows() == []


def test_the_trace(tmp_path):
    x = parameter(10, 10)
    with minidl.profile() as p:
        (x @ x).sum().backward()
    p.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert [e["name"] for e in spans] == ["matmul forward", "sum forward", "sum backward", "matmul backward"]
    assert spans[0]["args"]["inputs"] == "(10, 10), (10, 10)"
    for first, second in itertools.pairwise(spans):
        assert first["ts"] + first["dur"] <= second["ts"]
    assert all({"pid", "tid", "ts"} <= set(e) for e in events)
    assert next(e["args"]["MiB"] * 2**20 for e in events if e["ph"] == "C") == 400


def test_on_other_arrays(xp):
    x = Tensor(xp.asarray(np.ones((4, 5))), requires_grad=True)
    with minidl.profile() as p:
        F.relu(x @ x.transpose(0, 1)).sum().backward()
    assert row(p, "matmul").flops == 2 * 4 * 5 * 4


def test_memory_is_counted_once_for_all_views():
    memory = Memory()
    x = np.zeros((10, 10))
    assert memory.add(x[2:]) == 800
    assert memory.add(x) == memory.add(x.T[3]) == memory.add(np.float32(1)) == 0
    assert memory.other_bytes() == 800
    del x
    assert memory.other_bytes() == 0


def test_a_gpu_is_measured_by_events_and_waited_for_once(gpu):
    """The double's clock passes half a millisecond at each event, so each call takes that long."""
    x = minidl.Tensor(np.ones((4, 8), np.float32), requires_grad=True, device="gpu")
    weight = minidl.Tensor(np.ones((6, 8), np.float32), device="gpu")
    gpu.read_backs.clear()
    with minidl.profile() as p:
        F.linear(x, weight).sum().backward()
        assert all(call.seconds < 1 for call in p.calls)
    assert gpu.read_backs == []
    assert {(call.name, call.phase, call.seconds) for call in p.calls} == {
        (name, phase, 0.0005) for name in ("linear", "sum") for phase in ("forward", "backward")}
    row = next(row for row in p.rows() if (row.name, row.phase) == ("linear", "forward"))
    assert row.flops / row.seconds == 2 * 4 * 6 * 8 / 0.0005
    assert "gpu:0: 0.0 MiB in arrays, 0.0 MiB kept for arrays, of 2.00 GiB; busy for " in p.table()


def test_summary_of_a_network_on_a_gpu(gpu):
    model = minidl.nn.Sequential(minidl.nn.Conv2d(1, 2, 3), minidl.nn.ReLU())
    assert str(summary(model.to("gpu"), (1, 8, 8))) == str(summary(model.to("cpu"), (1, 8, 8)))
