"""Several ranks against one process with the whole batch, started by mpiexec."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from programs import branches, few_images

from minidl.distributed import Alone

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None,
                               reason="several processes need mpi4py and mpiexec: the extra mpi")


def started(program, ranks, *arguments):
    """A program of this folder, or another, started on so many ranks."""
    surroundings = os.environ | {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(
        [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([MPIEXEC, "-n", str(ranks), sys.executable, str(HERE / program), *arguments],
                            env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(tmp_path, name, ranks, *flags):
    """What rank 0 wrote."""
    out = tmp_path / f"{name}-{ranks}-{len(list(tmp_path.iterdir()))}.npz"
    process = started("programs.py", ranks, name, str(out), *flags)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return dict(np.load(out))


def same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1e-3, np.abs(value).max())
        assert np.abs(found[name] - value).max() <= tolerance * scale, name


@needs_mpi
@pytest.mark.parametrize(("name", "ranks"), [("lenet", 2), ("lenet", 4), ("accumulated", 2), ("few_images", 4),
                                             pytest.param("resnet20", 2, marks=pytest.mark.slow),
                                             pytest.param("resnet20", 4, marks=pytest.mark.slow)])
def test_ranks_that_share_a_batch_take_the_same_steps_as_one_process(tmp_path, name, ranks):
    same(run(tmp_path, name, ranks), run(tmp_path, name, 1, "alone"), 1e-5)


@needs_mpi
def test_the_same_number_of_ranks_gives_the_same_bits(tmp_path):
    first, second = (run(tmp_path, "few_images", 2) for _ in range(2))
    assert {name: value.tobytes() for name, value in first.items()} == {
        name: value.tobytes() for name, value in second.items()}


@needs_mpi
def test_parameters_that_some_ranks_do_not_use(tmp_path):
    found = run(tmp_path, "branches", 2)
    for i in range(2):
        np.testing.assert_allclose(found[f"branches.{i}.weight"], np.full((2, 4), 3.0))
    assert np.isnan(found["branches.2.weight"]).all()


@needs_mpi
def test_what_ranks_say_to_each_other(tmp_path):
    assert run(tmp_path, "values", 3)["size"] == 3


def test_a_single_process_needs_no_mpi():
    assert branches(Alone())["branches.0.weight"].tolist() == [[3.0] * 4] * 2
    assert few_images(Alone())
