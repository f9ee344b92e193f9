"""What `fit` refuses before it trains, and which settings it converts."""

import json
import re

import numpy as np
import pytest
import toy_run

import minidl
import minidl.nn as nn
import minidl.optim as optim
from minidl.data import ImageDataset
from minidl.errors import sentence
from minidl.train import Settings, fit
from minidl.train.checks import part_sizes


def images(count, size=8, classes="abc"):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (count, 1, size, size)).astype(np.uint8)
    return ImageDataset(pixels, np.arange(count) % len(classes), list(classes))


def small(*layers):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *layers, nn.Linear(8, 3))


def train(folder, model, count=65, **settings):
    return fit(model, optim.SGD(model.parameters(), 0.1), images(count), images(6), output_dir=folder,
               **{"epochs": 1, "batch_size": 32} | settings)


# A single value per channel

@pytest.mark.parametrize(("count", "batch_size", "accumulate", "drop_last", "expected"), [
    (65, 32, 1, False, {32, 1}), (65, 32, 1, True, {32}), (64, 32, 1, False, {32}), (3, 32, 1, False, {3}),
    (1, 32, 1, False, {1}), (40, 4, 4, False, {1}), (40, 9, 2, False, {5, 4, 2}), (45, 10, 3, False, {4, 2, 1}),
])
def test_the_sizes_of_the_parts(count, batch_size, accumulate, drop_last, expected):
    assert part_sizes(count, batch_size, accumulate, drop_last) == expected


def deep(norm):
    """A batch norm over images of one pixel."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), norm, nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize(("model", "layer"), [
    (lambda: small(nn.BatchNorm1d(8)), r"2 \(BatchNorm1d\)"), (lambda: deep(nn.BatchNorm2d(4)), r"2 \(BatchNorm2d\)"),
    (lambda: small(nn.BatchNorm1d(8, track_running_stats=False)), r"2 \(BatchNorm1d\)"),
])
@pytest.mark.parametrize(("count", "settings", "remedies"), [
    (65, {}, r"65 images in batches of 32 leave .* choose another batch_size or drop_last=True$"),
    (64, {"batch_size": 1}, "choose another batch_size$"),
    (64, {"accumulate": 32}, r"in 32 parts, leave .* choose another batch_size or a smaller accumulate$"),
    (66, {"accumulate": 2}, "another batch_size or a smaller accumulate or drop_last=True$"),
])
def test_a_single_value_per_channel_is_refused_before_training(tmp_path, model, layer, count, settings, remedies):
    model = model()
    before = model.state_dict()
    with pytest.raises(ValueError, match=rf"^fit: .*{remedies}") as error:
        train(tmp_path / "run", model, count, **settings)
    assert error.match(layer)
    flags = re.sub("(batch_size|accumulate|drop_last)(=True)?", lambda name: f"--{name[1].replace('_', '-')}",
                   str(error.value).partition("choose")[2])
    assert sentence(error.value).endswith(flags)
    assert not (tmp_path / "run").exists()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("settings", [{"drop_last": True}, {"batch_size": 33}, {"freeze": "2"}])
def test_the_remedies(tmp_path, settings):
    [row] = train(tmp_path, small(nn.BatchNorm1d(8)), **settings)
    assert np.isfinite(row["train_loss"])


def test_a_single_image_is_fine_where_no_batch_norm_needs_more(tmp_path):
    model = small(nn.BatchNorm1d(8))
    model[2].eval()                                             # its running statistics are used
    train(tmp_path / "eval", model)
    train(tmp_path / "none", small(nn.LayerNorm(8)))
    train(tmp_path / "pixels", nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3)))


def test_drop_last_leaves_the_rest_out(tmp_path):
    seen = []

    def loss(logits, labels):
        seen.append(len(labels))
        return minidl.functional.cross_entropy(logits, labels)

    model = small()
    fit(model, optim.SGD(model.parameters(), 0.1), images(70), output_dir=tmp_path, epochs=2, batch_size=32,
        drop_last=np.True_, loss=loss)
    assert seen == [32] * 4
    assert json.loads((tmp_path / "args.json").read_text())["recipe"]["drop_last"] is True
    with pytest.raises(ValueError, match="no batches: 6 images, batch_size=32, drop_last=True"):
        fit(model, optim.SGD(model.parameters(), 0.1), images(6), output_dir=tmp_path / "few", epochs=1, batch_size=32,
            drop_last=True)


# Arguments

def test_an_optimizer_of_another_model(tmp_path):
    model, other = small(), small()
    with pytest.raises(ValueError, match=r"no parameter of the SGD belongs to this model; create the optimizer with"):
        fit(model, optim.SGD(other.parameters()), images(9), output_dir=tmp_path / "run", epochs=1)
    with pytest.raises(TypeError, match=r"the optimizer must be one of minidl\.optim, not list"):
        fit(model, model.parameters(), images(9), output_dir=tmp_path / "run", epochs=1)
    with pytest.raises(TypeError, match=r"the model must be an nn\.Module, not function"):
        fit(lambda x: x, optim.SGD(other.parameters()), images(9), output_dir=tmp_path / "run", epochs=1)
    mine = optim.SGD(model.parameters())
    with pytest.raises(ValueError, match="the schedule sets the learning rate of another optimizer"):
        fit(model, mine, images(9), output_dir=tmp_path / "run", epochs=1,
            schedule=optim.StepLR(optim.SGD(other.parameters()), 1))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("dataset", "message"), [
    ((np.zeros(3), np.zeros(3)), "labels must be whole numbers, not float64"),
    (iter([]), r"must be a data set, such as ImageDataset\(images, labels, classes\), a DataLoader of one, or a pair "
               r"of arrays \(images, labels\), not list_iterator"),
    (range(3), "not range, which has no batch and no classes"),
    (np.zeros((3, 1, 8, 8)), "must be a data set, .* not ndarray"),
    (None, "train_set must be a data set, .* not NoneType"),
])
def test_what_is_no_data_set(tmp_path, dataset, message):
    model = small()
    for position, name in enumerate(("train_set", "validation_set", "test_set")):
        sets = [images(9), images(9), images(9)]
        sets[position] = dataset
        if dataset is not None or name == "train_set":
            with pytest.raises(TypeError, match=f"fit: {name}.* {message.removeprefix('train_set ')}"):
                fit(model, optim.SGD(model.parameters()), *sets, output_dir=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def test_sets_of_other_classes(tmp_path):
    model = small()
    with pytest.raises(ValueError, match="test_set has 2 classes, but train_set has 3"):
        fit(model, optim.SGD(model.parameters()), images(9), images(9), images(9, classes="ab"), output_dir=tmp_path,
            epochs=1)


def test_empty_sets(tmp_path):
    model = small()
    [row] = fit(model, optim.SGD(model.parameters()), images(9), images(0), images(0), output_dir=tmp_path / "a",
                epochs=1)
    assert row["validation_loss"] is None
    assert not (tmp_path / "a" / "report.txt").exists()
    with pytest.raises(ValueError, match="no batches: 0 images"):
        fit(model, optim.SGD(model.parameters()), images(0), output_dir=tmp_path / "b", epochs=1)


# Settings

@pytest.mark.parametrize(("settings", "message"), [
    ({"epochs": 0}, "fit: epochs=0 must be a whole number of at least 1"),
    ({"epochs": "3"}, "fit: epochs='3' must be a whole number"),
    ({"epochs": 2.5}, "fit: epochs=2.5 must be a whole number"),
    ({"batch_size": None}, "fit: batch_size=None"),
    ({"batch_size": True}, "fit: batch_size=True"),
    ({"accumulate": 0}, "fit: accumulate=0"),
    ({"seed": -1}, "fit: seed=-1"),
    ({"prefetch": 0.5}, "fit: prefetch=0.5"),
    ({"patience": "many"}, "fit: patience='many'"),
    ({"ema_decay": 1.5}, "fit: ema_decay=1.5 must be a finite number from 0 to 1"),
    ({"ema_decay": "0.9"}, "fit: ema_decay='0.9'"),
    ({"ema_decay": 0.9, "average": optim.Lookahead(nn.Linear(2, 2))}, "fit: average and ema_decay both"),
    ({"checkpoint_interval": -1}, "fit: checkpoint_interval=-1"),
    ({"log_interval": None}, "fit: log_interval=None"),
    ({"drop_last": "no"}, "fit: drop_last='no' must be True or False"),
    ({"resume": 2}, "fit: resume=2 must be True or False"),
    ({"dry_run": None}, "fit: dry_run=None must be True or False"),
    ({"schedule_every": "week"}, "fit: schedule_every='week' is neither"),
])
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**{"output_dir": "run", "epochs": 1} | settings)


@pytest.mark.parametrize(("settings", "message"), [
    ({"output_dir": None}, "fit: output_dir=None must be the path of a folder"),
    ({"schedule": "cosine"}, "fit: schedule='cosine' must be a schedule"),
    ({"recipe": [1]}, r"fit: recipe=\[1\] must be a dictionary"),
])
def test_settings_of_the_wrong_kind(settings, message):
    with pytest.raises(TypeError, match=message):
        Settings(**{"output_dir": "run", "epochs": 1} | settings)


@pytest.mark.parametrize("number", [np.float32, np.float64, np.array])
def test_numbers_of_numpy(tmp_path, number):
    """Everywhere: they are saved, the weights keep their dtype, and the run is resumed."""
    def run(whole, number, folder, **settings):
        minidl.manual_seed(1)
        model = small(nn.BatchNorm1d(whole(8), momentum=number(0.25)), nn.Dropout(number(0.5)))
        optimizer = optim.SGD(model.parameters(), number(0.125), number(0.5), weight_decay=number(0.25),
                              nesterov=np.True_)
        schedule = optim.LinearWarmup(optimizer, whole(1), number(0.5), after=optim.ReduceLROnPlateau(
            optimizer, factor=number(0.5), patience=whole(0), threshold=number(0.25), min_lr=number(0)))
        rows = fit(model, optimizer, images(20), images(6), output_dir=folder, schedule=schedule,
                   schedule_every="epoch", batch_size=whole(8), seed=whole(3), prefetch=whole(0), accumulate=whole(2),
                   patience=whole(5), ema_decay=number(0.5), checkpoint_interval=number(60), log_interval=number(0),
                   drop_last=np.True_, **settings,
                   recipe={"lr": number(0.125), "sizes": np.array([1, 2]), "deep": {"n": whole(3), whole(4): None}})
        assert {t.dtype for t in model.parameters()} == {np.dtype(np.float32)}
        return [row | {"seconds": 0} for row in rows], model.state_dict()

    plain, state = run(int, float, tmp_path / "plain", epochs=2)
    rows, other = run(np.int64, number, tmp_path / "numpy", epochs=np.int64(2))
    assert rows == plain
    for name, array in state.items():
        np.testing.assert_array_equal(array, other[name])
    recipes = [json.loads((tmp_path / name / "args.json").read_text())["recipe"] for name in ("plain", "numpy")]
    assert recipes[0] == recipes[1]
    assert run(np.int64, number, tmp_path / "plain", epochs=np.uint8(2), resume=np.True_)[0] == plain


# Schedules

def test_a_schedule_that_ends_before_the_run(tmp_path):
    model = small()
    optimizer = optim.SGD(model.parameters(), 0.1, 0.9)
    schedule = optim.OneCycleLR(optimizer, 0.1, 5)
    settings = {"output_dir": tmp_path / "run", "batch_size": 4, "schedule": schedule}
    with pytest.raises(ValueError, match=r"ends after total_steps=5, but the run takes 6 steps: 2 epochs of 3 batches"):
        fit(model, optimizer, images(9), epochs=2, **settings)
    assert len(fit(model, optimizer, images(9), epochs=2, schedule_every="epoch", **settings)) == 2


def chains(optimizer):
    plateau = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.9)
    yield plateau
    yield optim.LinearWarmup(optimizer, 1, after=plateau)
    yield optim.LinearWarmup(optimizer, 1, after=optim.LinearWarmup(optimizer, 1, after=plateau))


@pytest.mark.parametrize("depth", range(3))
def test_a_schedule_that_needs_a_metric_at_any_depth(tmp_path, depth):
    def run(folder, every="epoch", **settings):
        model = toy_run.net()
        optimizer = optim.SGD(model.named_parameters(), 0.3)
        return fit(model, optimizer, toy_run.TRAIN_SET, toy_run.VALIDATION_SET, output_dir=folder,
                   schedule=list(chains(optimizer))[depth], schedule_every=every, **toy_run.SETTINGS | settings)

    with pytest.raises(ValueError, match="ReduceLROnPlateau needs the loss of a whole epoch; set schedule_every="):
        run(tmp_path / "a", "step")
    rows = run(tmp_path / "a", epochs=5)
    assert rows[-1]["lr"] < 0.3
    original, calls = minidl.train.loop.Loop.end_epoch, iter(range(100))

    def end_epoch(loop, validation):
        original(loop, validation)
        if next(calls) == 2:
            raise KeyError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minidl.train.loop.Loop, "end_epoch", end_epoch)
        with pytest.raises(KeyError):
            run(tmp_path / "b", epochs=5)
    resumed = run(tmp_path / "b", epochs=5, resume=True)
    assert [row["lr"] for row in resumed] == [row["lr"] for row in rows]
    assert [row["train_loss"] for row in resumed] == [row["train_loss"] for row in rows]


# Averages

def test_an_average_of_another_model(tmp_path):
    model, other = small(), small()
    settings = {"output_dir": tmp_path / "run", "batch_size": 4, "epochs": 1}
    with pytest.raises(ValueError, match="fit: the Lookahead is of another model; create it with the model"):
        fit(model, optim.SGD(model.parameters(), 0.1), images(9), average=optim.Lookahead(other), **settings)
    with pytest.raises(TypeError, match=r"fit: average=0.9 must be an average, such as optim.Lookahead"):
        fit(model, optim.SGD(model.parameters(), 0.1), images(9), average=0.9, **settings)
