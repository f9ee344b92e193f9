"""The Python code of pages in docs/ runs as it stands there, with small images in place of real data sets.

tests/data/test_parts.py runs that of docs/data.md, tests/serve that of docs/deploy.md.
"""

import time
from pathlib import Path

import numpy as np
import pytest

import zoo
from minidl import data, optim, plot, train

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page):
    """The blocks of Python code of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [part.partition("```")[0] for part in text.split("```python\n")[1:]]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """An empty current folder, and small images of noise in place of CIFAR-10."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 3, 32, 32)).astype(np.uint8)
    noise = data.ImageDataset(images, np.arange(60) % 10, "abcdefghij", np.full(3, 0.5), np.full(3, 0.25))
    monkeypatch.setattr(data, "load", lambda name, split="train", root=None: noise)
    monkeypatch.chdir(tmp_path)
    return noise


def shortened(code):
    """The same code for a training of one epoch."""
    return code.replace("epochs=30", "epochs=1").replace("fit(...,", "fit(model, optimizer, small, output_dir='short', "
                                                         "epochs=1,")


def test_training(small, tmp_path):
    names = {"small": small, "images": small.batch(range(3))[0], "np": np, "time": time}
    for code in blocks("training.md"):
        exec(shortened(code), names)
    assert (tmp_path / "runs" / "resnet20" / "report.html").exists()
    assert np.load(tmp_path / "short" / "logits-1.npy").shape == (3, 10)


def test_optimization(small, tmp_path):
    model = zoo.create("mobilenet_v1_cifar", width=0.25)
    names = {"model": model, "optimizer": optim.SGD(model.parameters(), 0.1), "optim": optim, "train": train,
             "steps": 4, "total_steps": 12, "train_set": small}
    for code in blocks("optimization.md"):
        exec(code.replace("batch_size=128", "batch_size=4"), names)
    assert [group["lr"] for group in names["optimizer"].param_groups] != [0.1]
    assert names["found"].suggestion > 0
    assert (tmp_path / "lr_finder.png").exists()


def test_evaluation(small, tmp_path):
    names = {"model": zoo.create("resnet20"), "test_set": small}
    for code in blocks("evaluation.md"):
        exec(code, names)
    assert names["result"].confusion.sum() == len(small)
    assert {file.name for file in (tmp_path / "out").iterdir()} >= {"report.txt", "metrics.json", "report.html"}


def test_look_inside(small, tmp_path):
    names = {"x": small.batch([0])[0][0], "plot": plot}
    for code in blocks("look_inside.md"):
        exec(code, names)
    assert {file.name for file in tmp_path.iterdir()} == {"resnet20.svg", "filters.png", "maps.png", "cam.png",
                                                          "tape.svg"}
