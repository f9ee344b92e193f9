"""`minidl evaluate`: the metrics of a run, or of a model file, on images with known classes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import zoo
from minidl import cli, data, io
from minidl.commands.evaluation_sets import matched
from minidl.evaluation import evaluate, in_order


def save_image(path, channel, rng):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 60, (30, 40, 3)).astype(np.uint8)
    pixels[..., channel] += 150
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Photographs of red cats and green dogs, and a run that was trained with them."""
    root, rng = tmp_path_factory.mktemp("evaluate"), np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 1)):
        for i in range(12):
            save_image(root / "photos" / name / f"{i}.png", channel, rng)
    assert cli.main(["train", str(root / "photos"), "--model", "lenet5", "--size", "28", "-b", "8", "--epochs", "2",
                     "--lr", "0.1", "--log-interval", "0", "--output-dir", str(root / "run")]) == 0
    return root


def minidl(capsys, *arguments, code=0):
    """(stdout, stderr) of `minidl evaluate`."""
    capsys.readouterr()
    assert cli.main(["evaluate", *map(str, arguments)]) == code
    return capsys.readouterr()


def test_a_run_knows_its_data(made, capsys, tmp_path):
    """Without a test folder these are its validation images, and the numbers are those that the run reported."""
    out, err = minidl(capsys, made / "run", "--report", tmp_path / "new" / "out")
    assert out == (made / "run" / "report.txt").read_text()
    assert "These are the validation images, which also chose the best epoch" in out
    assert "training images of 2 classes" in err
    files = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    assert files == ["confusion.png", "metrics.json", "report.html", "report.txt"]
    page = (tmp_path / "new" / "out" / "report.html").read_text()
    assert "Learning curves" in page                 # of the run
    assert ">training</th>" in page


def test_a_report_that_cannot_be_written(made, capsys, tmp_path):
    (tmp_path / "report.html").mkdir()
    out, err = minidl(capsys, made / "run", made / "photos", "--report", tmp_path, code=1)
    assert "accuracy" in out
    assert f"{tmp_path / 'report.html'} is missing: " in err
    assert (tmp_path / "report.txt").exists()
    (tmp_path / "file").write_text("")
    refused = minidl(capsys, made / "run", "--report", tmp_path / "file", code=2)
    assert "there is a file of this name" in refused.err
    assert refused.out == ""                         # before anything is evaluated


def test_the_folder_of_the_run_is_not_tested_with_its_training_images(made, capsys, monkeypatch):
    monkeypatch.chdir(made)
    for name in ("photos", "photos/", "./photos"):
        assert minidl(capsys, "run/best.safetensors", name).out == (made / "run" / "report.txt").read_text()


def test_a_model_file_on_a_folder(made, capsys, tmp_path):
    """Other images than those of the run: a copy of all."""
    photos = shutil.copytree(made / "photos", tmp_path / "photos")
    model = zoo.load(made / "run" / "best.safetensors")
    told = json.loads(minidl(capsys, made / "run" / "best.safetensors", photos, "--json").out)
    dataset = data.image_folder(photos, 28).normalized(model.about["mean"], model.about["std"])
    expected = evaluate(model, in_order(dataset), 2)
    assert told["confusion"] == expected.confusion.tolist()
    assert told["roc_auc"] == expected.summary()["roc_auc"]
    assert (told["part"], told["images"], told["test_time_augmentation"]) == ("test", 24, False)
    mirrored = json.loads(minidl(capsys, made / "run", photos, "--json", "--tta").out)
    assert mirrored["test_time_augmentation"]
    assert mirrored["loss"] == pytest.approx(evaluate(model, in_order(dataset), 2, tta=True).loss)
    shutil.copytree(made / "photos", tmp_path / "parts" / "val")
    assert json.loads(minidl(capsys, made / "run", tmp_path / "parts", "--json").out)["part"] == "validation"


def test_classes_are_matched_by_name(made):
    dataset = data.image_folder(made / "photos", 28)
    same = matched(dataset, ["mouse", "dog", "cat"], "photos")
    assert same.classes == ("mouse", "dog", "cat")
    assert [same.classes[i] for i in same.labels] == [dataset.classes[i] for i in dataset.labels]
    assert same.paths == dataset.paths
    assert matched(dataset, None, "photos") is matched(dataset, ["cat", "dog"], "photos") is dataset
    with pytest.raises(ValueError, match="photos has the class 'dog', which the model does not know, or knows twice; "
                                         "it knows 'cat', 'bird'"):
        matched(dataset, ["cat", "bird"], "photos")
    with pytest.raises(ValueError, match="photos has the class 'dog'"):
        matched(dataset, ["cat", "dog", "dog"], "photos")


def test_masks(tmp_path, capsys):
    """A U-Net on images with masks, whose values are named or not."""
    rng = np.random.default_rng(0)
    for i in range(3):
        for folder, values in (("images", rng.integers(0, 256, (16, 16))), ("masks", rng.integers(0, 2, (16, 16)) * 7)):
            (tmp_path / "cells" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "cells" / folder / f"{i}.png")
    model = zoo.create("unet", in_channels=1, num_classes=2, base_channels=4, depth=1, padded=True)
    for classes, flags in ((["7", "0"], ()), (["wall", "cell"], ("--mask-class", "0=cell", "--mask-class", "7=wall"))):
        io.save_model(tmp_path / "unet.safetensors", model, classes=classes, input=(1, 16, 16), mean=[0.5], std=[0.2])
        told = json.loads(minidl(capsys, tmp_path / "unet.safetensors", tmp_path / "cells", "--json", *flags,
                                 "--report", tmp_path / "out").out)
        assert [row["class"] for row in told["classes"]] == classes
        assert np.sum(told["confusion"]) == 3 * 16 * 16
        assert {"mean_dice", "mean_iou"} <= set(told)
    assert "Worst images" in (tmp_path / "out" / "report.html").read_text()
    minidl(capsys, tmp_path / "unet.safetensors", tmp_path / "cells", code=2)
    with pytest.raises(SystemExit):
        minidl(capsys, tmp_path / "unet.safetensors", tmp_path / "cells", "--mask-class", "x=wall")


def test_a_known_set(tmp_path, monkeypatch, capsys):
    digits = data.drawn_digits(60, seed=1)
    monkeypatch.setattr(data, "load", lambda name, split, root: digits)
    io.save_model(tmp_path / "model.safetensors", zoo.create("lenet5"), classes=list("9876543210"), input=(1, 28, 28))
    told = json.loads(minidl(capsys, tmp_path / "model.safetensors", "digits", "--json").out)
    assert [sum(row) for row in told["confusion"]] == np.bincount(digits.labels, minlength=10)[::-1].tolist()
    assert "top5_accuracy" in told
    (tmp_path / "args.json").write_text('{"recipe": {"dataset": "digits"}}')
    assert json.loads(minidl(capsys, tmp_path / "model.safetensors", "--json").out)["images"] == 60
    io.save_model(tmp_path / "model.safetensors", zoo.create("lenet5", in_channels=3), input=(3, 28, 28))
    told = json.loads(minidl(capsys, tmp_path / "model.safetensors", "digits", "--json").out)
    assert told["images"] == 60                      # in three equal channels


@pytest.mark.parametrize(("arguments", "words"), [
    (("nowhere.safetensors",), "nowhere.safetensors"),
    (("photos",), "there is no best.safetensors in this folder"),
    (("run/best.safetensors", "nowhere"), "'nowhere' is missing"),
    (("alone.safetensors",), "it is not known what data this run was trained with; give DATA"),
    (("run", "unknown"), "unknown has the class 'bird', which the model does not know"),
    (("run", "train-only"), "evaluate the run that was trained with it"),
])
def test_bad_arguments(made, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(made)
    shutil.copytree("photos", "train-only/train", dirs_exist_ok=True)
    shutil.copytree("photos/cat", "unknown/cat", dirs_exist_ok=True)
    shutil.copytree("photos/dog", "unknown/bird", dirs_exist_ok=True)
    (made / "alone").mkdir(exist_ok=True)
    shutil.copy("run/best.safetensors", "alone/alone.safetensors")
    arguments = ["alone/alone.safetensors" if word == "alone.safetensors" else word for word in arguments]
    assert words in minidl(capsys, *arguments, code=2).err
