"""Ranks on GPUs, for which strict_array stands in, and strict_nccl for NCCL: each rank is a thread."""

import json
import threading

import numpy as np
import pytest
import strict_nccl

import minidl
import minidl.functional as F
from minidl import Device, Tensor, nn
from minidl.distributed import Alone, DistributedError, GradientSum
from minidl.distributed.gpus import own_device, with_device
from minidl.distributed.nccl import NCCL
from minidl.train.run import Position
from minidl.train.sums import shared_sums

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.standard_normal((8, 3, 6, 6)).astype(np.float32), np.arange(8) % 3


@pytest.fixture
def nccl(gpu, monkeypatch):
    """A machine with two GPUs and NCCL."""
    gpu.runtime.devices = 2
    monkeypatch.setattr(gpu, "nccl", strict_nccl, raising=False)
    monkeypatch.setattr(strict_nccl.NcclCommunicator, "meetings", {})
    return gpu


def on_ranks(work, size=2):
    """What `work(host)` returns on each rank; raises the first error."""
    meeting, found, errors = strict_nccl.Meeting(size), [None] * size, []

    def run(rank):
        try:
            found[rank] = work(strict_nccl.Threads(meeting, rank))
        except Exception as error:
            errors.append(error)
            meeting.barrier.abort()
    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    return found


def network():
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 4, 3))
    for p in model.parameters():
        p.data = rng.standard_normal(p.shape).astype(np.float32) * 0.3
    return model


def gradients(communicator, device, compress=None):
    """The gradients of a batch, of which each rank has a part, after two backward passes that add up."""
    model = nn.convert_sync_batch_norm(network(), communicator).to(device)
    total = GradientSum(list(model.parameters()), communicator, 64, compress)
    images, labels = IMAGES[communicator.rank::communicator.size], LABELS[communicator.rank::communicator.size]
    half = len(labels) // 2
    for part in (slice(half), slice(half, None)):
        if part.start:
            total.expect()
        loss = F.cross_entropy(model(Tensor(images[part], device=device)), device.put(labels[part]))
        (loss * (len(labels[part]) / len(LABELS))).backward()
    total.finish()
    return {name: Device("cpu").put(p.grad) for name, p in model.named_parameters()}


def test_gradients_and_moments_are_those_of_one_process(nccl):
    def work(host):
        device = own_device("gpu", host)
        assert device == Device("gpu", host.rank)
        with device.current():
            return gradients(with_device(host, device), device)
    expected = gradients(Alone(), Device("cpu"))
    for found in on_ranks(work):
        for name, gradient in expected.items():
            np.testing.assert_allclose(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_compressed_gradients(nccl, monkeypatch):
    pytest.importorskip("ml_dtypes")

    def work(host, compress):
        device = own_device("gpu", host)
        with device.current():
            return gradients(with_device(host, device), device, compress)
    exact, _, *found = on_ranks(lambda host: work(host, None)) + on_ranks(lambda host: work(host, "bfloat16"))
    for name, gradient in exact.items():
        assert np.array_equal(found[0][name], found[1][name]), "ranks have other bits"
        assert np.abs(found[0][name] - gradient).max() <= 0.01 * np.abs(gradient).max() + 1e-7
    assert any(not np.array_equal(found[0][name], gradient) for name, gradient in exact.items())
    monkeypatch.delattr(strict_nccl, "NCCL_BFLOAT16")
    with pytest.raises(DistributedError, match="this CuPy's NCCL has no bfloat16"):
        on_ranks(lambda host: work(host, "bfloat16"))


def test_sums_broadcasts_and_values(nccl):
    def work(host):
        device = Device("gpu", host.rank)
        communicator = NCCL(host, device)
        with device.current():
            array = device.put(np.full(3, 1.5 + host.rank))
            communicator.all_reduce(array)
            same = device.put(np.full((2, 2), host.rank))
            communicator.broadcast(same)
            with pytest.raises(ValueError, match="without gaps"):
                communicator.all_reduce(same[:, :1])
        return Device("cpu").put(array).tolist(), Device("cpu").put(same).tolist(), communicator.all_gather(host.rank)
    assert on_ranks(work) == [([4.0] * 3, [[0, 0], [0, 0]], [0, 1])] * 2


def test_the_sums_of_an_epoch_are_those_of_all_ranks(nccl):
    def work(host):
        device, position = Device("gpu", host.rank), Position()
        with device.current():
            sums = shared_sums(position, device, False, NCCL(host, device))
            for _ in range(2):
                logits = device.put(np.eye(3, dtype=np.float32)[:2])
                sums.add_loss(Tensor(device.put(np.float32([0.5 + host.rank]))).sum(), 2)
                sums.add_decisions(logits, device.put(np.array([0, 2 - host.rank])))
                sums.add_step()
                sums.pending = True
            sums.read()
        return position.loss, position.correct, position.counted
    assert on_ranks(work) == [(8.0, 6, 8)] * 2


def test_a_profile_shows_messages(nccl, tmp_path):
    def work(host):
        device = Device("gpu", host.rank)
        with device.current(), minidl.profile() as p:
            gradients(NCCL(host, device), device)
        return p
    for p in on_ranks(work):
        assert len(p.messages) > 1
        assert sum(message.bytes for message in p.messages) == 4 * (network_size() + 6)
        assert all(0 <= message.waited <= message.seconds for message in p.messages)
        assert f"{len(p.messages)} messages of 0.0 MiB: " in str(p)
        assert 0 <= p.hidden()["all", ""] <= p.seconds
        p.save_trace(tmp_path / "trace.json")
        events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        assert [event["ph"] for event in events if event.get("cat") == "message"] == ["b", "e"] * len(p.messages)


def network_size():
    return sum(p.data.size for p in network().parameters())


@pytest.mark.parametrize(("devices", "name", "message"), [
    (1, "gpu", "rank 1 has no GPU of its own: device gpu:1: this machine has 1 GPU"),
    (2, "gpu:0", "gpu:0 would be the device of several ranks; gpu, with no number, gives each its own")])
def test_each_rank_needs_a_gpu_of_its_own(nccl, devices, name, message):
    nccl.runtime.devices = devices

    def work(host):
        with pytest.raises(DistributedError, match=message):
            own_device(name, host)
        return True
    assert on_ranks(work) == [True, True]


def test_without_nccl(nccl, monkeypatch):
    monkeypatch.setattr(strict_nccl, "available", False)

    def work(host):
        with pytest.raises(DistributedError, match="ranks on GPUs need NCCL, and rank 0 lacks it"):
            NCCL(host, Device("gpu", host.rank))
        return True
    assert on_ranks(work) == [True, True]
