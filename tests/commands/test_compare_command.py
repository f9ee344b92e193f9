"""`minidl compare`: the table, JSON, the picture, and what is left out."""

import json

from toy_run import train

from minidl import cli


def test_compare(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train("one", epochs=1)
    (tmp_path / "empty").mkdir()
    capsys.readouterr()
    assert cli.main(["compare", "one", "-o", "compare.png"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (2, "")
    assert (tmp_path / "compare.png").stat().st_size > 1000
    assert cli.main(["compare", "one", "empty", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["runs"][0]["network"] == "Net"
    assert err == "minidl compare: left out: empty: no run; it has no args.json\n"
    assert cli.main(["compare", "empty"]) == 2
    assert capsys.readouterr().err.endswith("minidl compare: there is no run to compare\n")
    assert cli.main(["compare", "one", "-o", "compare.pdf"]) == 2
    assert "the picture is a PNG" in capsys.readouterr().err
