"""fit: the files that it writes, when it stops, and its error messages."""

import csv
import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import toy_run
from PIL import Image

import minidl
import minidl.functional as F
from minidl.augment import MixUp
from minidl.errors import sentence
from minidl.io import load_checkpoint
from minidl.optim import SGD
from minidl.train import Evaluation, evaluate, fit, in_order, load_weights, predict_augmented
from minidl.train.loop import Loop
from zoo.googlenet import GoogLeNet, GoogLeNetOutputs

FILES = ["args.json", "best.safetensors", "confusion.png", "curves.png", "last.safetensors", "log.csv", "metrics.json",
         "report.html", "report.txt"]
OF_REPORT = {"confusion.png", "metrics.json", "report.html", "report.txt"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and its rows."""
    folder = tmp_path_factory.mktemp("runs") / "deep" / "toy"
    return folder, toy_run.train(folder, test_set=toy_run.DIGITS, recipe={"lr": 0.05})


def validations(monkeypatch, accuracies):
    """Make validation return these accuracies, one per epoch."""
    results = [Evaluation(1.0, np.array([[a, 100 - a], [0, 0]])) for a in accuracies]
    monkeypatch.setattr(Loop, "validate", lambda loop: results.pop(0))


def test_folder_has_all_files(finished):
    assert sorted(os.listdir(finished[0])) == FILES


def test_log_has_the_returned_rows(finished):
    folder, rows = finished
    with open(folder / "log.csv", newline="") as log:
        assert list(csv.DictReader(log)) == [{key: str(value) for key, value in row.items()} for row in rows]


@pytest.mark.parametrize(("name", "width", "height"), [("curves.png", 1210, 440), ("confusion.png", 902, 946)])
def test_plots_have_their_size_and_are_not_empty(finished, name, width, height):
    with Image.open(finished[0] / name) as picture:
        assert (picture.format, picture.size) == ("PNG", (width, height))
        assert len(picture.getcolors(1 << 20)) > 100                 # more than a blank page


def test_report_is_of_the_best_weights(finished):
    folder, _ = finished
    model = toy_run.net()
    facts = load_weights(model, folder / "best.safetensors")
    result = evaluate(model, in_order(toy_run.DIGITS), 10)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["accuracy"] == result.accuracy
    assert metrics["confusion"] == result.confusion.tolist()
    assert f"accuracy {result.accuracy:.2%}" in (folder / "report.txt").read_text()
    assert facts["classes"] == list("0123456789")
    assert (facts["mean"], facts["std"]) == (list(toy_run.DIGITS.mean), list(toy_run.DIGITS.std))
    assert (facts["input"], facts["architecture"], facts["minidl"]) == ([1, 28, 28], "toy_run.Net", minidl.__version__)


def test_model_ends_with_the_best_weights(tmp_path, monkeypatch):
    validations(monkeypatch, [50, 70, 60])
    model = toy_run.net()
    rows = fit(model, SGD(model.named_parameters(), 0.1), toy_run.TRAIN_SET, toy_run.VALIDATION_SET,
               output_dir=tmp_path, **toy_run.SETTINGS)
    best, facts = load_checkpoint(tmp_path / "best.safetensors")
    assert facts["epoch"] == 2
    assert [row["validation_accuracy"] for row in rows] == [0.5, 0.7, 0.6]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, best[name])


def test_network_with_several_outputs_uses_its_own_loss(tmp_path):
    class TwoHeads(toy_run.Net):
        """Like GoogLeNet: auxiliary outputs in training, weighted by the loss."""

        loss = GoogLeNet.loss

        def __init__(self):
            super().__init__()
            self.aux = minidl.nn.Linear(28 * 28, 10)

        def forward(self, x):
            logits, aux = super().forward(x), self.aux(F.flatten(x, 1))
            return GoogLeNetOutputs(logits, aux, aux) if self.training else logits

    model = TwoHeads()
    before = model.aux.weight.numpy().copy()
    rows = fit(model, SGD(model.named_parameters(), 0.01), toy_run.TRAIN_SET, toy_run.VALIDATION_SET,
               output_dir=tmp_path, accumulate=2, **toy_run.SETTINGS | {"epochs": 1})
    assert rows[0]["train_loss"] > 1.3 * rows[0]["validation_loss"]  # three outputs against one
    assert not np.array_equal(model.aux.weight.numpy(), before)


def test_args_json(finished):
    args = json.loads((finished[0] / "args.json").read_text())
    assert args["recipe"] == {"lr": 0.05, "epochs": 3, "batch_size": 16, "seed": 1, "patience": None,
                              "accumulate": 1, "ema_decay": None, "optimizer": "SGD(lr=0.05, momentum=0.9)",
                              "schedule": "OneCycleLR(max_lr=[0.05], total_steps=21)",
                              "train_images": 100, "validation_images": 70}
    assert set(args["versions"]) == {"minidl", "numpy", "python"}


def test_row_agrees_with_a_direct_evaluation(tmp_path):
    """With learning rate 0 and one batch per epoch, the row is the initial model's result on the training set."""
    def model():
        net = toy_run.net()
        net.dropout.p = 0.0
        return net

    images, labels = toy_run.TRAIN_SET.batch(range(100))
    logits = model()(minidl.Tensor(images))
    trained = model()
    [row] = fit(trained, SGD(trained.named_parameters(), 0.0), toy_run.TRAIN_SET, output_dir=tmp_path, epochs=1,
                batch_size=100)
    assert row["train_loss"] == pytest.approx(minidl.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert row["train_accuracy"] == (logits.numpy().argmax(1) == labels).mean()
    assert (row["validation_loss"], row["validation_accuracy"]) == (None, None)


def weights_after(folder, **settings):
    """The final weights of a run of a network without batch normalization, and its losses."""
    minidl.manual_seed(7)
    model = minidl.nn.Sequential(minidl.nn.Flatten(), minidl.nn.Linear(784, 20), minidl.nn.Tanh(),
                                 minidl.nn.Linear(20, 10))
    rows = fit(model, SGD(model.named_parameters(), 0.1, 0.9), toy_run.TRAIN_SET, output_dir=folder, epochs=2,
               batch_size=48, log_interval=0, **settings)
    return model.state_dict(), [row["train_loss"] for row in rows]


def test_accumulate_gives_the_same_steps(tmp_path):
    """100 images in batches of 48: the last batch has 4 images for 5 parts, and parts of 10 images leave one of 8."""
    whole, losses = weights_after(tmp_path / "whole")
    parts, others = weights_after(tmp_path / "parts", accumulate=5)
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-4, atol=1e-5)
    assert others == pytest.approx(losses, rel=1e-4)


def test_averaged_weights_are_validated_and_saved(tmp_path, monkeypatch):
    """They are the average over the steps of the same run without averaging, and validation uses them."""
    seen, step = [], SGD.step

    def step_and_look(optimizer):
        step(optimizer)
        seen.append([p.data.copy() for p in optimizer.parameters])

    with monkeypatch.context() as patch:
        patch.setattr(SGD, "step", step_and_look)
        toy_run.train(tmp_path / "own", epochs=1)
    model = toy_run.net()
    average = [p.data.copy() for p in model.parameters()]
    for n, weights in enumerate(seen):
        decay = min(0.9, (1 + n) / (10 + n))
        average = [decay * a + (1 - decay) * x for a, x in zip(average, weights, strict=True)]
    rows = toy_run.train(tmp_path / "averaged", epochs=1, ema_decay=0.9)
    best, _ = load_checkpoint(tmp_path / "averaged" / "best.safetensors")
    last, _ = load_checkpoint(tmp_path / "averaged" / "last.safetensors")
    for (name, _), expected, own in zip(model.named_parameters(), average, seen[-1], strict=True):
        np.testing.assert_allclose(best[name], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(last[name], own)
    load_weights(model, tmp_path / "averaged" / "best.safetensors")
    assert rows[0]["validation_loss"] == evaluate(model, in_order(toy_run.VALIDATION_SET), 10).loss
    load_weights(model, tmp_path / "averaged" / "last.safetensors")
    assert rows[0]["validation_loss"] != evaluate(model, in_order(toy_run.VALIDATION_SET), 10).loss


@pytest.mark.parametrize(("accuracies", "epochs"), [
    ([50, 60, 55, 58, 99], 4),                   # two epochs in a row without improvement
    ([50, 40, 51, 40, 52], 5),                   # never two in a row
    ([50, 50, 50, 99, 99], 3),                   # equalling the best is no improvement
])
def test_early_stopping(tmp_path, monkeypatch, accuracies, epochs):
    validations(monkeypatch, accuracies)
    model = toy_run.net()
    rows = fit(model, SGD(model.named_parameters(), 0.1), toy_run.TRAIN_SET, toy_run.VALIDATION_SET,
               output_dir=tmp_path, epochs=5, batch_size=50, patience=2)
    assert len(rows) == epochs
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["position"]["stopped"] == (epochs < 5)


@pytest.mark.parametrize("nothing", [None, toy_run.DIGITS.take(0)])
def test_without_validation_the_last_epoch_is_the_best(tmp_path, nothing):
    rows = toy_run.train(tmp_path, validation_set=nothing)
    assert [row["validation_loss"] for row in rows] == [None] * 3
    assert load_checkpoint(tmp_path / "best.safetensors")[1]["epoch"] == 3


def test_dry_run_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = toy_run.train(tmp_path / "run", test_set=toy_run.DIGITS, dry_run=True)
    assert len(rows) == 1
    assert os.listdir(tmp_path) == []
    assert "a dry run: nothing is kept" in capsys.readouterr().out


def test_patience_needs_a_validation_set(tmp_path):
    with pytest.raises(ValueError, match="patience needs a validation_set") as error:
        toy_run.train(tmp_path, patience=3, validation_set=None)
    assert sentence(error.value).startswith("--patience needs --validation N")


def test_lines_without_a_terminal(tmp_path, capsys):
    toy_run.train(tmp_path, log_interval=1e-9)
    out, err = capsys.readouterr()
    assert len([line for line in out.splitlines() if line.startswith("epoch")]) == 3
    assert len(err.splitlines()) == 3 * toy_run.STEPS - 1             # the first step starts the clock
    assert err.startswith("epoch 1/3  32/100 images  loss ")


@pytest.mark.parametrize("settings", [
    {"schedule_every": "week"}, {"patience": 3}, {"batch_size": 0}, {"device": "tpu"}, {"epochs": 0},
    {"accumulate": 0}, {"ema_decay": 1.5},
])
def test_invalid_settings_are_refused(tmp_path, settings):
    with pytest.raises(ValueError, match=r"fit: |batch_size|device|decay=1.5"):
        toy_run.train(tmp_path / "run", validation_set=None, **settings)
    assert os.listdir(tmp_path) == []


def test_unknown_setting_is_refused(tmp_path):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        toy_run.train(tmp_path / "run", colour="red")
    assert os.listdir(tmp_path) == []


# Gradients, classes, one batch, several views

def test_clip_norm_scales_the_gradient_of_a_step(tmp_path):
    """With plain SGD and learning rate 1, a step is as long as the gradient."""
    lengths = {}
    for clip_norm in (None, 0.25, 1e6):
        model = toy_run.net()
        before = np.concatenate([p.numpy().ravel() for p in model.parameters()])
        fit(model, SGD(model.parameters(), 1.0), toy_run.TRAIN_SET, output_dir=tmp_path / str(clip_norm), epochs=1,
            batch_size=100, clip_norm=clip_norm)
        after = np.concatenate([p.numpy().ravel() for p in model.parameters()])
        lengths[clip_norm] = np.linalg.norm(after - before)
    assert lengths[0.25] == pytest.approx(0.25, rel=1e-4)
    assert lengths[1e6] == lengths[None] > 0.25
    recipes = [json.loads((tmp_path / name / "args.json").read_text())["recipe"] for name in ("None", "0.25")]
    assert ("clip_norm" in recipes[0], recipes[1]["clip_norm"]) == (False, 0.25)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.train.loop.clipped", lambda *_: float("inf"))
    with pytest.raises(minidl.NonFiniteError, match=r"epoch 1, step 1: the norm of the gradient is inf\. fit\("):
        toy_run.train(tmp_path, clip_norm=1.0)
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["position"]["step"] == 0


def test_balanced_classes(tmp_path, monkeypatch):
    """One class has a tenth of the images, and yet as many in an epoch as any other."""
    digits = toy_run.DIGITS
    rare = np.concatenate([np.flatnonzero(digits.labels != 3)[:90], np.flatnonzero(digits.labels == 3)[:2]])
    monkeypatch.setattr(toy_run, "TRAIN_SET", digits.subset(rare))
    seen = []

    def loss(logits, labels):
        seen.extend(labels.tolist())
        return F.cross_entropy(logits, labels)

    toy_run.train(tmp_path, balanced=True, loss=loss, epochs=1, validation_set=None)
    assert set(np.bincount(seen)) <= {9, 10}
    assert json.loads((tmp_path / "args.json").read_text())["recipe"]["balanced"] is True


def test_one_batch_is_learned(tmp_path, capsys):
    seen = []

    class Flickering(type(toy_run.DIGITS)):
        def batch(self, indices, epoch=None, seed=0):
            seen.append(epoch)
            return super().batch(indices)

    digits, model = toy_run.DIGITS, toy_run.net()
    fit(model, SGD(model.parameters(), 0.05, 0.9), Flickering(digits.images, digits.labels, digits.classes),
        output_dir=tmp_path / "run", epochs=9, batch_size=16, overfit=True, mix=MixUp(), resume=True)
    out = capsys.readouterr().out
    assert re.search(r"one batch: the loss went from 2\.\d{4} to 0\.\d{4} in \d+ steps, below 10% of .* can learn", out)
    assert "one batch only: nothing is kept" in out
    assert set(seen) == {None}                   # not augmented
    assert os.listdir(tmp_path) == []


def test_one_batch_that_is_not_learned(tmp_path, capsys):
    toy_run.train(tmp_path / "run", overfit=True, epochs=1)
    assert "and not below 10% of its first value: check the labels" in capsys.readouterr().out


def test_the_report_with_several_views_of_each_image(tmp_path):
    model = toy_run.net()
    fit(model, SGD(model.named_parameters(), 0.1), toy_run.TRAIN_SET, None, toy_run.DIGITS.take(50), tta="shift",
        output_dir=tmp_path, epochs=1, batch_size=50)
    logits = predict_augmented(model, toy_run.DIGITS.take(50).batch(range(50))[0], "shift")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["accuracy"] == (logits.argmax(1) == toy_run.DIGITS.labels[:50]).mean()
    with pytest.raises(ValueError, match="fit: tta='rotate' must be True, False or one of 'mirror', 'shift'"):
        toy_run.train(tmp_path / "b", tta="rotate")


def test_facts_about_the_data_are_kept_with_the_run(finished):
    folder, _ = finished
    counts = np.bincount(toy_run.TRAIN_SET.labels, minlength=10).tolist()
    data = json.loads((folder / "args.json").read_text())["data"]
    assert (data["class_counts"], data["mean"], data["std"]) == (counts, list(toy_run.DIGITS.mean),
                                                                 list(toy_run.DIGITS.std))
    for name in ("last.safetensors", "best.safetensors"):
        assert load_checkpoint(folder / name)[1]["class_counts"] == counts


# Failures during a run

def poisoned(number):
    """A loss that is NaN at step `number`."""
    calls = iter(range(1, 1000))

    def loss(logits, labels):
        value = minidl.functional.cross_entropy(logits, labels)
        return value * float("nan") if next(calls) == number else value
    return loss


def test_nan_loss_stops_the_run_and_keeps_the_checkpoint(tmp_path):
    message = r"epoch 2, step 3: the loss is nan\. fit\(\.\.\., resume=True\) continues .*; detect_nan=True names"
    with pytest.raises(minidl.NonFiniteError, match=message) as caught:
        toy_run.train(tmp_path, loss=poisoned(toy_run.STEPS + 3), validation_set=None)
    assert "--" not in str(caught.value)
    assert f"the loss is nan. --resume {tmp_path} continues" in sentence(caught.value)
    assert "; --detect-nan names" in sentence(caught.value)
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["position"]["epoch"] == 1
    assert len(toy_run.train(tmp_path, validation_set=None, resume=True)) == 3


def test_errors_of_a_dry_run_do_not_tell_how_to_resume(tmp_path):
    with pytest.raises(minidl.NonFiniteError, match="the loss is nan") as error:
        toy_run.train(tmp_path / "run", dry_run=True, loss=poisoned(1))
    for text in (str(error.value), sentence(error.value)):
        assert "resume" not in text


def test_detect_nan_names_the_layer(tmp_path):
    model = toy_run.net()
    model.fc.weight.data[...] = 3e38             # still finite, but the output is not
    optimizer = SGD(model.named_parameters(), 0.1)
    message = r"epoch 1, step 1: the output of linear is not finite: .* in layer fc\. fit\("
    with pytest.raises(minidl.NonFiniteError, match=message):
        fit(model, optimizer, toy_run.TRAIN_SET, output_dir=tmp_path, epochs=1, detect_nan=True)


def test_bad_weights_never_replace_good_ones(tmp_path, monkeypatch):
    """The loss is finite, the weights after the step are not, and a checkpoint is due."""
    original, calls = SGD.step, iter(range(1, 100))

    def step(optimizer):
        original(optimizer)
        if next(calls) == 9:
            optimizer.parameters[0].data[0] = np.nan

    monkeypatch.setattr(SGD, "step", step)
    with pytest.raises(minidl.NonFiniteError, match=r"conv\.weight holds NaN or infinity after step 2 of epoch 2"):
        toy_run.train(tmp_path, checkpoint_interval=0)
    arrays, facts = load_checkpoint(tmp_path / "last.safetensors")
    assert (facts["position"]["epoch"], facts["position"]["step"]) == (1, 1)
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("call", [1, 2, 6])
def test_full_disk_keeps_the_previous_checkpoint_and_is_reported(tmp_path, monkeypatch, call):
    """The disk is full from the start, from the first epoch's checkpoint on, or later."""
    original, calls = os.fsync, iter(range(1, 100))

    def fsync(descriptor):
        if next(calls) >= 2 * call:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match=r"cannot write .*No space left on device"):
            toy_run.train(tmp_path)
    assert not list(tmp_path.glob(".*"))
    assert len(toy_run.train(tmp_path, resume=True)) == 3


@pytest.mark.parametrize("name", sorted(set(FILES) - OF_REPORT))
def test_a_disk_that_is_full_when_a_file_is_written(tmp_path, monkeypatch, name):
    """The error names the file, what was saved before stays, and the run can be resumed."""
    original, written = os.replace, []

    def replace(part, path):
        if Path(path).name == name and (written.count(name) or name not in {"log.csv", "last.safetensors"}):
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(Path(path).name)
        original(part, path)

    settings = {"test_set": toy_run.DIGITS.take(20), "epochs": 2}
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(OSError, match=rf"cannot write .*{name}: No space left on device") as caught:
            toy_run.train(tmp_path, **settings)
    assert sentence(caught.value).startswith("No space left") or name in sentence(caught.value)
    assert not list(tmp_path.glob(".*"))
    assert set(os.listdir(tmp_path)) == set(written)
    rows = toy_run.train(tmp_path, resume=True, **settings)
    assert len(rows) == 2
    assert set(FILES) - {"args.json"} <= set(os.listdir(tmp_path))


def test_a_disk_that_is_full_when_the_report_is_written(tmp_path, monkeypatch, capsys):
    original = os.replace

    def replace(part, path):
        if Path(path).name in OF_REPORT:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        toy_run.train(tmp_path, test_set=toy_run.DIGITS.take(20), epochs=1)
    shown = capsys.readouterr()
    for name in OF_REPORT:
        assert f"{name} is missing: cannot write {tmp_path / name}: No space left on device" in shown.err
    assert "accuracy" in shown.out
    toy_run.train(tmp_path, test_set=toy_run.DIGITS.take(20), epochs=1, resume=True)
    assert sorted(os.listdir(tmp_path)) == FILES


def test_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"cannot make the output folder {tmp_path}/file/run: "):
        toy_run.train(tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match=r"cannot write .*Permission denied"):
        toy_run.train(tmp_path)


def test_temporary_files_of_a_killed_run_are_removed(tmp_path):
    Path(tmp_path, ".last.safetensors.0123.part").touch()
    toy_run.train(tmp_path)
    assert not list(tmp_path.glob(".*"))
