"""Forked children, whose parent's threads are not in them: they compute, with the same bits, and never hang."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)
if not hasattr(os, "fork"):
    pytest.skip("this system has no fork", allow_module_level=True)

ROOT = Path(__file__).parents[2]
PATIENCE = 120                                       # seconds, only for a child that hangs
START = """
import hashlib, multiprocessing, os, signal, sys, threading, time
import numpy as np
import minidl
import minidl.functional as F
from minidl import Tensor, data, nn, optim
from minidl.kernels.cpu.runtime import threads

x = np.random.default_rng(0).standard_normal((16, 3, 64, 64)).astype(np.float32)
labels = np.arange(16) % 10

def step(_=None):
    '''A digest of the weights after a training step.'''
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(8 * 31 * 31, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    F.cross_entropy(model(Tensor(x)), labels).backward()
    optimizer.step()
    return hashlib.sha256(b"".join(p.numpy().tobytes() for p in model.parameters())).hexdigest()

def fork(child):
    '''The exit code of a child that calls `child`.'''
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = child()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def same():
    return 0 if step() == right else 1

"""
AFTER = START + "right = step()\n"


def run(code, start=AFTER, **environment):
    """What a fresh process prints."""
    bare = {key: value for key, value in os.environ.items() if key != "NUMBA_NUM_THREADS"}
    environment = bare | {"PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"} | environment
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", start + code], env=environment,
                          text=True, check=False, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_child_takes_the_same_training_step(layer):
    assert run("print(fork(same), threads.thread_count(), step() == right)", NUMBA_THREADING_LAYER=layer) == [
        "0", "2", "True"]


def test_a_child_of_a_child():
    assert run("print(fork(lambda: fork(same)))") == ["0"]


def test_a_child_has_one_thread_of_its_own():
    assert run("print(fork(threads.thread_count))") == ["1"]


def test_a_child_forked_before_the_first_kernel_has_a_pool_of_its_own():
    assert run("print(fork(lambda: step() and threads.thread_count()))", start=START) == ["2"]


def test_several_children_at_once():
    assert run("""
with multiprocessing.get_context("fork").Pool(4) as pool:
    print(set(pool.map(step, range(12))) == {right})
""") == ["True"]


def test_spawned_children(tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(f"{AFTER}\nif __name__ == '__main__':\n"
                      "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
                      "        print(set(pool.map(step, range(3))) == {right})\n")
    done = subprocess.run([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
                          capture_output=True, timeout=PATIENCE, check=False)
    assert done.stdout == "True\n", done.stderr


def test_a_fork_while_another_thread_computes():
    """The locks that the thread may hold are free in the child."""
    assert run("""
stop = threading.Event()
def compute():
    while not stop.is_set():
        F.relu(F.conv2d(Tensor(x), Tensor(np.ones((8, 3, 3, 3), np.float32))))
worker = threading.Thread(target=compute)
worker.start()
print(*[fork(same) for _ in range(8)])
stop.set()
worker.join()
print(step() == right)
""") == ["0"] * 8 + ["True"]


def test_a_fork_from_another_thread():
    assert run("""
def work():
    print(fork(same))
worker = threading.Thread(target=work)
worker.start()
for _ in range(20):
    step()
worker.join()
print(step() == right)
""") == ["0", "True"]


@pytest.mark.slow
def test_a_fork_while_another_thread_compiles(tmp_path):
    assert run("""
worker = threading.Thread(target=step)
worker.start()
time.sleep(0.3)
print(fork(lambda: len(step()) - 64))
worker.join()
""", start=START, NUMBA_CACHE_DIR=str(tmp_path), MINIDL_COMPILE_AHEAD="0") == ["0"]
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.slow
def test_a_child_compiles(tmp_path):
    """It keeps no lock on the cache, and starts no second process."""
    assert run("""
from minidl.kernels.cpu.runtime.second_process import started
optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)
F.relu(Tensor(x))
before = len(started)
print(fork(lambda: int(step() == "" or len(started) != before)))
print(len(step()))
""", start=START, NUMBA_CACHE_DIR=str(tmp_path), MINIDL_COMPILE_AHEAD="1") == ["0", "64"]
    assert not list(tmp_path.rglob("*.lock"))


def test_a_fork_from_a_signal_handler():
    assert run("""
codes = []
signal.signal(signal.SIGALRM, lambda *_: codes.append(fork(same)))
for _ in range(5):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    wanted = len(codes) + 1
    while len(codes) < wanted:
        step()
print(*codes)
""") == ["0"] * 5


def test_an_epoch_that_was_begun_goes_on_in_the_child():
    """The thread that prepares batches ahead is not in the child, which makes them itself."""
    assert run("""
loader = data.DataLoader(data.drawn_digits(40), 4, shuffle=True, seed=1)
whole = [labels.tolist() for _, labels in loader]
loader.epoch = 0
batches = iter(loader)
begun = [next(batches)[1].tolist() for _ in range(3)]
rest = lambda: begun + [labels.tolist() for _, labels in batches] != whole
print(fork(lambda: int(rest())), rest())
""") == ["0", "False"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("binding", ["true", "false"])
def test_a_child_may_use_every_core(binding):
    """Even if OpenMP has bound its parent to one."""
    assert run("print(fork(lambda: len(os.sched_getaffinity(0))))", OMP_PROC_BIND=binding) == [
        str(len(os.sched_getaffinity(0)))]


def test_a_child_goes_on_with_a_copy_of_the_random_numbers():
    numbers = run("""
from minidl.device import generator
minidl.manual_seed(3)
generator()
draw = lambda: int(generator().integers(200))
print(*[fork(draw) for _ in range(2)], draw())
""")
    assert len(set(numbers)) == 1


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_workers_of_pytorchs_loader_compute():
    assert run("""
import torch
class Features(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return F.relu(F.conv2d(Tensor(x[index:index + 1]), Tensor(np.ones((4, 3, 3, 3), np.float32)))).numpy()[0]
def features(workers):
    return torch.cat(list(torch.utils.data.DataLoader(Features(), 2, num_workers=workers))).numpy()
print(np.array_equal(features(0), features(2)), step() == right)
""") == ["True", "True"]
