"""`minidl train`: a network on folders of photographs or on a known data set, ready for `minidl predict`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl.functional as F
import zoo
from minidl import cli, data, io, nn, optim
from minidl.commands.train import size_for
from minidl.commands.training_sets import adapted
from minidl.data.streamed import Streamed
from minidl.io import load_checkpoint
from zoo.googlenet import GoogLeNet, GoogLeNetOutputs


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Red cats and green dogs, 20 of each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 1)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 60, (30, 40, 3)).astype(np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def minidl(*arguments):
    return cli.main(["train", *map(str, arguments)])


SMALL = ("--model", "lenet5", "--size", "28", "-b", "8", "--log-interval", "0")


def test_photographs(photos, capsys):
    """The run's weights classify other photographs, by the names of the folders."""
    (photos / "dog" / "broken.png").write_bytes(b"not an image")
    assert minidl(photos, *SMALL, "--epochs", 4, "--lr", 0.1, "--cache", "cache", "--output-dir", "run") == 0
    out = capsys.readouterr().out
    assert "photos: 1 of 41 images cannot be read and are left out:\n" in out
    assert "broken.png: " in out
    assert out.count("broken.png") == 1
    assert "32 training images of 2 classes, 8 for validation, 0 for the test\n" in out
    assert "there is no test set: the report is of the validation images" in out
    _, facts = load_checkpoint("run/best.safetensors")
    assert facts["classes"] == ["cat", "dog"]
    assert facts["input"] == [3, 28, 28]
    assert facts["recipe"]["augment"] == "standard"
    assert cli.main(["predict", str(photos / "dog" / "3.png"), str(photos / "cat" / "3.png"), "--model",
                     "run/best.safetensors", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "dog" in json.dumps(told[0])
    assert minidl(photos, *SMALL, "--evaluate", "--resume", "run", "--cache", "cache") == 0
    told = capsys.readouterr().out
    assert "accuracy" in told
    assert "These are the validation images, which also chose the best epoch; there was no test set." in told


def test_folders_for_each_part_and_frozen_layers(photos, tmp_path, capsys):
    for part in ("train", "val", "test"):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for name in ("cat", "dog"):
            (tmp_path / "parts" / part / name).mkdir()
            for i in range(4):
                image = photos / name / f"{i}.png"
                (tmp_path / "parts" / part / name / f"{i}.png").write_bytes(image.read_bytes())
    assert minidl("parts", *SMALL, "--epochs", 1, "--freeze", "conv1", "--augment", "strong",
                  "--output-dir", "run") == 0
    out = capsys.readouterr().out
    assert "8 training images of 2 classes, 8 for validation, 8 for the test\n" in out
    assert "there is no test set" not in out
    assert minidl("parts", *SMALL, "--epochs", 1, "--freeze", "conv9", "--output-dir", "other") != 0
    assert "conv9" in capsys.readouterr().err


def test_pretrained_weights_keep_their_normalisation(photos, capsys):
    assert minidl(photos, *SMALL, "--epochs", 1, "--output-dir", "first") == 0
    assert minidl(photos, *SMALL, "--epochs", 1, "--output-dir", "second", "--limit", 10, "--pretrained",
                  "first/best.safetensors") == 0
    first, second = (load_checkpoint(f"{run}/best.safetensors")[1] for run in ("first", "second"))
    assert first["mean"] == second["mean"]
    capsys.readouterr()
    assert minidl(photos, *SMALL, "--pretrained", "nowhere.safetensors") == 2
    assert "nowhere.safetensors: neither a file nor the name of published weights" in capsys.readouterr().err


def test_a_known_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", lambda name, split, root: data.drawn_digits(200, seed=len(split)))
    assert minidl("digits", "--epochs", 1, "--dry-run") == 0
    assert capsys.readouterr().out.endswith("a dry run: nothing is kept\n")
    assert minidl("digits", "--epochs", 1, "--validation", 0, "--log-interval", 0) == 0
    assert (tmp_path / "runs" / "digits" / "report.txt").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (("nowhere",), "'nowhere' is missing; it must be a folder of images, or one of mnist, "),
    (("photos", "--model", "lenet"), "there is no network 'lenet'; did you mean lenet5"),
    (("photos/cat",), "has no folders; a classifier needs at least two folders"),
])
def test_bad_arguments(photos, capsys, arguments, words):
    assert minidl(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def membrane(tmp_path, monkeypatch):
    """Six grey images of 32 x 32 pixels, the left half of which is dark, and their masks."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("image", "label"):
        (tmp_path / "membrane" / name).mkdir(parents=True)
    for i in range(6):
        pixels = rng.integers(0, 60, (32, 32)).astype(np.uint8)
        pixels[:, 16:] += 150
        Image.fromarray(pixels).save(tmp_path / "membrane" / "image" / f"{i}.png")
        Image.fromarray(np.where(pixels > 100, 255, 0).astype(np.uint8)).save(
            tmp_path / "membrane" / "label" / f"{i}.png")
    return tmp_path / "membrane"


UNET = ("--set", "base_channels=2", "--set", "depth=1", "-b", "2", "--epochs", "1", "--log-interval", "0")


def test_images_and_masks(membrane, capsys):
    """A U-Net by default, whose output has the size of the images, and a loss that can be chosen."""
    assert minidl("membrane", *UNET, "--class-weights", "--label-smoothing", "0.1", "--augment", "crop", "--output-dir",
                  "run") == 0
    out = capsys.readouterr().out
    assert "5 training images of 2 classes of pixels, 1 for validation, 0 for the test\n" in out
    _, facts = load_checkpoint("run/best.safetensors")
    assert facts["architecture"]["name"] == "unet"
    assert facts["architecture"]["settings"]["padded"] is True
    assert facts["recipe"]["loss"].startswith("segmentation_loss('both', weight=[")
    assert "label_smoothing=0.1" in facts["recipe"]["loss"]
    assert facts["recipe"]["optimizer"] == "Adam()"
    assert minidl("membrane", *UNET, "--loss", "dice", "--resume", "run") == 2
    assert "--loss \"segmentation_loss('both'" in capsys.readouterr().err
    assert minidl("membrane", *UNET, "--evaluate", "--resume", "run") == 0


def test_classes_of_masks(membrane, capsys):
    """Their names and their order are part of the recipe; `minidl evaluate` takes them from the run."""
    named = ("--mask-class", "255=cell", "--mask-class", "0=membrane")
    assert minidl("membrane", *UNET, *named, "--output-dir", "run") == 0
    _, facts = load_checkpoint("run/best.safetensors")
    assert facts["classes"] == ["cell", "membrane"]
    assert facts["recipe"]["mask_classes"] == [[255, "cell"], [0, "membrane"]]
    assert minidl("membrane", *UNET, "--resume", "run") == 2
    assert "started with --mask-class [[255, 'cell'], [0, 'membrane']]" in capsys.readouterr().err
    assert cli.main(["evaluate", "run", "--json"]) == 0
    assert [row["class"] for row in json.loads(capsys.readouterr().out)["classes"]] == ["cell", "membrane"]


@pytest.mark.parametrize(("arguments", "words"), [
    (("membrane", "--model", "resnet20"), "masks need a class for each of their pixels: use --model unet"),
    (("membrane", "--set", "padded=false", "--set", "depth=1"), "for images (3, 32, 32); masks need a class"),
    (("membrane", "--size", "31", "--set", "depth=1"), "--size N brings images to N x N pixels"),
    (("membrane", "--balanced"), "--balanced is for images with classes, and membrane holds images with masks"),
    (("membrane", "--mixup", "0.2"), "--mixup is for images with classes"),
    (("membrane", "--mask-class", "0=wall"), "255"),
    (("digits", "--mask-class", "0=wall"), "--mask-class is for images with masks, and digits holds images with"),
    (("membrane", "--stream"), "--stream is for folders of photographs in classes; the images of membrane are kept"),
    (("membrane", "--freeze", "down=0"), "--freeze down=0: '0' is not a whole number of at least 1"),
])
def test_bad_arguments_for_masks(membrane, capsys, arguments, words):
    assert minidl(*arguments, "--limit", 2) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Few digits in place of the known sets; those of cifar10 have 32 x 32 pixels and three colours."""
    monkeypatch.chdir(tmp_path)

    def load(name, split, root):
        drawn = data.drawn_digits(60, seed=len(split))
        if name != "cifar10":
            return drawn
        images = np.pad(drawn.images, ((0, 0), (0, 0), (2, 2), (2, 2))).repeat(3, axis=1)
        return data.ImageDataset(images, drawn.labels, drawn.classes, "colours", (0.2, 0.3, 0.4), (0.5, 0.5, 0.5))

    monkeypatch.setattr(data, "load", load)


ONE = ("--epochs", "1", "-b", "20", "--log-interval", "0", "--output-dir", "run")


def test_images_are_brought_to_the_size_that_the_network_takes(digits, capsys):
    assert minidl("cifar10", "--model", "lenet5", *ONE) == 0
    out = capsys.readouterr().out
    assert "lenet5 does not take images of 32 x 32 pixels; they are resized to 28 x 28\n" in out
    _, facts = load_checkpoint("run/best.safetensors")
    assert facts["input"] == [3, 28, 28]
    assert facts["mean"] == [0.2, 0.3, 0.4]


def test_a_size_of_ones_own(digits):
    assert minidl("cifar10", "--model", "simple_cnn", "--size", "28", "--cutout", "4", *ONE) == 0
    assert load_checkpoint("run/best.safetensors")[1]["input"] == [3, 28, 28]


def test_a_network_of_another_size_is_pointed_out(capsys):
    with nn.init.placeholders():
        model = zoo.create("mobilenet_v1", in_channels=1)
    assert size_for("mobilenet_v1", model, (1, 28, 28)) is None
    out = capsys.readouterr().out
    assert "mobilenet_v1 was designed for 224 x 224 pixels, and loses details of 28 x 28; mobilenet_v1_cifar is" in out
    assert size_for("mobilenet_v1", model, (1, 200, 200)) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("channels", "size"), [(3, None), (1, None), (3, 16), (1, 16)])
def test_streamed_images_are_adapted_when_they_are_decoded(photos, channels, size):
    kept, streamed = (adapted(data.image_splits(photos, 24, stream=stream).train, channels, size)
                      for stream in (False, True))
    assert isinstance(streamed.images, Streamed)
    np.testing.assert_array_equal(streamed.batch([5, 0, 31])[0], kept.batch([5, 0, 31])[0])


def test_images_that_would_take_too_much_memory(digits, capsys, monkeypatch):
    monkeypatch.setattr("minidl.commands.training_sets.MOST", 1 << 20)
    assert minidl("mnist", "--model", "alexnet", *ONE) == 2
    err = capsys.readouterr().err
    assert "images of 1 x 224 x 224 pixels take more than" in err
    assert "--limit N, or a network for 28 x 28 pixels" in err


def test_pretrained_weights_are_read_once_and_say_how_many_channels_images_have(digits, monkeypatch):
    """Weights for colours, and grey images: they become three equal channels, normalised as the weights expect."""
    assert minidl("cifar10", "--model", "lenet5", *ONE[:-1], "first") == 0
    seen, read = [], io.pretrained

    def counted(*arguments, **settings):
        seen.append(1)
        return read(*arguments, **settings)

    monkeypatch.setattr(io, "pretrained", counted)
    assert minidl("mnist", "--model", "lenet5", "--pretrained", "first/best.safetensors", *ONE) == 0
    assert len(seen) == 1
    _, facts = load_checkpoint("run/best.safetensors")
    assert (facts["input"], facts["mean"]) == ([3, 28, 28], [0.2, 0.3, 0.4])
    assert facts["recipe"]["lr"] == pytest.approx(0.01)
    assert minidl("cifar10", "--model", "lenet5", "--pretrained", "first/best.safetensors", "--freeze", "conv1=1",
                  "--freeze", "conv2", "--epochs", "2", "-b", "20", "--log-interval", "0", "--output-dir", "third") == 0
    assert load_checkpoint("third/best.safetensors")[1]["recipe"]["freeze"] == {"conv1": 1, "conv2": None}


def test_the_recipe_of_the_network_and_flags(digits):
    assert minidl("mnist", "--dry-run", "--model", "simple_cnn", "--optimizer", "adamw", "--schedule", "cosine") == 0
    assert minidl("mnist", "--model", "simple_cnn", *ONE) == 0
    recipe = load_checkpoint("run/best.safetensors")[1]["recipe"]
    assert recipe["optimizer"] == "SGD(lr=0.1, momentum=0.9, weight_decay=0.0005, nesterov=True)"
    assert (recipe["lr"], recipe["weight_decay"]) == (0.1, 5e-4)


def test_auxiliary_heads_learn(digits, monkeypatch):
    """GoogLeNet's own loss reaches them; label smoothing and weights of classes are inside it."""
    seen = {}
    step = optim.SGD.step

    def watched(self):
        seen.update({name: p.grad is not None for name, p in zip(self.names, self.parameters, strict=True)})
        step(self)

    monkeypatch.setattr(optim.SGD, "step", watched)
    monkeypatch.setattr(zoo, "create", lambda name, **settings: SmallGoogLeNet(settings["num_classes"]))
    assert minidl("mnist", "--model", "googlenet", "--size", "28", "--dry-run", "--label-smoothing", "0.1",
                  "--class-weights") == 0
    assert seen
    assert all(seen.values())


class SmallGoogLeNet(nn.Module):
    """With GoogLeNet's outputs and loss."""

    def __init__(self, classes):
        self.fc, self.aux = nn.Linear(28 * 28, classes), nn.Linear(28 * 28, classes)

    def forward(self, x):
        x = F.flatten(x, 1)
        return GoogLeNetOutputs(self.fc(x), self.aux(x), self.aux(x)) if self.training else self.fc(x)

    loss = GoogLeNet.loss


def test_find_lr(digits, capsys):
    assert minidl("mnist", "--find-lr", "-b", "10", "--output-dir", "run") == 0
    assert "suggestion: --lr " in capsys.readouterr().out
    assert [path.name for path in Path("run").iterdir()] == ["lr_finder.png"]
