"""`minidl data`: text, JSON and the picture."""

import json

import numpy as np
import pytest
from PIL import Image

from minidl import cli, plot
from minidl.plot.samples import Sample


def minidl(*arguments):
    return cli.main(["data", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path):
    for name in ("ant", "bee $x$"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (20 + i, 30), (i, 90, len(name))).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_text_and_picture(photos, tmp_path, capsys):
    assert minidl(photos, "-o", tmp_path / "data.png") == 0
    out = capsys.readouterr().out
    assert out.startswith("photos: 6 images, 2 classes\n")
    assert out.endswith("data.png\n")
    with Image.open(tmp_path / "data.png") as picture:
        assert picture.size[0] == 1210


def test_json(photos, tmp_path, capsys):
    assert minidl(photos, "--json", "-o", tmp_path / "data.png") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 6
    assert found["sizes"]["largest"] == [22, 30]
    assert (tmp_path / "data.png").exists()


def test_masks(tmp_path, capsys):
    for name in ("images", "masks"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.tile(np.array([0, 0, 255], np.uint8), (9, 4))).save(
                tmp_path / "cells" / name / f"{i}.png")
    assert minidl(tmp_path / "cells", "-o", tmp_path / "data.png") == 0
    assert "255      108   33.3 %" in capsys.readouterr().out


def test_a_known_set(tmp_path, capsys):
    assert minidl("digits") == 0
    assert capsys.readouterr().out.startswith("digits: ")


def test_what_is_wrong_is_one_sentence(tmp_path, capsys):
    assert minidl(tmp_path / "nowhere") == 2
    assert "nowhere' is missing" in capsys.readouterr().err
    assert minidl("mnist", "--data-dir", tmp_path / "nowhere") == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(("classes", "parts"), [(1, [""]), (40, ["train", "test"]),
                                                (1200, ["train", "validation", "test"])])
def test_the_picture_of_any_number_of_classes(tmp_path, classes, parts):
    rng = np.random.default_rng(0)
    names = [f"a rather long name of class {i}" for i in range(classes)]
    counts = {part: rng.integers(0, 50, classes).tolist() for part in parts}
    tiles = [rng.integers(0, 256, (height, 20, 3)).astype(np.uint8) for height in (5, 96)]
    samples = [Sample(name, tiles) for name in names[:100]]
    picture = plot.data_overview("title $x$", names, counts, "images", [(10, 20), (30, 40)],
                                 rng.integers(0, 9, (3, 256)), samples)
    assert picture.values.tolist() == list(counts.values())
    bars, pie, *_ = picture.figure.axes
    assert len(bars.patches) == (classes * len(parts) if classes <= 40 else 0)
    assert len(pie.patches) == min(classes, 10)
    picture.save(tmp_path / "data.png")


def test_the_picture_of_nothing(tmp_path):
    plot.data_overview("", ["a"], {"": [0]}, "images", [], np.zeros((1, 256)), []).save(tmp_path / "data.png")
