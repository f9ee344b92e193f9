"""The pool: how many threads it has, on which cores they run, and which environment variables change that."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu.runtime import threads

ROOT = Path(__file__).parents[2]
REPORT = """
import os
from minidl.kernels.cpu.runtime import threads
listed, tasks = [], threads.tasks
threads.tasks = lambda: listed.append(tasks()) or listed[-1]
count = threads.thread_count()
workers = sorted(listed[1] - listed[0])
print((count, [sorted(os.sched_getaffinity(worker)) for worker in workers], sorted(os.sched_getaffinity(0))))
"""
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
linux = pytest.mark.skipif(not CORES or threads.quota() < len(CORES),
                           reason="the system does not say on which cores a process may run, or there is a quota")
several = pytest.mark.skipif(len(CORES) < 2, reason="this process has one core only")
CHOICES = {"NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "MINIDL_PIN"}


def report(code=REPORT, cores=None, **environment):
    """(threads, the cores that each worker may use, those of the main thread) in a fresh process."""
    bare = {key: value for key, value in os.environ.items() if key not in CHOICES}
    done = subprocess.run([sys.executable, "-c", code], env=bare | {"PYTHONPATH": str(ROOT)} | environment, text=True,
                          capture_output=True, check=True,
                          preexec_fn=cores and (lambda: os.sched_setaffinity(0, cores)))
    return ast.literal_eval(done.stdout)


@linux
def test_each_worker_has_a_core_of_its_own_and_the_main_thread_all():
    count, workers, main = report()
    assert count == len(CORES)
    assert workers == [[core] for core in CORES[1:]]
    assert main == CORES


@linux
@pytest.mark.parametrize("library", ["numba", "scipy.linalg", "minidl.nn"])
def test_libraries_imported_before_make_no_difference(library):
    """SciPy, which Numba imports where it is installed, starts threads that do not belong to the pool."""
    pytest.importorskip(library)
    assert report(f"import {library}\n{REPORT}")[1] == [[core] for core in CORES[1:]]


@linux
@several
@pytest.mark.parametrize("allowed", [CORES, CORES[1:]])
def test_a_main_thread_on_a_workers_core_moves_to_its_own(monkeypatch, allowed):
    """It may run anywhere afterwards, as before; and it does not move to a core that its affinity excludes."""
    moves = []
    monkeypatch.setattr(threads, "main_core", CORES[0])
    monkeypatch.setattr(threads, "current_core", lambda: CORES[1])
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: set(allowed))
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, cores: moves.append(cores))
    threads.return_to_main_core()
    assert moves == ([{CORES[0]}, set(CORES)] if allowed == CORES else [])
    monkeypatch.setattr(threads, "current_core", lambda: CORES[0])
    moves.clear()
    threads.return_to_main_core()
    assert not moves


@linux
@several
@pytest.mark.parametrize("choice", [{"MINIDL_PIN": "0"}, {"NUMBA_NUM_THREADS": str(len(CORES) + 1)}])
def test_workers_are_not_pinned(choice):
    """If the user forbids it, or if the numbers of threads and cores differ."""
    _, workers, _ = report(**choice)
    assert workers
    assert all(cores == CORES for cores in workers)


@linux
@pytest.mark.parametrize(("environment", "count"), [
    ({"OMP_NUM_THREADS": "1"}, 1), ({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "1,2"}, 1),
    ({"NUMBA_NUM_THREADS": "1"}, 1), ({"NUMBA_NUM_THREADS": "3", "OMP_NUM_THREADS": "1"}, 3),
    ({"NUMBA_NUM_THREADS": str(len(CORES)), "OMP_NUM_THREADS": "1"}, len(CORES)),
    ({"OMP_NUM_THREADS": "many"}, len(CORES)), ({"OMP_NUM_THREADS": "0"}, len(CORES)),
])
@pytest.mark.parametrize("first", ["", pytest.param("import numba\n", marks=pytest.mark.slow)])
def test_the_environment_sets_the_number_of_threads(environment, count, first):
    """Even if Numba was imported before; and the pool has that number, the main thread included."""
    reported, workers, _ = report(first + REPORT, **environment)
    assert (reported, len(workers) + 1) == (count, count)


@linux
def test_a_process_bound_to_one_core_has_one_thread():
    assert report(cores={CORES[-1]}) == (1, [], CORES[-1:])


@pytest.mark.parametrize(("limit", "cores"), [
    ("150000 100000", 2), ("100000 100000", 1), ("50000 100000", 1), ("max 100000", float("inf")), ("", float("inf")),
])
def test_the_quota_of_a_container(tmp_path, limit, cores):
    own = tmp_path / "cgroup"
    own.write_text("3:cpuset:/elsewhere\n0::/box\n")
    (tmp_path / "box").mkdir()
    (tmp_path / "box/cpu.max").write_text(limit + "\n")
    assert threads.quota(str(tmp_path), str(own)) == cores


def test_no_quota_where_there_are_no_groups(tmp_path):
    assert threads.quota(str(tmp_path), str(tmp_path / "none")) == float("inf")
    (tmp_path / "cgroup").write_text("3:cpuset:/elsewhere\n")
    assert threads.quota(str(tmp_path), str(tmp_path / "cgroup")) == float("inf")


def test_a_quota_bounds_the_threads(monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads.numba.config, "NUMBA_DEFAULT_NUM_THREADS", 8)
    monkeypatch.setattr(threads.numba.config, "NUMBA_NUM_THREADS", 8)
    monkeypatch.setattr(threads, "quota", lambda: 2)
    assert threads.wanted_threads() == 2
