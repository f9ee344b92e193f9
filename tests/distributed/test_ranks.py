"""Several ranks against one process with the whole batch, started by mpiexec."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import programs
import pytest

from minidl.distributed import Alone

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
# which refuses root, as in a container, and more ranks than cores
OPEN_MPI = {f"{name}_ALLOW_RUN_AS_ROOT{again}": "1" for name in ("OMPI", "PRTE") for again in ("", "_CONFIRM")} | {
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
needs_mpi = pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None,
                               reason="several processes need mpi4py and mpiexec: the extra mpi")


def started(program, ranks, *arguments):
    """A program of this folder, or another, started on so many ranks."""
    surroundings = os.environ | OPEN_MPI | {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH":
                                            os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([MPIEXEC, "-n", str(ranks), sys.executable, str(HERE / program), *arguments],
                            env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, ranks, *names):
    """{name: what rank 0 wrote}"""
    process = started("programs.py", ranks, str(folder), *names)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return {name: dict(np.load(folder / f"{name}.npz")) for name in names}


@pytest.fixture(scope="module")
def alone():
    """{name: the weights of one process}"""
    return {name: getattr(programs, name)(Alone()) for name in ("lenet", "accumulated", "few_images")}


def same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1e-3, np.abs(value).max())
        assert np.abs(found[name] - value).max() <= tolerance * scale, name


@needs_mpi
def test_two_ranks(tmp_path, alone):
    """They take the steps of one process; the same number of ranks gives the same bits."""
    found = run(tmp_path, 2, *alone, "few_images_again", "branches", "values", "compressed")
    for name, expected in alone.items():
        same(found[name], expected, 1e-5)
    first, second = ({key: value.tobytes() for key, value in found[name].items()}
                     for name in ("few_images", "few_images_again"))
    assert first == second
    for i in range(2):                                       # a gradient that one rank has alone
        np.testing.assert_allclose(found["branches"][f"branches.{i}.weight"], np.full((2, 4), 3.0))
    assert np.isnan(found["branches"]["branches.2.weight"]).all()
    assert found["values"]["size"] == 2
    check_compressed(found["compressed"])


@needs_mpi
@pytest.mark.slow
def test_four_ranks(tmp_path, alone):
    found = run(tmp_path, 4, "lenet", "few_images", "values", "compressed")
    same(found["lenet"], alone["lenet"], 1e-5)
    same(found["few_images"], alone["few_images"], 1e-5)
    assert found["values"]["size"] == 4
    check_compressed(found["compressed"])


def check_compressed(found):
    """Each number is rounded on its rank, and the sum once more: by 2^-8 of what is rounded, at most."""
    for name in [name.removeprefix("None.") for name in found if name.startswith("None.")]:
        exact, rounded, sizes = (found[f"{kind}.{name}"] for kind in ("None", "bfloat16", "sizes"))
        finite = np.isfinite(exact)
        assert np.array_equal(exact[~finite], rounded[~finite], equal_nan=True)
        assert (np.abs(rounded[finite] - exact[finite]) <= 2.01 * 2**-8 * sizes[finite]).all()
        assert not np.array_equal(exact[finite], rounded[finite])
    assert np.isposinf(found["bfloat16.fc3.bias"][0])
    assert np.isnan(found["bfloat16.fc3.bias"][1:3]).all()


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_resnet20_with_synchronised_norms(tmp_path, ranks):
    same(run(tmp_path, ranks, "resnet20")["resnet20"], programs.resnet20(Alone()), 1e-5)


def test_a_single_process_needs_no_mpi():
    assert programs.branches(Alone())["branches.0.weight"].tolist() == [[3.0] * 4] * 2
