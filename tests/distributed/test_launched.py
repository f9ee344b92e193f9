"""`--distributed` on the command line, and the cores of ranks."""

import itertools
import os
import subprocess
import sys
import threading

import pytest
from test_nccl import on_ranks
from test_ranks import HERE, needs_mpi, started

from minidl import cores, errors
from minidl.distributed import Alone, affinity
from minidl.train import Settings, fit_settings
from minidl.train.arguments import parse, training_parser
from minidl.train.launched import launched


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Nothing that a test does here outlives it."""
    for names in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(names, raising=False)
    monkeypatch.setattr(errors, "speaks", errors.always)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.parametrize(("flags", "message"), [
    ([], r"--distributed needs mpi4py and an MPI library: pip install 'minidl\[mpi\]'; then start the program with "
         "mpiexec -n RANKS python"),
    (["--find-lr"], "--find-lr works in one process; leave out --distributed"),
    (["--evaluate"], "--evaluate works in one process; leave out --distributed")])
def test_what_distributed_needs(monkeypatch, capsys, flags, message):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    parser = training_parser("toy", "a toy", epochs=1)
    assert errors.run(lambda: parse(parser, ["--distributed", *flags]), "toy") == 2
    assert capsys.readouterr().err.startswith("toy: " + message.replace("\\", "").partition("mpiexec")[0])
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    assert errors.run(lambda: parse(parser, ["--distributed", *flags]), "toy") == 2
    assert capsys.readouterr().err == ""                     # rank 0 has said it


@pytest.mark.parametrize("flags", [["--sync-batch-norm"], ["--compress", "bfloat16"]])
def test_what_needs_several_processes(capsys, flags):
    parser = training_parser("toy", "a toy", epochs=1)
    args = parse(parser, flags)
    assert errors.run(lambda: Settings(**fit_settings(args) | {"batch_size": 2}), "toy") == 2
    assert capsys.readouterr().err == f"toy: {flags[0]} is for several processes; add --distributed\n"
    with pytest.raises(ValueError, match="fit: compress='float16' must be 'bfloat16' or None"):
        Settings(output_dir="run", epochs=1, compress="float16", communicator=Alone())


@pytest.mark.parametrize(("names", "expected"), [
    ({}, (0, 0)), ({"PMI_RANK": "1", "PMI_SIZE": "3"}, (1, 3)), ({"PMI_RANK": "x", "PMI_SIZE": "3"}, (0, 0)),
    ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}, (2, 4)),
    ({"SLURM_PROCID": "1"}, (0, 0)), ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (1, 2))])
def test_what_launchers_say(monkeypatch, names, expected):
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert launched() == expected


@pytest.mark.parametrize("items", range(1, 12))
@pytest.mark.parametrize("parts", range(1, 6))
def test_shares_are_disjoint_and_alike(items, parts):
    found = [affinity.share(list(range(items)), i, parts) for i in range(parts)]
    if items < parts:
        assert found == [[]] * parts
    else:
        assert list(itertools.chain(*found)) == list(range(items))
        assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize(("allowed", "expected", "threads"), [
    ([{0, 1, 2, 3}] * 2, [{0, 1}, {2, 3}], "2"),             # a launcher that binds nothing
    ([{0, 1}, {2, 3}], [{0, 1}, {2, 3}], "2"),               # one that has bound each rank
    ([{0, 1}, {0, 1}, {2, 3}, {2, 3}], [{0}, {1}, {2}, {3}], "1"),       # several to a socket
    ([{0}, {0}], [{0}, {0}], "1")])                          # more ranks than cores
def test_ranks_divide_the_cores(monkeypatch, allowed, expected, threads):
    by_thread, kept = {}, {}
    monkeypatch.setattr(affinity, "by_place", sorted)
    monkeypatch.setattr(cores, "mine", lambda: by_thread[threading.get_ident()])
    monkeypatch.setattr(cores, "keep", lambda own: kept.update({threading.get_ident(): set(own)}))

    def work(host):
        here = threading.get_ident()
        by_thread[here] = allowed[host.rank]
        affinity.take_cores(host)
        return kept.get(here, allowed[host.rank])
    assert on_ranks(work, len(allowed)) == expected
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_threads_that_were_asked_for_stay(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    monkeypatch.setattr(cores, "keep", set)
    on_ranks(affinity.take_cores)
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_program_of_one_process_imports_nothing_of_it():
    code = ("import sys, minidl.train, minidl.commands.train; "
            "print([name for name in sys.modules if 'distributed' in name or 'mpi4py' in name])")
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parents[1], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@needs_mpi
@pytest.mark.slow
def test_compare_architectures(tmp_path):
    """Two networks, within a time that is measured; the same command again trains nothing."""
    flags = ["--data", "digits", "--models", "lenet5", "lenet5_1998", "--minutes", "0.001", "--limit", "200",
             "--validation", "100", "--distributed", "--output-dir", str(tmp_path / "compared")]
    for _ in range(2):
        process = started(HERE.parents[1] / "examples" / "compare_architectures.py", 2, *flags)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-3000:]
        assert out.count("table, curves and costs are in") == 1
        table = (tmp_path / "compared" / "compare.txt").read_text()
        assert [line.split()[0] for line in table.splitlines()[:3]] == ["run", "lenet5", "lenet5_1998"]
    assert out.count("finished before") == 2


@needs_mpi
@pytest.mark.slow
def test_minidl_train(tmp_path):
    flags = ["train", "digits", "--distributed", "--epochs", "1", "--limit", "300", "--validation", "100",
             "--output-dir", str(tmp_path / "run")]
    process = started(HERE.parents[1] / "minidl" / "__main__.py", 2, *flags)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert out.count("epoch 1/1") == 1
    assert out.count("results are in") == 1
    process = started(HERE.parents[1] / "minidl" / "__main__.py", 2, *flags)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 2, err[-3000:]
    assert err.count("already holds a run; resume it with --resume auto") == 1
