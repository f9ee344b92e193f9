"""run_main: errors become one sentence on stderr and an exit code."""

import errno
import signal

import pytest

from minidl import DeviceError, NonFiniteError
from minidl.data import DataError, DownloadError
from minidl.io import CheckpointError
from minidl.train import Interrupted, RunError, run_main

CASES = [
    (DataError("a file is damaged"), 2, "a file is damaged"),
    (DownloadError("no network"), 2, "no network"),
    (DeviceError("no GPU"), 2, "no GPU"),
    (CheckpointError("not one"), 2, "not one"),
    (RunError("holds a run"), 2, "holds a run"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.csv"), 2, "No such file or directory: x.csv"),
    (OSError(errno.ENOSPC, "cannot write a: No space left on device"), 2, "cannot write a: No space left on device"),
    (NonFiniteError("the loss is nan"), 1, "the loss is nan"),
    (Interrupted("stopped by SIGTERM", signal.SIGTERM), 143, "stopped by SIGTERM"),
    (Interrupted("stopped by SIGINT", signal.SIGINT), 130, "stopped by SIGINT"),
    (MemoryError("no memory for 9 TiB"), 2, "no memory for 9 TiB"),
    (KeyboardInterrupt(), 130, "stopped at once; saved files are kept"),
]


def failing(error):
    def main():
        raise error
    return main


@pytest.mark.parametrize(("error", "code", "message"), CASES)
def test_errors_become_sentences(monkeypatch, capsys, error, code, message):
    monkeypatch.setattr("sys.argv", ["examples/train.py"])
    with pytest.raises(SystemExit) as caught:
        run_main(failing(error))
    assert caught.value.code == code
    assert capsys.readouterr().err == f"train.py: {message}\n"


@pytest.mark.parametrize("error", [TypeError("a bug"), ZeroDivisionError()])
def test_bugs_keep_their_traceback(error):
    with pytest.raises(type(error)):
        run_main(failing(error))


def test_minidl_traceback_keeps_every_traceback(monkeypatch):
    monkeypatch.setenv("MINIDL_TRACEBACK", "1")
    with pytest.raises(DataError):
        run_main(failing(DataError("a file is damaged")))


def test_success():
    with pytest.raises(SystemExit) as caught:
        run_main(lambda: None)
    assert caught.value.code is None
