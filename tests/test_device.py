"""Devices by name, moving between them, and the stream of random numbers; strict_array stands in for CuPy."""

import json
import sys

import numpy as np
import pytest
import strict_array

import minidl.functional as F
from minidl import Device, DeviceError, Tensor, manual_seed
from minidl.cli import main
from minidl.device import CPU, array_module, device_of, generator, random_state, set_random_state
from minidl.errors import sentence


@pytest.mark.parametrize(("name", "device"), [
    ("cpu", Device("cpu")), ("gpu", Device("gpu", 0)), ("gpu:0", Device("gpu", 0)), ("cuda", Device("gpu", 0)),
    ("cuda:0", Device("gpu", 0)), (Device("cpu"), Device("cpu")),
])  # fmt: skip
def test_names(gpu, name, device):
    assert Device.parse(name) == device
    assert Device.parse(str(device)) == device


@pytest.mark.parametrize("name", ["", "tpu", "gpu:", "gpu:x", "cpu:1", "gpu:-1", "GPU", None, 0])
def test_invalid_names(name):
    with pytest.raises(ValueError, match=r"is none of cpu, gpu, gpu:N"):
        Device.parse(name)


def test_a_missing_gpu(gpu):
    with pytest.raises(DeviceError, match=r"^device gpu:1: this machine has 1 GPU\(s\), numbered from 0"):
        Device.parse("gpu:1")


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"^device gpu:0: CuPy is not installed; .* use device 'cpu'$") as error:
        Tensor([1.0]).to("gpu")
    assert sentence(error.value).endswith(", or use --device cpu")


def no_driver():
    raise RuntimeError("cudaErrorNoDevice")


def test_no_driver(gpu, monkeypatch):
    monkeypatch.setattr(strict_array.cuda.runtime, "getDeviceCount", no_driver)
    with pytest.raises(DeviceError, match=r"^device gpu:0: no usable NVIDIA driver \(cudaErrorNoDevice\)"):
        Device.parse("gpu")


def test_a_round_trip(gpu):
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    there = x.to("gpu")
    assert str(there.device) == "gpu:0"
    assert isinstance(there.data, strict_array.ndarray)
    back = (there * there).to("cpu")
    assert back.device == CPU
    back.backward(np.array([1.0, 10.0]))
    assert isinstance(x.grad, np.ndarray)
    assert x.grad.tolist() == [2, 40]


def test_a_gradient_returns_to_the_gpu(gpu):
    x = Tensor([1.0, 2.0], requires_grad=True, device="gpu")
    assert x.is_leaf
    (x.to("cpu") * 3).sum().backward()
    assert isinstance(x.grad, strict_array.ndarray)
    assert x.grad.get().tolist() == [3, 3]


def test_moving_to_the_same_device_copies_nothing(gpu):
    array = np.ones(2)
    assert Tensor(array).to("cpu").data is array
    assert CPU.put(array) is array
    there = Device("gpu").put(array)
    assert Device("gpu").put(there) is there


def test_to_takes_device_and_dtype(gpu):
    x = Tensor([1.0], requires_grad=True)
    out = x.to("gpu", dtype=np.float64)
    assert (str(out.device), out.dtype) == ("gpu:0", np.float64)
    out.sum().backward()
    assert x.grad.dtype == np.float32


def test_array_module():
    ours, theirs = np.ones(1), strict_array.ones(1)
    assert array_module(ours) is array_module(None, 2.0, ours) is array_module() is np
    assert array_module(theirs) is array_module(1, theirs) is strict_array
    assert (device_of(ours), str(device_of(theirs))) == (CPU, "gpu:0")


def test_the_same_seed_gives_the_same_bits(xp):
    manual_seed(7)
    first = generator(xp).random((3, 2), dtype=xp.float32)
    second = generator(xp).random((3, 2), dtype=xp.float32)
    manual_seed(np.array(7))
    again = generator(xp).random((3, 2), dtype=xp.float32)
    assert (first == again).all()
    assert not (first == second).any()


def test_the_state_of_the_stream_goes_through_json():
    manual_seed(3)
    generator()
    state = json.loads(json.dumps(random_state()))
    x = np.ones(100)
    first = F.dropout(x).numpy()
    set_random_state(state)
    np.testing.assert_array_equal(F.dropout(x).numpy(), first)


def test_too_old_a_card(gpu):
    gpu.runtime.capability = (6, 1)
    with pytest.raises(DeviceError, match=r"^device gpu:0: Strict Double has compute capability 6\.1, and at least 7\.5"
                                          r" is needed; use a newer card, or use device 'cpu'$"):
        Device.parse("gpu")


NO_CUPY, NO_DRIVER, TOO_FEW, TOO_OLD = "no cupy", "no driver", "too few", "too old"


@pytest.mark.parametrize(("lacking", "device", "words"), [
    (NO_CUPY, "gpu", "CuPy is not installed; install CuPy for your driver with `pip install minidl[cuda13]`"),
    (NO_DRIVER, "gpu", "no usable NVIDIA driver (cudaErrorNoDevice); install one"),
    (TOO_FEW, "gpu:3", "this machine has 1 GPU(s), numbered from 0; use one of them"),
    (TOO_OLD, "cuda", "Strict Double has compute capability 6.1, and at least 7.5 is needed; use a newer card"),
])
@pytest.mark.parametrize("command", [
    ["train", "digits", "--epochs", "1"], ["evaluate", "model.safetensors"], ["zoo", "--measure"],
], ids=lambda command: command[0])
def test_commands_end_with_2_and_one_sentence(gpu, monkeypatch, tmp_path, capsys, command, lacking, device, words):
    if lacking == NO_CUPY:
        monkeypatch.setitem(sys.modules, "cupy", None)
    elif lacking == NO_DRIVER:
        monkeypatch.setattr(gpu.runtime, "getDeviceCount", no_driver)
    elif lacking == TOO_OLD:
        gpu.runtime.capability = (6, 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert main([*command, "--device", device]) == 2
    out, err = capsys.readouterr()
    name = "gpu:0" if device != "gpu:3" else device
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"minidl {command[0]}: device {name}: {words}")
    assert err.endswith(", or use --device cpu\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "model.safetensors"]
