"""How kernels are run: the launcher, the cache on disk, and what the user sees while kernels are compiled."""

import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import own_thread
from minidl.kernels.cpu.runtime import cache, progress
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.work import share

ROOT = pathlib.Path(__file__).parents[2]
RELU = "import numpy as np; from minidl.kernels import cpu; print(cpu.relu(np.array([-1, 2], 'f')).tolist())"
RIGHT = "[0.0, 2.0]\n"


@kernel
def who_did_it(thread, threads, out):
    for i in share(thread, threads, len(out)):
        out[i] += 1000 * threads + thread


@kernel
def without_memory(thread, threads, out):
    if thread == threads - 1:
        raise MemoryError
    out[0] = 1


def run(folder, code=RELU, **environment):
    """A fresh process whose compiled kernels lie in `folder`."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=False)


@kernel
def unable(thread, threads, out):
    out[0] = "text"


def test_a_kernel_that_cannot_be_compiled_is_not_locked():
    """A second try would wait for the lock of the first, and so would other processes."""
    for _ in range(2):
        with pytest.raises(Exception, match="unable"):
            unable(np.zeros(1))
    folder = pathlib.Path(cache.KernelCache(who_did_it.__wrapped__)._cache_path)
    assert not list(folder.glob("*unable*.lock"))


@pytest.mark.parametrize("thread", [True, False], ids=["no more threads", "a thread"])
def test_a_job_in_a_thread_of_its_own(monkeypatch, thread):
    """What it returns or raises is the caller's; where no thread can be started, it happens in the caller's."""
    names = []

    def job():
        names.append(threading.current_thread().name)
        if len(names) == 2:
            raise KeyError("reason")
        return 5

    if thread:
        monkeypatch.setattr(threading.Thread, "start", lambda self: exec("raise RuntimeError"))
    assert own_thread.in_own_thread(job) == 5
    with pytest.raises(KeyError, match="reason"):
        own_thread.in_own_thread(job)
    assert set(names) == {"MainThread" if thread else "minidl-work"}


def test_every_thread_does_its_share_once():
    out = np.zeros(11, np.int64)
    who_did_it(out)
    threads = out[0] // 1000
    expected = [1000 * threads + thread for thread in range(threads) for _ in share(thread, threads, 11)]
    assert out.tolist() == expected


def test_a_serial_run_has_one_thread():
    out = np.zeros(11, np.int64)
    who_did_it.serial(out)
    assert out.tolist() == [1000] * 11


def test_a_kernel_keeps_its_name():
    assert who_did_it.__name__ == "who_did_it"


def test_a_thread_without_memory_raises_in_the_caller():
    with pytest.raises(MemoryError, match="no memory for the scratch arrays of the kernel without_memory"):
        without_memory(np.zeros(1))


def damaged(content):
    return bytes([content[40] ^ 1 if i == 40 else byte for i, byte in enumerate(content)])


@pytest.mark.parametrize("damage", [damaged, lambda content: content[:len(content) // 2], lambda content: b""],
                         ids=["one bit", "half", "empty"])
def test_a_damaged_file_is_compiled_again(tmp_path, damage):
    assert run(tmp_path).stdout == RIGHT
    files = sorted(tmp_path.rglob("*.kernel"))
    assert files
    for path in files:
        path.write_bytes(damage(path.read_bytes()))
    again = run(tmp_path)
    assert (again.returncode, again.stdout) == (0, RIGHT)
    assert "compiling kernels" in again.stderr
    assert run(tmp_path).stderr == ""                                # and the cache is complete again


def test_a_kernel_without_a_source_file_is_compiled_without_a_warning(tmp_path):
    code = """if True:
        import numpy as np
        from minidl.kernels.cpu.runtime.compile import kernel
        from minidl.kernels.cpu.runtime.work import share

        @kernel
        def double(thread, threads, x, out):
            for i in share(thread, threads, len(x)):
                out[i] = 2 * x[i]
        out = np.empty(2, np.float32)
        double(np.array([1, 2], np.float32), out)
        print(out.tolist())
    """
    done = run(tmp_path, code)
    assert (done.returncode, done.stdout) == (0, "[2.0, 4.0]\n")
    assert "cannot be cached" not in done.stderr


def test_a_full_disk_causes_one_warning(tmp_path):
    full = ("import pathlib\ndef fail(*_): raise OSError(28, 'No space left on device')\n"
            f"pathlib.Path.write_bytes = fail\n{RELU}")
    done = run(tmp_path, full)
    assert (done.returncode, done.stdout) == (0, RIGHT)
    assert done.stderr.count("cannot be cached") == 1
    assert "No space left on device" in done.stderr


def test_without_a_writable_folder_there_is_one_warning(tmp_path):
    """A read-only installation, and no home folder."""
    source = tmp_path / "minidl"
    import shutil
    shutil.copytree(ROOT / "minidl", source, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [path for path in (source / "kernels").rglob("*") if path.is_dir()] + [source / "kernels"]:
        (folder / "__pycache__").write_text("a file, so that no folder of this name can be made")
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "PYTHONPATH": str(tmp_path),
               "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}    # not the checkout, which is the current folder
    done = run("", **nowhere)
    assert (done.returncode, done.stdout) == (0, RIGHT)
    assert done.stderr.count("cannot be cached") == 1


def test_the_stamp_covers_what_is_imported_indirectly(tmp_path, monkeypatch):
    package = tmp_path / "minidl" / "sample"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "constants.py").write_text("SIZE = 3\n")
    (package / "middle.py").write_text("from minidl.sample.constants import SIZE\n")
    (package / "top.py").write_text("def f():\n    import minidl.sample.middle\n")
    (package / "other.py").write_text("X = 1\n")
    monkeypatch.setattr(cache, "ROOT", tmp_path)

    def stamp():
        cache.source_stamp.cache_clear()
        cache.imported.cache_clear()
        cache.source.cache_clear()
        return cache.source_stamp(package / "top.py")

    before = stamp()
    (package / "other.py").write_text("X = 2\n")
    assert stamp() == before
    (package / "constants.py").write_text("SIZE = 4\n")
    assert stamp() != before


def test_files_of_older_sources_are_removed(tmp_path):
    run(tmp_path)
    path = next(tmp_path.rglob("activation.*.kernel"))
    name = path.name.split(".")
    old = path.with_name(".".join([*name[:-3], "0" * 12, *name[-2:]]))
    path.rename(old)
    run(tmp_path)
    assert path.exists()
    assert not old.exists()


def test_compiling_is_reported_once_and_then_cached(tmp_path):
    both = RELU + "; cpu.relu(np.ones(3))"                           # two signatures
    first, second = run(tmp_path, both), run(tmp_path, both)
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stderr.count("compiling kernels") == 1
    assert second.stderr == ""


def test_a_terminal_shows_the_progress_of_compiling(monkeypatch, capsys):
    monkeypatch.setattr(cache.KernelCache, "read", lambda *_: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.record() as compiled:
        who_did_it(np.zeros(3, np.float32))                          # a signature of its own
    shown = capsys.readouterr().err
    assert [name for name, _ in compiled] == ["who_did_it"]
    assert "compiling kernels for this processor: " in shown
    assert "now who_did_it" in shown
    assert shown.endswith(progress.CLEAR)


TRAIN = """
import numpy as np
from minidl import nn, optim
from minidl.kernels import cpu
from minidl.kernels.cpu.runtime.second_process import started
optim.SGD(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)).parameters(), lr=0.1)
assert not started
cpu.relu(np.ones(3, np.float32))                         # the first kernel to compile
print(len(started), [process.wait() for process in started])
"""


@pytest.mark.slow
def test_a_second_process_compiles_ahead(tmp_path):
    done = run(tmp_path, TRAIN, MINIDL_COMPILE_AHEAD="1", NUMBA_NUM_THREADS="2")
    assert done.stdout == "1 [0]\n", done.stderr
    names = {path.name.partition(".")[0] for path in tmp_path.rglob("*.kernel")}
    assert {"optimizers", "indirect", "matmul", "cross_entropy", "max_pooling"} <= names
    assert not list(tmp_path.rglob("*.lock"))
    assert run(tmp_path, TRAIN, MINIDL_COMPILE_AHEAD="1", NUMBA_NUM_THREADS="2").stdout == "0 []\n"


@pytest.mark.parametrize("environment", [{"MINIDL_COMPILE_AHEAD": "0"}, {"NUMBA_NUM_THREADS": "1"}],
                         ids=["switched off", "one core"])
def test_no_second_process(tmp_path, environment):
    done = run(tmp_path, TRAIN, **({"MINIDL_COMPILE_AHEAD": "1", "NUMBA_NUM_THREADS": "2"} | environment))
    assert done.stdout == "0 []\n", done.stderr


def test_one_process_waits_for_the_other(tmp_path):
    """Two that need the same kernel at the same time compile it once."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    code = (f"{RELU}; from minidl.kernels.cpu.runtime.progress import progress; import sys; "
            "print(len(progress.done), file=sys.stderr)")
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [out for out, _ in said] == [RIGHT, RIGHT]
    assert sum(int(err.split()[-1]) for _, err in said) == 1
    assert not list(tmp_path.rglob("*.lock"))
