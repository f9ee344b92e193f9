"""`fit` on several ranks: against one process, resumed, and ended by whatever may end a run."""

import json
import re
import time

import numpy as np
import pytest
from test_ranks import needs_mpi, started

from minidl.io import load_checkpoint

pytestmark = needs_mpi


def begun(tmp_path, name, ranks, *more):
    return started("runs.py", ranks, name, str(tmp_path), *more)


def ended(process, seconds=120):
    """(exit code, what it printed)"""
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            process.kill()
    return process.returncode, out, err


def found(tmp_path, name, ranks, *more):
    code, out, err = ended(begun(tmp_path, name, ranks, *more))
    assert code == 0, err[-3000:]
    return json.loads((tmp_path / f"{name}.json").read_text()), out


def contents(path):
    arrays, facts = load_checkpoint(path)
    timeless = json.loads(re.sub(r'"seconds": [\d.]+', '"seconds": 0', json.dumps(facts)))
    return {name: (array.shape, array.tobytes()) for name, array in arrays.items()}, timeless


def recipe(folder):
    return json.loads((folder / "args.json").read_text())["recipe"]


def alike(first, second, tolerance):
    """Whether two checkpoints have equal arrays, up to rounding."""
    (first, _), (second, _) = load_checkpoint(first), load_checkpoint(second)
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert np.abs(array - second[name]).max() <= tolerance * max(1e-2, np.abs(array).max()), name


@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_train_as_one_process(tmp_path, ranks):
    values, out = found(tmp_path, "shared", ranks)
    for name in ("last", "best"):
        alike(tmp_path / "ranks" / f"{name}.safetensors", tmp_path / "alone" / f"{name}.safetensors", 1e-4)
    for row, expected in zip(values["rows"], values["alone"], strict=True):
        assert row.keys() == expected.keys()
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
        assert row["validation_loss"] == pytest.approx(expected["validation_loss"], rel=1e-4)
        assert row["train_accuracy"] == pytest.approx(expected["train_accuracy"])
        assert row["validation_accuracy"] == pytest.approx(expected["validation_accuracy"])
    for row, expected in zip(values["compressed"], values["rows"], strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=0.02)
        assert row["train_loss"] != expected["train_loss"]
    assert recipe(tmp_path / "compressed")["compress"] == "bfloat16"
    assert "compress" not in recipe(tmp_path / "ranks")
    assert len(values["stopped"]) == 2
    assert out.count("epoch 1/3") == 4, out                  # each run prints once
    assert "stopped after 2 of 3 epochs: rank 1 wants it" in out
    assert (tmp_path / "ranks" / "report.html").exists()


def test_ranks_that_differ_are_refused(tmp_path):
    said, _ = found(tmp_path, "refused", 2)
    assert said["seed"].startswith("rank 1 differs from rank 0 in the setting seed: 2, on rank 0 1; start")
    assert said["lr"].startswith("rank 1 differs from rank 0 in the setting lr: 2, on rank 0 1;")
    assert said["data"].startswith("rank 1 differs from rank 0 in the training images: ")
    assert said["compress"].startswith("rank 1 differs from rank 0 in the setting compress: 'bfloat16', on rank 0 None")
    assert said["batch"] == "fit: batch_size=1 cannot be divided among 2 ranks; each needs an image"
    assert said["graph"] == "fit: overfit=True works in one process only; leave out communicator"
    assert said["weights"].startswith("after epoch 2, fc.bias on rank 1 is not what it is on rank 0: ")


@pytest.mark.parametrize(("how", "code", "message"), [
    ("raise", 1, "rank 1 of 2: Traceback .*ZeroDivisionError: division by zero"),
    pytest.param("nan", 1, "rank 1 of 2: epoch 2, step 4: the loss is nan. --resume .* continues from the last good "
                 "checkpoint", marks=pytest.mark.slow),
    pytest.param("full", 2, "rank 0 of 2: cannot write .*last.safetensors: there is no folder",
                 marks=pytest.mark.slow)])
def test_an_error_of_one_rank_ends_all_with_one_message(tmp_path, how, code, message):
    process = begun(tmp_path, "resumed", 2, how)
    found_code, _, err = ended(process)
    assert found_code == code, err
    assert re.search(message, err, re.DOTALL), err
    assert err.count("of 2:") == 1


def test_a_signal_to_one_rank_stops_and_saves_the_run_of_all(tmp_path):
    code, _, err = ended(begun(tmp_path, "resumed", 2, "interrupt"))
    assert code == 130, err
    assert re.search(r"runs.py: stopped by SIGINT after step 4 of epoch 2; the run is saved, and --resume", err), err
    assert err.count("stopped by") == 1
    assert load_checkpoint(tmp_path / "run" / "last.safetensors")[1]["position"]["step"] == 4


@pytest.mark.slow
def test_a_killed_run_is_resumed_bit_for_bit(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
    found(undisturbed, "resumed", 2)
    begin = time.monotonic()
    code, _, err = ended(begun(killed, "resumed", 2, "kill"))
    assert code != 0, err
    assert time.monotonic() - begin < 120
    other = tmp_path / "other"
    other.mkdir()
    (other / "run").mkdir()
    for file in (killed / "run").iterdir():
        (other / "run" / file.name).write_bytes(file.read_bytes())
    found(killed, "resumed", 2)
    for name in ("last", "best"):
        file = f"run/{name}.safetensors"
        assert contents(killed / file) == contents(undisturbed / file)
    rows, _ = found(other, "resumed", 3)                     # on another number of ranks
    assert len(rows["rows"]) == 3
