"""`fit(graph=True)` on the CPU: captured steps train with the bits of ordinary ones, and are repeated indeed."""

import numpy as np
import pytest
import toy_run

from minidl import augment, kernels
from minidl.host_graph import HostGraph
from minidl.io.checkpoint import load_checkpoint
from minidl.optim import SGD, Adam
from minidl.train import Callback

pytestmark = pytest.mark.skipif(kernels.host_backend() is kernels.plain, reason="array code is not captured")


@pytest.fixture
def repeated(monkeypatch):
    """A list that grows with each step that is repeated."""
    found, replay = [], HostGraph.replay
    monkeypatch.setattr(HostGraph, "replay", lambda self, arrays: found.append(1) or replay(self, arrays))
    return found


def outcome(folder, optimizer, **settings):
    """The log of a run without its times, and the bits of its last state."""
    rows = toy_run.train(folder, optimizer, **settings)
    arrays, _ = load_checkpoint(folder / "last.safetensors")
    return [{**row, "seconds": 0} for row in rows], {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize(("optimizer", "settings"), [
    (SGD, {}), (Adam, {}), (SGD, {"clip_norm": 0.5}), (SGD, {"ema_decay": 0.9}), (SGD, {"accumulate": 2}),
    (SGD, {"label_smoothing": 0.1}), (SGD, {"class_weights": np.linspace(0.5, 1.5, 10)}),
    (SGD, {"mix": augment.MixUp(0.2)}), (SGD, {"mix": augment.CutMix(1.0)}), (SGD, {"freeze": {"conv": 1}}),
    (SGD, {"drop_last": True}), (SGD, {"prefetch": 0}), (SGD, {"checkpoint_interval": 0}),
], ids=lambda x: getattr(x, "__name__", None) or "".join(x))
def test_captured_steps_train_with_the_bits_of_ordinary_ones(tmp_path, capsys, repeated, optimizer, settings):
    ordinary = outcome(tmp_path / "ordinary", optimizer, **settings)
    assert repeated == []
    captured = outcome(tmp_path / "captured", optimizer, graph=True, **settings)
    assert captured[0] == ordinary[0]
    assert [name for name in ordinary[1] if ordinary[1][name] != captured[1][name]] == []
    assert "cannot be captured" not in capsys.readouterr().out
    assert len(repeated) >= toy_run.STEPS


class Dim(Callback):
    """Changes a number of the network after each epoch."""

    def epoch_finished(self, run, row):
        run.model.dropout.p /= 2


def test_numbers_of_modules_may_change_between_epochs(tmp_path, capsys, repeated):
    ordinary, captured = (outcome(tmp_path / str(graph), SGD, graph=graph, callbacks=[Dim()])
                          for graph in (False, True))
    assert ordinary == captured
    assert "cannot be captured" not in capsys.readouterr().out
    assert repeated


@pytest.mark.parametrize("callbacks", [[], [Dim()]], ids=len)
def test_none_repeats_steps_where_it_is_sure_to_work(tmp_path, capsys, repeated, callbacks):
    toy_run.train(tmp_path, graph=None, callbacks=callbacks)
    assert bool(repeated) != bool(callbacks)
    assert "graph:" not in capsys.readouterr().out
