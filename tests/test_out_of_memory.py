"""Out of memory: the error names the operation, the size and what to reduce, and the process can continue."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, kernels, no_grad
from minidl.tensor import op

ROOT = Path(__file__).parent.parent
REMEDY = r"; reduce the batch size or the image size$"


def vast(*shape):
    """A tensor of this shape that takes the memory of one element, which all elements share."""
    return Tensor(np.broadcast_to(np.float32(1), shape))


@pytest.fixture(params=["auto", "plain"])
def backend(request):
    if request.param == "auto" and kernels.settings.backend == "plain":
        pytest.skip("the fast kernels need Numba's compiler")
    with kernels.using(request.param):
        yield request.param


@pytest.mark.parametrize(("name", "call", "others"), [
    ("conv2d", lambda x: F.conv2d(x, np.ones((4, 2, 3, 3), np.float32), padding=1), r", \(4, 2, 3, 3\)"),
    ("conv_transpose2d", lambda x: F.conv_transpose2d(x, np.ones((2, 4, 3, 3), np.float32)), r", \(2, 4, 3, 3\)"),
    ("max_pool2d", lambda x: F.max_pool2d(x, 2), ", 2"),
    ("avg_pool2d", lambda x: F.avg_pool2d(x, 3), ", 3"),
    ("relu", F.relu, ""),
    ("add", lambda x: x + 1, ", 1"),
])
def test_an_operation(backend, name, call, others):
    x = vast(1 << 14, 2, 1 << 14, 1 << 14)                   # 32 TiB
    message = rf"^{name}: .*([\d.] (GiB|TiB)|in matmul).*\(inputs: \(16384, 2, 16384, 16384\){others}\){REMEDY}"
    with no_grad(), pytest.raises(MemoryError, match=message) as caught:
        call(x)
    assert isinstance(caught.value.__cause__, MemoryError)
    with no_grad():
        call(vast(1, 2, 8, 8))                               # enough memory again


def test_linear(backend):
    with pytest.raises(MemoryError, match=rf"^linear: .*iB.*\(inputs: \(8796093022208, 3\), \(2, 3\)\){REMEDY}"):
        F.linear(vast(1 << 43, 3), np.ones((2, 3), np.float32))


def test_the_backward_pass():
    @op
    def greedy(x, /):
        def backward(grad):
            return lambda: np.empty(1 << 50, np.float32)
        return x * 1, backward

    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = greedy(x)
    with pytest.raises(MemoryError, match=rf"^backward of greedy: .*PiB.*\(inputs: \(2, 3\)\){REMEDY}"):
        y.backward(np.ones((2, 3)))
    assert x.grad is None


def test_an_error_without_a_message():
    @op
    def silent(x, /):
        raise MemoryError

    with pytest.raises(MemoryError, match=rf"^silent: out of memory \(inputs: \(2,\)\){REMEDY}"):
        silent(np.ones(2))


@pytest.mark.parametrize(("rows", "amount"), [(1 << 20, r"4,096\.0 GiB"), (1 << 40, r"4,294,967,296\.0 GiB")])
def test_the_memory_pool_states_the_size(rows, amount):
    if kernels.settings.backend == "plain":
        pytest.skip("the plain backend has no memory pool")
    from minidl.kernels.cpu.runtime import memory_pool
    used = memory_pool.pool.live_bytes
    with pytest.raises(MemoryError, match=rf"^no memory for {amount}, an array \({rows}, 1048576\) of float32$"):
        memory_pool.empty((rows, 1 << 20), np.float32)
    assert memory_pool.pool.live_bytes == used


SPARE = """
import resource
import numpy as np
from minidl.kernels.cpu.runtime import memory_pool

MIB = 2**20
blocks = [memory_pool.empty((size * MIB,), np.uint8) for size in (100, 200)]
del blocks                                                   # the pool has cached 300 MiB
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 64 * MIB,) * 2)
print(memory_pool.pool.cached_bytes // MIB)
block = memory_pool.empty((300 * MIB,), np.uint8)      # fits only once the cache is released
print(memory_pool.pool.cached_bytes, block.size // MIB)
try:
    memory_pool.empty((600 * MIB,), np.uint8)
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc/self/statm exist on Linux only")
def test_cached_blocks_are_released_first():
    if kernels.settings.backend == "plain":
        pytest.skip("the plain backend has no memory pool")
    done = subprocess.run([sys.executable, "-c", SPARE], env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "300", "0 300", f"no memory for 600.0 MiB, an array ({600 * 2**20},) of uint8"]


def test_a_gpu_says_what_was_asked_for_and_what_there_is(gpu, monkeypatch):
    def exhausted(*_):
        raise gpu.OutOfMemoryError(3 << 30, 1 << 30)
    monkeypatch.setattr(gpu.pool, "used", 70 << 30)
    monkeypatch.setattr(gpu.pool, "held", 75 << 30)
    x = Tensor(np.ones((2, 2), np.float32), requires_grad=True, device="gpu")

    @op
    def greedy(x, /):
        return x * 1, exhausted
    message = (r"gpu:0 is out of memory: 3\.00 GiB asked for, 70\.00 GiB in arrays, 5\.00 GiB cached, 1\.00 GiB of "
               r"2\.00 GiB free; reduce the batch size, put blocks of the model into nn\.Checkpoint, or train with amp")
    with pytest.raises(MemoryError, match=f"^backward of greedy: {message}"):
        greedy(x).backward(Tensor(np.ones((2, 2), np.float32), device="gpu"))
    with pytest.raises(MemoryError, match=rf"^exhausting: {message}.*\(inputs: \(2, 2\)\)"):
        op(named_exhausting(exhausted))(x)


def named_exhausting(function):
    def exhausting(x, /):
        return function(), None
    return exhausting
