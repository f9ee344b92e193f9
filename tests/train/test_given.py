"""What `fit` takes: loaders and pairs of arrays train as data sets do; wrong ones are refused in a sentence."""

import re

import numpy as np
import pytest

import minidl
from minidl import Tensor, io, nn, optim, train
from minidl.data import DataLoader, FeatureDataset, ImageDataset, drawn_digits
from minidl.errors import sentence
from minidl.train.given import data_sets, of_pair

DIGITS = drawn_digits(64)
PIXELS, LABELS = DIGITS.images, DIGITS.labels
PLAIN = ImageDataset(PIXELS, LABELS, map(str, range(10)))
FLOATS = PIXELS.astype(np.float32) / 255


def fitted(tmp_path, data, *more, seed=0, **settings):
    """The log of a short run, without the times."""
    minidl.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    settings = {"epochs": 2, "log_interval": 0, **settings}
    rows = train.fit(model, optim.SGD(model.parameters(), 0.1), data, *more, output_dir=tmp_path, **settings)
    return model, [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_a_loader_and_a_pair_train_as_the_data_set_does(tmp_path):
    _, rows = fitted(tmp_path / "a", PLAIN, PLAIN, batch_size=16)
    loader = DataLoader(PLAIN, batch_size=16, shuffle=True, seed=0)
    assert fitted(tmp_path / "b", loader, DataLoader(PLAIN))[1] == rows
    assert fitted(tmp_path / "c", (PIXELS, LABELS), [PIXELS, Tensor(LABELS)], batch_size=16)[1] == rows


def test_floats_are_taken_as_they_are(tmp_path):
    model, rows = fitted(tmp_path / "a", (FLOATS, LABELS), (FLOATS[:9], LABELS[:9]), batch_size=16)
    _, expected = fitted(tmp_path / "b", PLAIN, PLAIN.take(9), batch_size=16)
    np.testing.assert_allclose([row["train_loss"] for row in rows], [row["train_loss"] for row in expected], rtol=1e-4)
    assert model.about == {"classes": list("0123456789"), "input": [1, 28, 28]}
    assert io.load_model(tmp_path / "a" / "best.safetensors").about == model.about


def test_vectors_are_taken_too(tmp_path):
    vectors = FLOATS.reshape(64, 784)
    model, _ = fitted(tmp_path, (vectors, LABELS))
    assert model.about == {"classes": list("0123456789")}
    assert io.load_model(tmp_path / "last.safetensors")(Tensor(vectors[:2])).shape == (2, 10)


def test_classes_of_a_pair():
    assert len(of_pair((PIXELS[:4], [0, 1, 1, 0])).classes) == 2
    assert of_pair((PIXELS[:4], [0, 0, 0, 0])).classes == ("0", "1")
    sets, _ = data_sets({"train_set": (PIXELS, LABELS), "validation_set": (PIXELS[:2], [0, 1])}, {})
    assert len(sets["validation_set"].classes) == 10
    assert isinstance(of_pair((FLOATS, LABELS)), FeatureDataset)
    assert len(of_pair((PIXELS[:2], [0, 255])).classes) == 256
    masks = of_pair((PIXELS, (PIXELS[:, 0] > 9).astype(int)))
    assert masks.batch([0])[1].shape == (1, 28, 28)


def test_a_loader_gives_its_settings():
    loader = DataLoader(PLAIN, batch_size=7, shuffle=True, drop_last=True, seed=3, prefetch=0)
    _, settings = data_sets({"train_set": loader}, {"epochs": 1, "seed": 3})
    assert settings == {"epochs": 1, "batch_size": 7, "drop_last": True, "seed": 3, "prefetch": 0, "balanced": False}


WRONG = {
    "channels last": ((PIXELS.transpose(0, 2, 3, 1), LABELS), r"\(64, 28, 28, 1\) looks like \(N, H, W, C\); conv"),
    "floats, channels last": ((FLOATS.transpose(0, 2, 3, 1), LABELS), r"looks like \(N, H, W, C\)"),
    "no channels": ((PIXELS[:, 0], LABELS), r"images\[:, None\] has one channel"),
    "rows with a 1": ((PIXELS, np.eye(10)[LABELS]), r"labels must be the numbers of classes \(N,\), not \(64, 10\)"),
    "a column": ((PIXELS, LABELS[:, None]), r"not \(64, 1\); labels\[:, 0\] are"),
    "labels that are floats": ((PIXELS, LABELS + 0.5), "labels must be whole numbers, not float64"),
    "another number of labels": ((PIXELS, LABELS[:9]), "do not belong together"),
    "images of whole numbers": ((PIXELS.astype(int), LABELS), "images must be uint8, or floats"),
    "text": ((["a"], [0]), "needs arrays of numbers, not <U1"),
    "three": ((PIXELS, LABELS, LABELS), r"3 arrays are no pair \(images, labels\)"),
    "images without labels": (PIXELS, "must be a data set, such as .*not ndarray"),
    "a loader in order": (DataLoader(PLAIN), r"without shuffle=True, .*give DataLoader\(\.\.\., shuffle=True\)"),
    "a loader without augmentation": (DataLoader(PLAIN, shuffle=True, augment=False), r"dataset\.augmented\(None\)"),
}


@pytest.mark.parametrize(("data", "reason"), WRONG.values(), ids=WRONG)
def test_wrong_data_are_refused(tmp_path, data, reason):
    with pytest.raises((TypeError, ValueError), match=f"fit: train_set.* {reason}"):
        fitted(tmp_path / "run", data)
    assert not (tmp_path / "run").exists()


def test_a_setting_that_contradicts_the_loader(tmp_path):
    with pytest.raises(ValueError, match="fit: batch_size=8, but the loader has batch_size=16; give one of them"):
        fitted(tmp_path, DataLoader(PLAIN, 16, shuffle=True), batch_size=8)


def test_a_run_again_in_the_same_folder(tmp_path):
    fitted(tmp_path, PLAIN, epochs=2)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(train.RunError, match="resume=True continues it, overwrite=True replaces it"):
        fitted(tmp_path, PLAIN)
    assert len(fitted(tmp_path, PLAIN, epochs=1, overwrite=True)[1]) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="resume continues the run in output_dir, and overwrite deletes it"):
        fitted(tmp_path, PLAIN, resume=True, overwrite=True)


@pytest.mark.parametrize(("freeze", "api", "command"), [
    ("conv9", "fit: freeze='conv9' is no part of Sequential", "--freeze conv9 is no part of Sequential"),
    ("1", "fit: freeze='1' leaves nothing to train", "--freeze 1 leaves nothing to train"),
])
def test_a_wrong_setting_deletes_nothing(tmp_path, freeze, api, command):
    """The API names settings, and commands name flags."""
    fitted(tmp_path, PLAIN)
    with pytest.raises(ValueError, match="fit: freeze=") as caught:
        fitted(tmp_path, PLAIN, overwrite=True, freeze=freeze)
    assert str(caught.value).startswith(api)
    assert sentence(caught.value).startswith(command)
    assert (tmp_path / "best.safetensors").exists()


def test_a_finished_run_is_extended(tmp_path):
    """It ends as a run of that many epochs does, if there is no schedule."""
    model, rows = fitted(tmp_path / "a", PLAIN, PLAIN, epochs=4)
    fitted(tmp_path / "b", PLAIN, PLAIN, epochs=1)
    fitted(tmp_path / "b", PLAIN, PLAIN, epochs=3, resume=True, seed=1)
    again, more = fitted(tmp_path / "b", PLAIN, PLAIN, epochs=4, resume=True, seed=2)
    assert more == rows
    np.testing.assert_array_equal(again[1].weight.numpy(), model[1].weight.numpy())
    _, facts = io.load_checkpoint(tmp_path / "b" / "last.safetensors")
    assert facts["recipe"]["extended"] == [1, 3]
    assert '"epochs": 4' in (tmp_path / "b" / "args.json").read_text()
    assert fitted(tmp_path / "b", PLAIN, PLAIN, epochs=4, resume=True)[1] == rows      # as it is now


def scheduled(folder, epochs, kind=optim.CosineAnnealingLR, **settings):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = optim.SGD(model.parameters(), 0.1)
    return train.fit(model, optimizer, PLAIN, output_dir=folder, epochs=epochs, schedule=kind(optimizer, epochs),
                     schedule_every="epoch", log_interval=0, **settings)


def test_an_extended_run_takes_its_place_in_the_longer_schedule(tmp_path):
    scheduled(tmp_path, 2)
    rates = [row["lr"] for row in scheduled(tmp_path, 4, resume=True)]
    assert rates[2:] == pytest.approx([0.05, 0.1 * (1 + np.cos(3 * np.pi / 4)) / 2])


class Stops(train.Callback):
    def epoch_finished(self, run, row):
        run.stop("enough")


def test_a_run_that_was_stopped_is_extended(tmp_path):
    assert len(fitted(tmp_path, PLAIN, epochs=3, callbacks=[Stops()])[1]) == 1
    assert len(fitted(tmp_path, PLAIN, epochs=5, resume=True)[1]) == 5


class Breaks(train.Callback):
    def epoch_started(self, run):
        if run.position.epoch == 1:
            raise RuntimeError("broken")


@pytest.mark.parametrize(("first", "then"), [
    ({"epochs": 3}, {"epochs": 2}), ({"epochs": 2, "callbacks": [Breaks()]}, {"epochs": 3}),
], ids=["fewer epochs", "a run that is not finished"])
def test_what_cannot_be_extended(tmp_path, first, then):
    try:
        fitted(tmp_path, PLAIN, **first)
    except RuntimeError:
        assert "callbacks" in first
    with pytest.raises(io.CheckpointError) as caught:
        fitted(tmp_path, PLAIN, resume=True, **then)
    was = f"{first['epochs']} (now {then['epochs']})"
    assert f"was started with epochs={was}; " in str(caught.value)
    assert f"was started with --epochs {was}; " in sentence(caught.value)
    assert str(caught.value).endswith("A finished run can be extended by more epochs.")


def test_another_kind_of_schedule_does_not_extend(tmp_path):
    scheduled(tmp_path, 2)
    with pytest.raises(io.CheckpointError, match=re.escape("schedule='CosineAnnealingLR(T_max=2)' (now 'StepLR(")):
        scheduled(tmp_path, 4, optim.StepLR, resume=True)


def test_the_facts_of_pretrained_weights_stay(tmp_path):
    import zoo
    facts = {"classes": ["a", "b", "c"], "input": [1, 28, 28], "resize": 32, "mean": [0.5], "std": [0.25]}
    io.save_model(tmp_path / "old", zoo.create("lenet5", num_classes=3), **facts)
    assert zoo.create("lenet5", pretrained=tmp_path / "old").about == facts
    model = zoo.create("lenet5", pretrained=tmp_path / "old", num_classes=10)
    assert model.about == {key: value for key, value in facts.items() if key != "classes"}
    train.fit(model, optim.SGD(model.parameters(), 0.1), PLAIN.normalized([0.5], [0.25]), output_dir=tmp_path / "run",
              epochs=1, log_interval=0)
    expected = {**facts, "classes": list("0123456789")}
    assert zoo.load(tmp_path / "run" / "best.safetensors").about == expected
    io.save_model(tmp_path / "new", model)
    assert zoo.load(tmp_path / "new").about == expected
    assert "classes" not in zoo.replace_head(zoo.load(tmp_path / "new"), 4).about
