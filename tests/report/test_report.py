"""The report of a run whose classes have names that a terminal, a font or a formula cannot show: nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidl.plot.figure import literal
from minidl.report.confusion import draw_confusion

ROOT = Path(__file__).parent.parent.parent
NAMES = ["crème", "日本", "😀", "x\udcffy", "$a$b$", "$100 \\frac", "^_{", "a\nb", "%s{}", ""]
RUN = f"""
import numpy as np, sys
from minidl import data, nn, optim
from minidl.train import fit
rng = np.random.default_rng(0)
names = {NAMES!a}
def images(n):
    return data.ImageDataset(rng.integers(0, 255, (n, 1, 4, 4)).astype(np.uint8), np.arange(n) % 10, names, names[0])
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
fit(model, optim.SGD(model.parameters(), lr=0.01), images(20), images(10), images(10), output_dir=sys.argv[1], epochs=1)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_run_where_stdout_is_not_utf8(tmp_path, encoding):
    folder = tmp_path / "$run$ $"
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-W", "error", "-c", RUN, folder], env=env, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.endswith(f"results are in {folder}/\n".encode())
    assert "crème: accuracy".encode(encoding, "backslashreplace") in done.stdout
    assert {path.name for path in folder.iterdir()} >= {"report.txt", "metrics.json", "confusion.png", "curves.png"}
    report = (folder / "report.txt").read_text(encoding="utf-8")
    assert all(name in report for name in NAMES if name.isprintable())
    assert r"x\udcffy" in report
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert [row["class"] for row in metrics["classes"]] == NAMES
    json.loads((folder / "args.json").read_text(encoding="utf-8"))
    assert (folder / "log.csv").read_bytes().isascii()


def test_a_plot_shows_names_as_they_are(tmp_path):
    assert literal("a $x$ \udcff") == r"a \$x\$ \udcff"
    draw_confusion(tmp_path / "confusion.png", np.eye(len(NAMES), dtype=int), NAMES, "$ 5 of $x^{")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
