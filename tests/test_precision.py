"""Half precision: which operation computes in which dtype, what it costs in digits, and loss scaling."""

import math

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, autocast, kernels, nn, optim, set_matmul_precision
from minidl.precision import half

RNG = np.random.default_rng(0)


def there(*shape, requires_grad=False):
    return Tensor(RNG.standard_normal(shape, dtype=np.float32), requires_grad=requires_grad, device="gpu")


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_the_table_says_what_computes_in_which_dtype(gpu, name):
    pytest.importorskip("ml_dtypes")
    dtype = half(name)
    images, weight, matrix = there(2, 3, 6, 6), there(4, 3, 3, 3), there(5, 3)
    with autocast(name):
        convolved = F.conv2d(images, weight)
        assert convolved.dtype == dtype
        assert F.linear(there(2, 3), matrix).dtype == dtype
        assert (there(2, 3) @ there(3, 2)).dtype == dtype
        assert F.conv_transpose2d(images, there(3, 4, 2, 2)).dtype == dtype
        for function in (F.softmax, F.log_softmax):
            assert function(convolved, 1).dtype == np.float32
        assert F.relu(convolved).dtype == F.max_pool2d(convolved, 2).dtype == dtype       # not in the tables
        assert (convolved + there(2, 4, 4, 4)).dtype == np.float32                       # the wider one
        assert F.batch_norm(convolved, there(4), there(4)).dtype == dtype
        assert F.layer_norm(convolved, (4, 4)).dtype == np.float32
        assert F.cross_entropy(F.linear(there(2, 3), matrix), np_there([0, 1])).dtype == np.float32
        doubles = Tensor(np.ones((2, 2)), device="gpu")
        assert (doubles @ doubles).dtype == np.float64
        with autocast(enabled=False):
            assert F.linear(there(2, 3), matrix).dtype == np.float32
    assert F.linear(there(2, 3), matrix).dtype == np.float32


def np_there(labels):
    return Tensor(np.array(labels), device="gpu")


def test_weights_get_gradients_in_their_own_dtype(gpu):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(4 * 3 * 3, 5)).to("gpu")
    images, labels = there(8, 1, 8, 8), np_there([0, 1, 2, 3, 4, 0, 1, 2])
    grads = []
    for enabled in (False, True):
        model.zero_grad()
        with autocast("float16", enabled):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        grads.append([Tensor(p.grad).numpy() for p in model.parameters()])
    for full, narrow in zip(*grads, strict=True):
        assert narrow.dtype == np.float32
        assert 0 < np.linalg.norm(full - narrow) < 0.01 * np.linalg.norm(full) + 1e-3
    assert all(buffer.dtype != np.float16 for buffer in model.buffers())


def test_the_cpu_refuses_half_precision_in_one_sentence():
    with autocast("float16"), pytest.raises(TypeError, match=r"^linear: autocast is for arrays on a GPU, and"):
        F.linear(np.ones((2, 3), np.float32), np.ones((4, 3), np.float32))
    with pytest.raises(TypeError, match="float16 is not supported on the CPU"):
        Tensor(np.ones(2, np.float16))


@pytest.mark.parametrize("name", ["float32", "half", 16, None])
def test_other_dtypes_are_refused(name):
    with pytest.raises(ValueError, match="is neither 'float16' nor 'bfloat16'"), autocast(name):
        pass


def test_bfloat16_needs_a_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(ValueError, match="'bfloat16' needs the package ml_dtypes; install it"), autocast("bfloat16"):
        pass


def test_matmul_precision():
    try:
        set_matmul_precision("tf32")
        assert kernels.settings.matmul_precision == "tf32"
        with pytest.raises(ValueError, match="'fast' is none of 'float32', 'tf32'"):
            set_matmul_precision("fast")
    finally:
        set_matmul_precision("float32")


@pytest.mark.parametrize("optimizer", [
    lambda p: optim.SGD(p, 0.1, 0.9, weight_decay=0.01), lambda p: optim.Adam(p, 0.1), lambda p: optim.RMSprop(p, 0.1),
])  # fmt: skip
def test_a_step_that_overflows_leaves_no_trace(gpu, optimizer):
    """Three steps of which the second overflows are the first and the third alone; nothing waits for the GPU."""
    def trained(steps, scaled):
        p = Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True, device="gpu")
        opt, scaler = optimizer([p]), optim.GradScaler(init_scale=8.0)
        for gradient in steps:
            opt.zero_grad()
            loss = (p * Tensor(np.array(gradient, np.float32), device="gpu")).sum()
            if scaled:
                scaler.scale(loss).backward()
                scaler.step(opt)
                scaler.update()
            else:
                loss.backward()
                opt.step()
        return p, opt, scaler

    first, third = [0.5, -1.0], [0.25, 3.0]
    gpu.read_backs.clear()
    p, opt, scaler = trained([first, [math.inf, 1.0], third], True)
    assert gpu.read_backs == []
    expected, other, _ = trained([first, third], False)
    np.testing.assert_allclose(p.numpy(), expected.numpy(), rtol=1e-6)
    assert (scaler.scale_value, scaler.skipped) == (4.0, 1)
    assert opt.state_dict()["numbers"] == other.state_dict()["numbers"]


def test_the_scale_follows_pytorchs_rules(gpu):
    torch = pytest.importorskip("torch")
    p = Tensor(np.ones(1, np.float32), requires_grad=True, device="gpu")
    opt, ours = optim.SGD([p], 0.1), optim.GradScaler(init_scale=16.0, growth_interval=2)
    scale, growth = torch.tensor(16.0), torch.tensor(0, dtype=torch.int32)
    for bad in [0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0]:
        p.grad = np_there([math.inf if bad else 1.0]).data.astype(np.float32)
        ours.begin(p.data)
        ours.step(opt)
        ours.update()
        torch._amp_update_scale_(scale, growth, torch.tensor(float(bad)), 2.0, 0.5, 2)
        assert (ours.scale_value, ours.numbers()[1]) == (scale.item(), growth.item())


def test_the_state_of_a_scaler_is_restored(gpu):
    scaler, twin = optim.GradScaler(), optim.GradScaler()
    scaler.load_state_dict({"scale": 32.0, "growth_tracker": 5, "skipped": 3})
    scaler.begin(there(1).data)
    twin.load_state_dict(scaler.state_dict())
    assert twin.state_dict() == {"scale": 32.0, "growth_tracker": 5, "skipped": 3}


def test_calls_in_the_wrong_order_are_refused(gpu):
    p = Tensor(np.ones(1, np.float32), requires_grad=True, device="gpu")
    scaler, opt = optim.GradScaler(), optim.SGD([p], 0.1)
    with pytest.raises(RuntimeError, match="no parameter has a gradient"):
        scaler.unscale_(opt)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="have been divided by the scale already"):
        scaler.unscale_(opt)


def test_a_scaler_works_on_the_cpu():
    """Where it is of no use, but a script for GPUs can be tried."""
    p = Tensor(np.ones(2, np.float32), requires_grad=True)
    scaler, opt = optim.GradScaler(init_scale=8.0), optim.SGD([p], 0.5)
    for factor, value in ((1.0, 0.5), (math.inf, 0.5)):
        opt.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(opt)
        scaler.update()
        assert p.data.tolist() == [value, value]
    assert (scaler.scale_value, scaler.skipped) == (4.0, 1)
