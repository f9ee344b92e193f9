"""The notebook is run by a kernel, as Jupyter runs it; its pictures show themselves."""

import base64
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_steps.ipynb"
SVG, PNG = "image/svg+xml", "image/png"


@pytest.mark.filterwarnings("ignore")
def test_every_cell_runs_and_pictures_show_themselves(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MINIDL_COMPILE_AHEAD", "0")
    notebook = nbformat.read(NOTEBOOK, 4)
    assert len(notebook.cells) == 20
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3",
                            resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {cell["id"]: outputs(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert "3  mul(1, 2)" in shown["cell-04"]["text"]
    assert "grad" in shown["cell-05"][SVG]
    assert "Each ratio is -1: a sign is wrong." in shown["cell-07"]["text"]
    assert "MaxPool2d" in shown["cell-11"][SVG]
    for name in ("cell-13", "cell-15", "cell-16", "cell-17"):        # the first is the live curve
        assert base64.b64decode(shown[name][PNG]).startswith(b"\x89PNG")
    assert not any("array(" in each["text"] for name, each in shown.items() if PNG in each)
    [accuracy] = re.findall(r"epoch 6/6 .* validation loss .* accuracy ([\d.]+)%", shown["cell-20"]["text"])
    assert float(accuracy) > 50
    assert shown["cell-20"]["text"].endswith("(4, 6)")
    if folder := os.environ.get("MINIDL_SAVE_PICTURES"):             # to look at them
        for name, each in shown.items():
            for kind, ending in ((SVG, "svg"), (PNG, "png")):
                if kind in each:
                    content = each[kind].encode() if ending == "svg" else base64.b64decode(each[kind])
                    (Path(folder) / f"{name}.{ending}").write_bytes(content)


def outputs(cell):
    """{MIME type: content}, and all text together."""
    found = {"text": ""}
    for output in cell.outputs:
        data = output.get("data", {})
        found |= {kind: content for kind, content in data.items() if kind in (SVG, PNG)}
        found["text"] += output.get("text", "") + data.get("text/plain", "") * (not {SVG, PNG} & set(data))
    return found
