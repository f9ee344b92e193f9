"""What `minidl serve` says without its extra, and for arguments that cannot be."""

import pytest

from minidl.cli import main
from minidl.serve import needs


def test_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(needs.importlib.util, "find_spec", lambda name: None if name == "uvicorn" else name)
    assert main(["serve", "net.safetensors"]) == 2
    assert capsys.readouterr().err == "minidl serve: serving needs uvicorn: pip install 'minidl[serve]'\n"


@pytest.mark.parametrize(("arguments", "part"), [
    ([], "MODEL"), (["a", "--port", "x"], "--port"), (["a", "--max-batch", "0"], "--max-batch"),
    (["a", "--max-wait-ms", "-1"], "--max-wait-ms"), (["a", "--time-limit", "0"], "--time-limit"),
    (["a", "--log", "xml"], "--log")])
def test_arguments_that_cannot_be(capsys, arguments, part):
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    assert ended.value.code == 2
    assert part in capsys.readouterr().err
