"""report.html: well-formed, self-contained, and safe whatever classes and files are called; its numbers are right."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import toy_run
from PIL import Image

import minidl.functional as F
from minidl import data, nn
from minidl.evaluation import Evaluation, evaluate, in_order
from minidl.report import Facts, facts_of, report, write
from minidl.report.axes import linear, logarithmic
from minidl.report.html import VOID, clean, element
from minidl.report.log import COLUMNS
from minidl.report.matrix import DOTS, drawn_mistakes
from minidl.report.page import page
from minidl.report.pictures import confident_mistakes, least_certain, name_of, picture, pixels_of
from minidl.report.sections import command_line, duration, run_facts

HOSTILE = "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "x\udcff\x00\u202e", "</style>'&amp;", ""
ROWS = [{"epoch": i, "lr": 0.1 / i, "train_loss": 1 / i, "train_accuracy": 0.5 + 0.1 * i, "validation_loss": 1.2 / i,
         "validation_accuracy": 0.5 + 0.09 * i, "seconds": 61.0} for i in (1, 2, 3)]


class Parsed(HTMLParser):
    """The elements, texts and attributes of a page; raises unless every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] != ["style"] and self.open[-1:] != ["script"]:
            self.texts.append(text)


class Linear(nn.Module):
    """A classifier without maps."""

    def __init__(self, pixels, classes):
        self.fc = nn.Linear(pixels, classes)

    def forward(self, x):
        return self.fc(F.flatten(x, 1))


class Pixels(nn.Module):
    """Logits for each pixel."""

    def __init__(self, classes):
        self.conv = nn.Conv2d(1, classes, 1)

    def forward(self, x):
        return self.conv(x)


def images(classes, count=60, size=6, channels=1):
    """A data set of noise."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, channels, size, size)).astype(np.uint8)
    return data.ImageDataset(pixels, np.arange(count) % len(classes), classes, "noise", [0.5] * channels,
                             [0.2] * channels)


def made(model, dataset, facts=None):
    """The parsed page of a model on a data set, and the Evaluation."""
    result = evaluate(model, in_order(dataset), len(dataset.classes))
    text = page(model, dataset, result, facts or Facts())
    text.encode()                                    # no lone surrogate is left
    return Parsed(text), result, text


# The page as a whole

@pytest.fixture(scope="module")
def toy():
    facts = Facts("toy", "validation", ROWS, {"recipe": {"lr": 0.1, "train_images": 100, "freeze": None, "<b>": True},
                  "command": ["/some/where/minidl", "train", "my photos"], "date": "2026-11-27", "versions":
                  {"minidl": "0.1"}}, 3, {"training": np.arange(10)})
    return made(toy_run.net(), toy_run.DIGITS, facts)


def test_all_sections_are_there(toy):
    parsed, result, text = toy
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == ["Learning curves", "Confusion matrix", "Most confident mistakes", "Least certain images",
                      "Grad-CAM", "Classes", "Distribution of the classes", "Calibration", "The run", "Settings",
                      "Command", "What the numbers mean"]
    assert {value for name, value in parsed.attributes if name == "href"} == {
        f"#{value}" for name, value in parsed.attributes if name == "id"}
    told = " ".join(parsed.texts)
    assert f"{result.accuracy:.2%}" in told
    assert f"{result.calibration_error:.2%}" in told
    assert "There was no test set: these images also chose the best epoch" in told
    assert "minidl train 'my photos'" in told
    assert "The best of 3 epochs is epoch 3" in told
    assert parsed.elements.count("img") == 12 + 12 + 2 * 6


def test_cells_are_the_confusion_matrix(toy):
    _, result, text = toy
    shown = [int(count.replace(",", "")) for count in re.findall(r'data-pair="[^"]*">([\d,]+)</td>', text)]
    assert shown == result.confusion[result.confusion > 0].tolist()
    pairs = re.findall(r'data-pair="(\d), (?:recognised|taken for (\d)): (\d+) images, ([\d.]+)% of the class"', text)
    assert len(pairs) == len(shown)
    for true, predicted, count, share in pairs:
        row = result.confusion[int(true)]
        assert row[int(predicted or true)] == int(count)
        assert float(share) == pytest.approx(100 * int(count) / row.sum(), abs=0.06)


def test_nothing_is_loaded_from_elsewhere(toy):
    parsed, _, text = toy
    assert all(value.startswith("data:image/png;base64,") for name, value in parsed.attributes if name == "src")
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(parsed.elements)
    assert "http" not in re.sub("http-equiv", "", text)
    assert "url(" not in text
    assert parsed.elements.count("script") == 1
    policy = next(value for name, value in parsed.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_pictures_and_plots_have_descriptions(toy):
    parsed, _, text = toy
    assert all(re.search(' alt="[^"]+"', tag) for tag in re.findall("<img[^>]*>", text))
    assert all('role="img"' in tag and re.search(' aria-label="[^"]+"', tag) for tag in re.findall("<svg[^>]*>", text))
    assert text.count("<th ") == len(re.findall('<th (?=[^>]*scope="(?:row|col)")', text))
    assert ("lang", "en") in parsed.attributes


# Names from outside

@pytest.mark.parametrize("count", [5, 45])
def test_names_are_escaped(count):
    names = [f"{HOSTILE[i % 5]}{i}" for i in range(count)]
    dataset = images(names)
    dataset.paths = [f"/secret/place/{name}/<u>{i}.png" for i, name in enumerate(dataset.classes[i % count]
                                                                                for i in range(60))]
    facts = Facts(HOSTILE[0], rows=ROWS, args={"recipe": {HOSTILE[1]: HOSTILE[0]}, "command": list(HOSTILE),
                                               "date": HOSTILE[0], "versions": {HOSTILE[0]: HOSTILE[1]}})
    parsed, _, text = made(Linear(36, count), dataset, facts)
    assert parsed.elements.count("script") == 1
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    assert "u" not in parsed.elements
    assert r"x\udcff" + 2 * "\ufffd" in text          # no zero byte, and nothing that reverses the text
    assert "/secret" not in text                     # the last folder is enough


def test_elements():
    assert element("td", "a < b", None, ["&", element("b", 1)], class_="x", data_pair='"', title=None) == (
        '<td class="x" data-pair="&quot;">a &lt; b&amp;<b>1</b></td>')
    assert element("img", src="x") == '<img src="x">'
    assert clean("a\x00\x1b\n\udcff") == "a\ufffd\ufffd\n\\udcff"


# Many classes, two classes, masks

@pytest.mark.parametrize(("classes", "per_class"), [(2, 20), (100, 3), (1000, 2)])
def test_any_number_of_classes(classes, per_class):
    dataset = images([f"class {c}" for c in range(classes)], classes * per_class)
    parsed, result, text = made(Linear(36, classes), dataset, Facts(counts={"training": np.arange(classes)}))
    assert len(text) < 1_500_000
    assert ("ROC AUC" in text) == (classes == 2)
    assert ("top-5" in text) == (classes > 5)
    assert text.count('class="sortable"') == 2
    assert "Grad-CAM" not in text                    # a linear classifier has no maps
    assert parsed.elements.count("tr") >= np.count_nonzero(result.confusion.sum(1))
    assert len(result.each.labels) == len(dataset)


def test_mistakes_that_are_drawn():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 2, (30, 30))
    pairs, words = drawn_mistakes(few)
    assert (len(pairs), words) == (np.count_nonzero(few) - np.count_nonzero(few.diagonal()), "")
    many = rng.integers(0, 4, (200, 200))
    pairs, words = drawn_mistakes(many)
    assert words == "; some of the mistakes are drawn"
    assert 0 < len(pairs) <= DOTS
    many[:2] += 5
    pairs, words = drawn_mistakes(many)
    assert words == "; mistakes made 4 times or more are drawn"
    assert len(pairs) == 2 * 199
    assert drawn_mistakes(np.eye(50, dtype=int)) == ([], "")


@pytest.mark.parametrize("channels", [1, 3])
def test_masks(channels, tmp_path):
    classes = ("a", "b", "c")[:max(2, channels)]
    rng = np.random.default_rng(0)
    dataset = data.SegmentationDataset(rng.integers(0, 256, (8, 1, 12, 10)).astype(np.uint8),
                                       rng.integers(0, len(classes), (8, 12, 10)), classes, "cells")
    dataset.labels[0, :3] = 255
    result = report(Pixels(channels), dataset, folder=tmp_path, sets={"training": dataset})
    text = (tmp_path / "report.html").read_text()
    parsed = Parsed(text)
    assert parsed.elements.count("img") == 6 * 4
    assert "mean Dice" in text
    assert f"{result.summary()['mean_dice']:.2%}" in text
    order = np.argsort(result.each.dice, kind="stable")
    shown = [int(i) for i in re.findall(r"image (\d+): mean Dice", text)]
    assert shown == [*order[:3], *order[::-1][:3]]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["mean_iou"] == result.summary()["mean_iou"]
    assert np.sum(metrics["confusion"]) == 8 * 120 - 30
    assert "mean Dice" in (tmp_path / "report.txt").read_text()


# Pictures

def test_images_are_chosen_by_their_probability():
    result = made(Linear(36, 3), images(("a", "b", "c")))[1]
    each = result.each
    chosen = confident_mistakes(each, 5)
    assert all(each.labels[i] != each.predictions[i] for i in chosen)
    wrong = each.labels != each.predictions
    assert each.confidences[chosen].tolist() == sorted(each.confidences[wrong], reverse=True)[:5]
    assert each.confidences[least_certain(each, 5)].tolist() == sorted(each.confidences)[:5]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_those_of_the_set(channels):
    dataset = images(("a", "b"), 4, channels=channels)
    shown = pixels_of(dataset, 2)
    expected = dataset.images[2, :3].transpose(1, 2, 0) if channels > 1 else dataset.images[2, 0]
    np.testing.assert_array_equal(shown, expected)
    assert 'width="6"' in picture(shown, "six pixels")
    large = np.random.default_rng(0).integers(0, 256, (500, 400, 3)).astype(np.uint8)
    assert 'width="128" height="160"' in picture(large, "smaller")


def test_names_of_images():
    dataset = images(("a", "b"), 4)
    assert name_of(dataset, 3) == "image 3"
    dataset.paths = [f"/photos/a/{i}.png" for i in range(4)]
    assert name_of(dataset.subset([3, 1]).subset([1]), 0) == "a/1.png"


# Files

def test_facts_of_a_run(tmp_path):
    assert facts_of(None) == Facts()
    (tmp_path / "args.json").write_text("[1")
    (tmp_path / "log.csv").write_text("epoch,lr\n1,x\n")
    assert (facts_of(tmp_path).rows, facts_of(tmp_path).args, facts_of(tmp_path).recipe) == ([], {}, {})
    (tmp_path / "args.json").write_text('{"recipe": [1], "command": 7, "versions": 3}')
    with open(tmp_path / "log.csv", "w", newline="") as file:
        log = csv.writer(file)
        log.writerow(COLUMNS)
        log.writerow([1, 0.1, 0.5, 0.6, "", "", 2.5])
    facts = facts_of(tmp_path)
    assert facts.rows == [dict(zip(COLUMNS, [1, 0.1, 0.5, 0.6, None, None, 2.5], strict=True))]
    assert facts.recipe == {}
    Parsed(page(Linear(36, 2), None, None, facts))
    assert facts.seconds == 2.5
    assert run_facts(None, Facts(rows=ROWS, args={"recipe": {"train_images": 61}}))["training images per second"] == (
        "1, with validation")


def test_commands_and_durations():
    assert command_line(["examples/train_cifar10.py", "--lr", "0.1"]) == "python examples/train_cifar10.py --lr 0.1"
    assert command_line(["/x/bin/minidl", "train", "a b"]) == "minidl train 'a b'"
    assert [command_line(command) for command in (["-c"], [], None, [1], [""])] == [""] * 5
    assert [duration(s) for s in (1.25, 200, 3600 * 2.5)] == ["1.2 s", "3 min", "2 h 30 min"]


def test_a_report_that_fails_costs_nothing(tmp_path, monkeypatch, capsys):
    """The other files are written, no half of one is left, and the failure is said."""
    monkeypatch.setattr("minidl.report.files.page", lambda *_: 1 / 0)
    monkeypatch.delenv("MINIDL_TRACEBACK", raising=False)
    result = report(toy_run.net(), toy_run.DIGITS, folder=tmp_path)
    assert isinstance(result, Evaluation)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.png", "metrics.json", "report.txt"]
    assert capsys.readouterr().err == f"{tmp_path / 'report.html'} is missing: division by zero\n"
    monkeypatch.setenv("MINIDL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        report(toy_run.net(), toy_run.DIGITS, folder=tmp_path)


def test_a_run_without_images_to_test(tmp_path):
    write(tmp_path, toy_run.net(), None, None, Facts("run", rows=ROWS))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    text = (tmp_path / "report.html").read_text()
    assert "neither a test set nor a validation set" in text
    Parsed(text)


def test_a_plot_of_many_classes_has_a_bounded_size(tmp_path):
    result = Evaluation(1.0, np.eye(300, dtype=np.int64))
    write(tmp_path, toy_run.net(), images([str(i) for i in range(300)], 300), result)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.size == (1320, 1320)
    assert "the most frequent mistakes\nthere are no mistakes" in (tmp_path / "report.txt").read_text()


# Axes

@pytest.mark.parametrize("make", [linear, logarithmic])
@pytest.mark.parametrize(("low", "high"), [(0.001, 1.0), (1, 2), (0.5, 0.5), (3, 30000), (0.91, 0.94)])
def test_ticks_lie_within_their_axis(make, low, high):
    axis = make(low, high)
    assert 1 <= len(axis.ticks) <= 12
    assert all(axis.low <= tick <= axis.high * (1 + 1e-9) for tick in axis.ticks)
    assert (axis.part(axis.low), axis.part(axis.high)) == pytest.approx((0, 1))


def test_epochs_are_whole_numbers():
    assert linear(1, 3, least=1).ticks == [1, 2, 3]
    assert linear(1, 1, least=1).ticks == [1]
    assert linear(1, 30, least=1).ticks == [10, 20, 30]
