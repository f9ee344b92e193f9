"""MixUp and CutMix in fit: the same batches however many are prepared ahead, and after a run was resumed."""

import json

import numpy as np
import pytest
import toy_run
from test_resume import assert_same_end, killed_at, saved

import minidl.functional as F
from minidl.augment import CutMix, MixUp, RandomCrop
from minidl.data import DataLoader
from minidl.device import CPU
from minidl.io import CheckpointError
from minidl.optim import SGD
from minidl.train import fit
from minidl.train.loop import Loop
from minidl.train.losses import training_loss
from minidl.train.mixing import Mixed
from minidl.train.settings import Settings
from zoo.googlenet import GoogLeNet, GoogLeNetOutputs

BOTH = [MixUp(0.4), CutMix(1.0)]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("minidl.train.records.draw_curves", lambda *_: None)


@pytest.fixture
def augmented(monkeypatch):
    monkeypatch.setattr(toy_run, "TRAIN_SET", toy_run.TRAIN_SET.augmented(RandomCrop(28, padding=3)))


def batches(epoch, first=0, seed=1, mixes=BOTH, prefetch=0):
    loader = DataLoader(Mixed(toy_run.TRAIN_SET, mixes), 16, shuffle=True, seed=seed, prefetch=prefetch)
    loader.epoch = epoch
    return list(loader.batches(first))


def same(some, others):
    return all(np.array_equal(a, b) for pair in zip(some, others, strict=True) for a, b in zip(*pair, strict=True))


def test_batches_depend_on_seed_epoch_and_number_alone():
    expected = batches(3)
    assert same(batches(3), expected)
    assert same(batches(3, prefetch=2), expected)
    assert same(batches(3, first=4), expected[4:])
    assert not same(batches(4), expected)
    assert not same(batches(3, seed=2), expected)
    images, targets = expected[0]
    assert (images.shape, targets.shape, targets.dtype) == ((16, 1, 28, 28), (16, 10), np.float32)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)


def test_one_of_several_is_chosen_for_each_batch():
    """MixUp changes every pixel that differs, CutMix leaves some as they are: both occur."""
    plain = DataLoader(toy_run.TRAIN_SET, 16, shuffle=True, seed=1, prefetch=0)
    kept = [np.mean(mixed == image) for (image, _), (mixed, _) in zip(plain, batches(0), strict=True)]
    alone = [[same([a], [b]) for a, b in zip(batches(0, mixes=[mix]), batches(0), strict=True)] for mix in BOTH]
    assert len(kept) == 7
    assert 0 < sum(alone[0]) < 7
    assert [not cut for cut in alone[1]] == alone[0]


def test_mixing_of_balanced_classes():
    loader = DataLoader(Mixed(toy_run.TRAIN_SET, BOTH), 16, shuffle=True, seed=1, balanced=True)
    targets = np.concatenate([targets for _, targets in loader])
    np.testing.assert_allclose(targets.sum(0), 10, atol=1e-3)


def test_in_evaluation_nothing_is_mixed():
    images, labels = Mixed(toy_run.TRAIN_SET, BOTH).batch(np.arange(5))
    np.testing.assert_array_equal(images, toy_run.TRAIN_SET.batch(np.arange(5))[0])
    assert labels.dtype == np.int64


@pytest.mark.parametrize("step", [3, 8])
def test_a_killed_run_is_resumed_exactly(tmp_path, augmented, step):
    toy_run.train(tmp_path / "a", mix=BOTH, label_smoothing=0.1)
    with killed_at(Loop, "step", step):
        toy_run.train(tmp_path / "b", checkpoint_interval=0, mix=BOTH, label_smoothing=0.1)
    toy_run.train(tmp_path / "b", resume=True, mix=BOTH, label_smoothing=0.1, prefetch=0)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    recipe = json.loads((tmp_path / "a" / "args.json").read_text())["recipe"]
    assert (recipe["mix"], recipe["label_smoothing"]) == ("MixUp(alpha=0.4), CutMix(alpha=1.0)", 0.1)
    with pytest.raises(CheckpointError, match=r"label_smoothing=0.1 \(now None\), mix='MixUp.*' \(now 'CutMix\(alpha"):
        toy_run.train(tmp_path / "b", resume=True, mix=CutMix())
    assert saved(tmp_path / "b", "last.safetensors")[1]["position"]["epoch"] == 3


def test_the_accuracy_is_the_probability_of_the_predicted_class(tmp_path):
    model = toy_run.net()
    model.dropout.p = 0.0
    [row] = fit(model, SGD(model.parameters(), 0.0), toy_run.TRAIN_SET, output_dir=tmp_path, epochs=1, batch_size=100,
                mix=MixUp(0.4), seed=5)
    loader = DataLoader(Mixed(toy_run.TRAIN_SET, [MixUp(0.4)]), 100, shuffle=True, seed=5, prefetch=0)
    [(images, targets)] = loader
    other = toy_run.net()
    other.dropout.p = 0.0
    logits = other(images).numpy()
    assert row["train_accuracy"] == pytest.approx(targets[np.arange(100), logits.argmax(1)].sum() / 100, rel=1e-6)
    assert row["train_loss"] == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5)


@pytest.mark.parametrize("mix", [0.2, "mixup", MixUp, [MixUp(), 3]])
def test_what_is_no_mix(tmp_path, mix):
    with pytest.raises(TypeError, match=r"fit: mix=.* must be augment\.MixUp"):
        toy_run.train(tmp_path / "run", mix=mix)


# Losses

class Heads:
    """A model with the loss of GoogLeNet."""

    loss = GoogLeNet.loss


def test_a_model_with_heads_gets_smoothing_weights_and_probabilities_in_each_of_them():
    rng = np.random.default_rng(0)
    heads = [rng.standard_normal((4, 3)).astype(np.float32) for _ in range(3)]
    targets = rng.dirichlet([1, 1, 1], 4).astype(np.float32)
    s = Settings(output_dir="run", epochs=1, label_smoothing=0.1, class_weights=[1, 2, 3])
    loss = training_loss(Heads(), s, CPU)
    weight = np.array([1, 2, 3], np.float32)
    for labels in (targets, np.array([0, 1, 2, 2])):
        one, two, three = (F.cross_entropy(head, labels, weight, label_smoothing=0.1).item() for head in heads)
        assert loss(GoogLeNetOutputs(*heads), labels).item() == pytest.approx(one + 0.3 * (two + three), rel=1e-5)


def test_a_loss_that_is_given_overrides_that_of_the_model():
    def own(outputs, labels):
        return F.cross_entropy(outputs.logits, labels)

    assert training_loss(Heads(), Settings(output_dir="run", epochs=1, loss=own), CPU) is own
    with pytest.raises(ValueError, match="label_smoothing and class_weights belong to the default loss; put them"):
        Settings(output_dir="run", epochs=1, loss=own, label_smoothing=0.1)


def test_a_loss_of_a_model_without_criterion_takes_no_smoothing():
    class Other:
        def loss(self, outputs, labels):
            return F.cross_entropy(outputs, labels)

    with pytest.raises(ValueError, match="Other has a loss of its own without a parameter `criterion`"):
        training_loss(Other(), Settings(output_dir="run", epochs=1, label_smoothing=0.1), CPU)
    model = Other()
    assert training_loss(model, Settings(output_dir="run", epochs=1), CPU) == model.loss


def test_the_number_of_class_weights_is_checked(tmp_path):
    with pytest.raises(ValueError, match="fit: 3 class_weights for 10 classes"):
        toy_run.train(tmp_path / "run", class_weights=np.ones(3, np.float32))
    with pytest.raises(TypeError, match=r"class_weights=2\.0 must be one number for each class"):
        toy_run.train(tmp_path / "run", class_weights=2.0)
