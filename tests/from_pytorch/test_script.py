"""The script in docs/from_pytorch.md: it runs, few lines change, and none of these could have stayed."""

import numpy as np
import page
import pytest

import minidl.torch
from minidl import data

SOURCE, CHANGES = page.script()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A file of 300 drawn digits."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    drawn = data.drawn_digits(300)
    np.savez(path, images=drawn.images.reshape(300, 28, 28), labels=drawn.labels)
    return path


def run(source, *arguments):
    """(model, accuracy) that the script's `main` returns."""
    names = {"__name__": "script"}
    exec(compile(source, "docs/from_pytorch.md", "exec"), names)
    return names, names["main"](list(map(str, arguments)))


def is_import(line):
    return line.startswith(("import ", "from "))


def test_imports_and_fewer_than_eight_lines_change():
    assert 90 <= sum(bool(line.strip()) for line in SOURCE.splitlines()) <= 100
    assert sum(not is_import(before) for before, _ in CHANGES) < 8


def test_the_script_trains_and_resumes(digits, tmp_path, capsys):
    source, path = page.changed(SOURCE, CHANGES), tmp_path / "checkpoint.pt"
    _, (model, accuracy) = run(source, digits, "--epochs", 2, "--output", path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2"]
    assert 0 <= accuracy <= 1
    saved = minidl.torch.load(path)
    assert saved["epoch"] == 1
    np.testing.assert_array_equal(saved["model"]["head.1.weight"], model.state_dict()["head.1.weight"])
    run(source, digits, "--epochs", 3, "--resume", path, "--output", tmp_path / "more.pt")
    assert capsys.readouterr().out.startswith("epoch 3: lr 0.0000")


@pytest.mark.parametrize(("before", "after"), CHANGES, ids=range(len(CHANGES)))
def test_every_line_of_pytorchs_that_was_changed_raises(before, after, digits, tmp_path):
    """So nobody changes too few lines without being told."""
    others = [change for change in CHANGES if change != (before, after)]
    with pytest.raises((AttributeError, TypeError, ImportError, ValueError, RuntimeError)) as raised:
        run(page.changed(SOURCE, others), digits, "--epochs", 1, "--output", tmp_path / "checkpoint.pt")
    if not is_import(before):
        assert "write x.reshape(y.shape)" in str(raised.value)


def test_a_checkpoint_of_pytorch_goes_on(digits, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        without_processes = SOURCE.replace("num_workers=2", "num_workers=0")
        theirs, (model, _) = run(without_processes, digits, "--epochs", 1, "--output", tmp_path / "theirs.pt")
        images = np.load(digits)["images"][:50, None].astype(np.float32) / 255
        model.eval()
        with torch.no_grad():
            expected = model(torch.from_numpy(images)).numpy()
    finally:
        torch.set_num_threads(before)
    source = page.changed(SOURCE, CHANGES)
    names, (ours, _) = run(source, digits, "--epochs", 2, "--resume", tmp_path / "theirs.pt", "--output",
                           tmp_path / "ours.pt")
    assert "epoch 2" in capsys.readouterr().out
    ours.load_state_dict(minidl.torch.load(tmp_path / "theirs.pt")["model"])
    np.testing.assert_allclose(ours.eval()(images).numpy(), expected, rtol=1e-4, atol=1e-4)
    assert theirs.keys() == names.keys()


def test_the_tables_are_those_of_missing():
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), "run python tests/from_pytorch/page.py"
