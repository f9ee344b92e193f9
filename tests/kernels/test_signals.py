"""Signal handlers that run operations, or raise an exception, wherever the main thread happens to be.

Each test is a process of its own: a lock that the handler waits for would hang it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)
if not hasattr(signal, "setitimer"):
    pytest.skip("this system has no timers", allow_module_level=True)

ROOT = Path(__file__).parents[2]
PATIENCE = 240                                       # seconds, only for a process that hangs
START = """
import hashlib, random, signal, sys
import numpy as np
import minidl
import minidl.functional as F
from minidl import Tensor, data, nn, optim
from minidl.kernels.cpu.runtime import memory_pool
from zoo.lenet import lenet5

sys.unraisablehook = lambda _: None                  # an exception in a finalizer cannot be raised
digits = data.drawn_digits(320)
small = Tensor(np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32))
other = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
images, labels = next(iter(data.DataLoader(digits, 8)))
handled, busy, right = [], [], []
caught = False                                       # whether an exception raised now is caught

def train():
    '''(a digest of the weights, steps) of two epochs; a step that is interrupted is left out.'''
    global caught
    minidl.manual_seed(0)
    model = lenet5()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loader, steps = data.DataLoader(digits, 32, shuffle=True), 0
    for epoch in range(2):
        batches = iter(loader)
        while True:
            batch = None
            try:
                caught = True
                batch = next(batches, None)
                if batch is not None:
                    optimizer.zero_grad()
                    F.cross_entropy(model(Tensor(batch[0])), batch[1]).backward()
                    optimizer.step()
                    steps += 1
                caught = False
            except KeyboardInterrupt:
                caught = False
            if batch is None:
                break
    return hashlib.sha256(b"".join(p.numpy().tobytes() for p in model.parameters())).hexdigest(), steps

def work():
    '''What a handler does: an operation, now and then a step of another network, and an epoch of another loader.'''
    handled.append(len(handled))
    right.append(np.array_equal(F.relu(small).numpy(), np.maximum(small.numpy(), 0)))
    state = minidl.device.random_state()
    if len(handled) % 7 == 0:
        F.cross_entropy(other(Tensor(images)), labels).backward()
    if len(handled) % 20 == 0:
        right.append(sum(len(labels) for _, labels in data.DataLoader(digits.take(40), 16)) == 40)
    minidl.device.set_random_state(state)

def handler(*_):
    if not busy:                                     # the next signal may come before this handler is done
        busy.append(True)
        try:
            work()
        finally:
            busy.clear()
        if raising and caught and len(handled) % 3 == 0:
            raise KeyboardInterrupt

def disturbed(call, seconds):
    '''What `call()` returns while a timer's signals come.'''
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
"""


def run(code, **environment):
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", START + code], text=True, check=False, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_handler_runs_operations_during_training():
    """Training has the same bits, except that dropout's random numbers are shared; so the handler restores them."""
    assert run("""
raising = False
quiet = train()
found = disturbed(train, 0.002)
print(found == quiet, len(handled) > 3, all(right))
""") == ["True", "True", "True"]


def test_a_handler_raises_during_training():
    """Steps are lost, and nothing else: another training has the same bits as before."""
    assert run("""
raising = True
quiet = train()
for _ in range(3):
    disturbed(train, 0.001)
print(train() == quiet, len(handled) > 9, all(right))
""") == ["True", "True", "True"]


@pytest.mark.slow
@pytest.mark.parametrize("raising", [False, True])
def test_a_handler_runs_operations_while_kernels_are_compiled(tmp_path, raising):
    """It compiles kernels itself. Afterwards the cache is complete, and nothing in it is locked."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "MINIDL_COMPILE_AHEAD": "0"}
    assert run(f"""
raising = {raising}
disturbed(train, 0.01)
print(all(right), len(handled) > 9, train()[1])
""", **environment) == ["True", "True", "20"]
    assert not list(tmp_path.rglob("*.lock"))
    assert run("""
from minidl.kernels.cpu.runtime.progress import progress
train()
print(len(progress.done))
""", **environment) == ["0"]


@pytest.mark.parametrize("raising", [False, True])
def test_a_handler_allocates_while_the_pool_is_searched(raising):
    """No block is given to two arrays, and the counts stay right."""
    assert run(f"""
raising = {raising}
sizes, kept = random.Random(0), []
def work():
    handled.append(len(handled))
    new = [memory_pool.empty((sizes.choice([4300, 5000, 6000, 40000]),), np.float32) for _ in range(3)]
    new[0][:] = 7
    kept.append(new.pop())
    del kept[:-4]

def allocate():
    global caught
    chosen, live, intact = random.Random(1), {{}}, True
    for number in range(150_000):
        try:
            caught = True
            block = memory_pool.empty((chosen.choice([4200, 5000, 6000, 7000, 40000, 45000]),), np.float32)
            block[0] = block[-1] = number
            live[chosen.randrange(30)] = number, block
            if number % 50 == 0:
                intact = intact and all(block[0] == block[-1] == value for value, block in live.values())
            caught = False
        except KeyboardInterrupt:
            caught = False
    return intact

before = memory_pool.pool.live_bytes
print(disturbed(allocate, 0.0003), len(handled) > 9)
kept.clear()
pool = memory_pool.pool
print(raising or pool.cached_bytes == sum(map(len, pool.cached)), raising or pool.live_bytes == before)
""") == ["True", "True", "True", "True"]
