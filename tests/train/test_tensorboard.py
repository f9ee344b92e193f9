"""The log for TensorBoard, read back from its files; each test needs tensorboardX, except for the last."""

import builtins
import errno
import os
import struct
import sys

import pytest
import toy_run
from test_resume import killed_at

from minidl.train import RunError
from minidl.train.loop import Loop


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("minidl.train.records.draw_curves", lambda *_: None)


def events(folder):
    """The events in the files of a run, one list for each file, in the order of their names."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs tensorboardX")
    masked_crc32c = pytest.importorskip("tensorboardX.record_writer").masked_crc32c
    files = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data, found = path.read_bytes(), []
        while data:
            size, check = struct.unpack("<QI", data[:12])
            record, (end,) = data[12:12 + size], struct.unpack("<I", data[12 + size:16 + size])
            assert (check, end) == (masked_crc32c(data[:8]), masked_crc32c(record))
            found.append(event_pb2.Event.FromString(record))
            data = data[16 + size:]
        files.append(found)
    return files


def scalars(found, tag):
    return [(event.step, value.simple_value) for event in found for value in event.summary.value if value.tag == tag]


def test_the_columns_of_the_log(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX")
    monkeypatch.setattr("minidl.train.tensorboard.INTERVAL", 0)
    rows = toy_run.train(tmp_path, tensorboard=True)
    [found] = events(tmp_path)
    assert found[0].file_version == "brain.Event:2"
    for tag, column in (("loss/train", "train_loss"), ("accuracy/validation", "validation_accuracy"),
                        ("loss/validation", "validation_loss"), ("run/lr", "lr")):
        steps, values = zip(*scalars(found, tag), strict=True)
        assert steps == (7, 14, 21)
        assert values == pytest.approx([row[column] for row in rows], rel=1e-6)
    assert [step for step, _ in scalars(found, "loss/step")] == list(range(1, 22))


def test_a_resumed_run_continues_the_steps(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX")
    monkeypatch.setattr("minidl.train.tensorboard.INTERVAL", 0)
    with killed_at(Loop, "step", 10):
        toy_run.train(tmp_path, tensorboard=True, checkpoint_interval=0)
    toy_run.train(tmp_path, tensorboard=True, resume=True)
    first, second = events(tmp_path)
    assert [step for step, _ in scalars(first, "loss/step")] == list(range(1, 10))
    assert [step for step, _ in scalars(second, "loss/step")] == list(range(10, 22))
    assert (second[1].step, second[1].session_log.status) == (10, second[1].session_log.START)   # later ones are void
    assert [step for step, _ in scalars(second, "loss/train")] == [14, 21]


def test_a_full_disk_is_named_and_the_run_can_go_on(tmp_path, monkeypatch):
    writers = pytest.importorskip("tensorboardX.record_writer", reason="needs tensorboardX")
    write, written = writers.RecordWriter.write, []

    def on_a_small_disk(self, event):
        if len(written) == 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(event)
        write(self, event)
    monkeypatch.setattr("minidl.train.tensorboard.INTERVAL", 0)
    with monkeypatch.context() as patched:
        patched.setattr(writers.RecordWriter, "write", on_a_small_disk)
        with pytest.raises(OSError, match=r"cannot write .*events.out.tfevents.\d+: No space left"):
            toy_run.train(tmp_path, tensorboard=True)
    assert len(toy_run.train(tmp_path, tensorboard=True, resume=True)) == 3


def test_without_the_extra(tmp_path, monkeypatch):
    original = builtins.__import__

    def without(name, *args, **settings):
        if name.startswith("tensorboardX"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *args, **settings)

    for name in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RunError, match=r"tensorboard=True needs the package tensorboardX .*'minidl\[tensorboard\]'"):
        toy_run.train(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()
