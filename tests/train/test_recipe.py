"""What the recipe of a run says of optimizer and schedule, and what a resumed run may change."""

import csv
import json

import pytest
import toy_run

from minidl.io import CheckpointError, load_checkpoint, save_checkpoint
from minidl.optim import SGD, Adam, ReduceLROnPlateau, StepLR, parameter_groups
from minidl.train import fit


def train(folder, rate=0.05, gamma=0.5, *, kind=SGD, epochs=2, objects=None, **settings):
    """A run with a step schedule, or with objects that were made before."""
    model, optimizer, schedule = objects or made(rate, gamma, kind)
    return fit(model, optimizer, toy_run.TRAIN_SET, toy_run.VALIDATION_SET, output_dir=folder, schedule=schedule,
               **{**toy_run.SETTINGS, "epochs": epochs, **settings})


def made(rate=0.05, gamma=0.5, kind=SGD):
    model = toy_run.net()
    optimizer = kind(model.named_parameters(), rate)
    return model, optimizer, StepLR(optimizer, 7, gamma)


def recipe(folder):
    return json.loads((folder / "args.json").read_text())["recipe"]


def test_the_recipe_tells_all_settings(tmp_path):
    train(tmp_path)
    assert recipe(tmp_path)["optimizer"] == "SGD(lr=0.05)"
    assert recipe(tmp_path)["schedule"] == "StepLR(step_size=7, gamma=0.5)"


@pytest.mark.parametrize(("settings", "message"), [
    ({"gamma": 0.25}, r"schedule='StepLR\(step_size=7, gamma=0.5\)' \(now 'StepLR\(step_size=7, gamma=0.25\)'\)"),
    ({"rate": 0.1}, r"optimizer='SGD\(lr=0.05\)' \(now 'SGD\(lr=0.1\)'\)"),
    ({"kind": Adam}, r"optimizer='SGD\(lr=0.05\)' \(now 'Adam\(lr=0.05\)'\)"),
])
def test_other_settings_are_named_and_not_resumed(tmp_path, settings, message):
    train(tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match=message):
        train(tmp_path, resume=True, **settings)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_the_same_objects_go_on_after_their_learning_rate_has_changed(tmp_path):
    objects = made()
    rows = train(tmp_path, objects=objects)
    assert objects[1].lr == 0.0125
    assert train(tmp_path, objects=objects, resume=True) == rows


def test_the_same_objects_go_on_after_a_plateau(tmp_path):
    model = toy_run.net()
    optimizer = SGD(model.named_parameters(), 0.05)
    objects = model, optimizer, ReduceLROnPlateau(optimizer, patience=0, threshold=1e9, threshold_mode="abs")
    rows = train(tmp_path, objects=objects, schedule_every="epoch")
    assert optimizer.lr < 0.05
    assert train(tmp_path, objects=objects, schedule_every="epoch", resume=True) == rows


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    """Earlier versions noted the types of optimizer and schedule alone, and where decoded images were kept."""
    rows = train(tmp_path)
    arrays, facts = load_checkpoint(tmp_path / "last.safetensors")
    facts["recipe"] |= {"optimizer": "SGD", "schedule": "StepLR", "cache": None}
    save_checkpoint(tmp_path / "last.safetensors", arrays, facts)
    with pytest.raises(CheckpointError, match=r"optimizer='SGD' \(now 'Adam\(lr=0.05\)'\)$|now 'Adam"):
        train(tmp_path, kind=Adam, resume=True)
    assert train(tmp_path, resume=True) == rows


def test_where_images_are_kept_may_change(tmp_path):
    rows = train(tmp_path, recipe={"cache": "a", "stream": False})
    assert train(tmp_path, recipe={"stream": True}, resume=True) == rows


def test_the_log_holds_the_learning_rate_of_each_group(tmp_path):
    model = toy_run.net()
    optimizer = SGD(parameter_groups(model, 0.1, factors={"conv": 0.1, "norm": 0.5}))
    train(tmp_path, objects=(model, optimizer, StepLR(optimizer, 7, 0.5)), epochs=1)
    with open(tmp_path / "log.csv", newline="") as log:
        [row] = csv.DictReader(log)
    assert [float(row[name]) for name in ("lr", "lr_2", "lr_3")] == pytest.approx([0.005, 0.025, 0.05])
    assert train(tmp_path, objects=(model, optimizer, StepLR(optimizer, 7, 0.5)), epochs=1, resume=True)
