"""fit on masks: pixels are classified, counted and compared, and those of class -100 are left out everywhere."""

import csv
import json

import numpy as np
import pytest
from test_resume import assert_same_end, killed_at

import minidl
import minidl.functional as F
from minidl import nn
from minidl.augment import MixUp
from minidl.device import CPU
from minidl.evaluation.decisions import correct, decided
from minidl.evaluation.metrics import dice, iou, mean_over_classes
from minidl.optim import SGD, Adam
from minidl.train import evaluate, fit, in_order, load_weights, predict, segmentation_loss
from minidl.train.loop import Loop


class Bright:
    """Grey images; the class of a pixel is whether it is bright. In training it gives crops, in evaluation all of it.

    The rows at the top are not known.
    """

    name, mean, std = "bright", (0.0,), (1.0,)

    def __init__(self, count, classes=2, seed=0):
        self.classes = tuple("abcd"[:classes])
        self.images = np.random.default_rng(seed).random((count, 1, 16, 16)).astype(np.float32)
        self.masks = np.minimum((classes * self.images[:, 0]).astype(np.int64), classes - 1)
        self.masks[:, :2] = -100

    def __len__(self):
        return len(self.images)

    def batch(self, indices, epoch=None):
        crop = slice(None if epoch is None else 12)
        return self.images[indices][..., crop, crop].copy(), self.masks[indices][..., crop, crop].copy()

    def take(self, count):
        return self


def net(classes):
    minidl.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, classes, 1))


def train(folder, logits=2, classes=2, optimizer=Adam, validation_set=True, **settings):
    model = net(logits)
    rows = fit(model, optimizer(model.parameters(), 0.05), Bright(26, classes), Bright(9, classes, 1) if validation_set
               else None, output_dir=folder, **{"epochs": 2, "batch_size": 8, "log_interval": 0} | settings)
    return model, rows


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("minidl.train.records.draw_curves", lambda *_: None)


@pytest.mark.parametrize("logits", [1, 2, 3])
def test_what_counts_is_what_a_direct_evaluation_gives(tmp_path, capsys, logits):
    classes = max(2, logits)
    model, rows = train(tmp_path, logits, classes, ema_decay=0.5)
    best = max(rows, key=lambda row: (row["validation_iou"], -row["validation_loss"]))
    load_weights(model, tmp_path / "best.safetensors")
    validation_set = Bright(9, classes, 1)
    scores = predict(model, validation_set.images)
    known = validation_set.masks >= 0
    expected = (scores[:, 0] > 0) if logits == 1 else scores.argmax(1)
    assert best["validation_accuracy"] == (expected == validation_set.masks)[known].mean()
    both = np.concatenate([np.zeros_like(scores), scores], 1) if logits == 1 else scores
    assert best["validation_loss"] == pytest.approx(F.cross_entropy(both, validation_set.masks).item(), rel=1e-5)
    result = evaluate(model, in_order(validation_set), classes)
    assert result.confusion.sum() == known.sum()
    assert best["validation_iou"] == mean_over_classes(iou(result.confusion), result.confusion)
    assert best["validation_dice"] == mean_over_classes(dice(result.confusion), result.confusion)
    with open(tmp_path / "log.csv", newline="") as log:
        assert list(csv.DictReader(log)) == [{key: str(value) for key, value in row.items()} for row in rows]
    assert f"IoU {best['validation_iou']:.2%} *" in capsys.readouterr().out


def test_the_metrics_of_training_are_of_the_known_pixels(tmp_path):
    """With learning rate 0 and one batch, they are those of the initial model, of crops of 12 x 12 pixels."""
    _, [row] = train(tmp_path, optimizer=lambda parameters, lr: SGD(parameters, 0.0), epochs=1, batch_size=26,
                     validation_set=None)
    images, masks = Bright(26).batch(range(26), epoch=0)
    scores = net(2)(minidl.Tensor(images)).numpy()              # in training mode, as there
    assert row["train_loss"] == pytest.approx(F.cross_entropy(scores, masks).item(), rel=1e-5)
    assert row["train_accuracy"] == (scores.argmax(1) == masks)[masks >= 0].mean()
    assert row["validation_iou"] is None


@pytest.mark.parametrize("step", [3, 6])
def test_a_killed_run_is_resumed_exactly(tmp_path, step):
    settings = {"accumulate": 2, "ema_decay": 0.9, "loss": segmentation_loss("both")}
    train(tmp_path / "a", **settings)
    with killed_at(Loop, "step", step):
        train(tmp_path / "b", checkpoint_interval=0, **settings)
    train(tmp_path / "b", resume=True, **settings)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    assert json.loads((tmp_path / "b" / "args.json").read_text())["recipe"]["loss"] == "segmentation_loss('both')"


def test_a_dry_run(tmp_path):
    assert len(train(tmp_path / "run", dry_run=True)[1]) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("monitor", "key"), [
    (None, lambda row: row["validation_iou"]), ("dice", lambda row: row["validation_dice"]),
    ("loss", lambda row: -row["validation_loss"]), ("accuracy", lambda row: row["validation_accuracy"]),
])
def test_the_best_epoch_is_the_one_that_monitor_selects(tmp_path, monitor, key):
    loop = Loop.__new__(Loop)
    loop.monitor = monitor or "iou"
    low = {"validation_iou": 0.1, "validation_dice": 0.1, "validation_loss": 3.0, "validation_accuracy": 0.1}
    name = f"validation_{monitor or 'iou'}"
    high = low | {name: low[name] - 1 if monitor == "loss" else 0.2}
    assert loop.merit(high) > loop.merit(low)
    _, rows = train(tmp_path, monitor=monitor, epochs=3)
    best = json.loads(json.dumps(load_weights(net(2), tmp_path / "best.safetensors")))
    assert key(rows[best["epoch"] - 1]) == max(map(key, rows))


def test_settings_that_do_not_suit_masks(tmp_path):
    with pytest.raises(ValueError, match=r"mix=\(MixUp\(alpha=0.2\),\) mixes the labels of images; masks cannot"):
        train(tmp_path / "run", mix=MixUp(0.2))
    assert not (tmp_path / "run").exists()


# Losses

@pytest.mark.parametrize("logits", [1, 3])
@pytest.mark.parametrize("kind", ["ce", "dice", "both"])
def test_segmentation_loss(kind, logits):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, logits, 4, 5)).astype(np.float32)
    masks = rng.integers(0, max(2, logits), (2, 4, 5))
    masks[0, 0] = -100
    both = np.concatenate([np.zeros_like(scores), scores], 1) if logits == 1 else scores
    parts = {"ce": F.cross_entropy(both, masks).item(), "dice": F.dice_loss(scores, masks).item()}
    expected = sum(parts.values()) if kind == "both" else parts[kind]
    assert segmentation_loss(kind)(scores, masks).item() == pytest.approx(expected, rel=1e-6)


def test_segmentation_loss_prints_the_call_that_makes_it():
    made = segmentation_loss("ce", weight=[1, 2.5], label_smoothing=0.1)
    assert repr(made) == "segmentation_loss('ce', weight=[1.0, 2.5], label_smoothing=0.1)"
    assert repr(segmentation_loss()) == "segmentation_loss('both')"
    logits, masks = np.ones((1, 2, 3, 3), np.float32), np.zeros((1, 3, 3), np.int64)
    expected = F.cross_entropy(logits, masks, np.array([1, 2.5], np.float32), label_smoothing=0.1)
    assert made(logits, masks).item() == expected.item()
    with pytest.raises(ValueError, match="kind='jaccard' is none of 'ce', 'dice', 'both'"):
        segmentation_loss("jaccard")


@pytest.mark.parametrize("shape", [(7, 1), (7, 2), (7, 3), (2, 1, 4, 5), (2, 2, 4, 5), (2, 3, 4, 5)])
def test_decided(xp, shape):
    logits = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    both = np.concatenate([np.zeros_like(logits), logits], 1) if shape[1] == 1 else logits
    found = decided(xp.asarray(logits))
    np.testing.assert_array_equal(CPU.put(found), both.argmax(1))
    labels = np.random.default_rng(1).integers(0, 2, found.shape)
    labels[0] = -100
    expected = (labels >= 0).sum(), ((both.argmax(1) == labels) & (labels >= 0)).sum()
    assert tuple(map(int, correct(xp.asarray(logits), xp.asarray(labels)))) == expected


def test_large_images_are_evaluated_a_few_at_a_time():
    class Large(Bright):
        def batch(self, indices, epoch=None):
            return np.zeros((len(indices), 1, 512, 512), np.float32), np.zeros((len(indices), 512, 512), np.int64)

    assert [len(images) for images, _ in in_order(Large(6), prefetch=0)] == [4, 2]
