"""Features of a frozen network: the same as by hand, computed once, and never taken from the wrong file."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, augment, data, nn, no_grad, train
from minidl.train import features as module


def network():
    minidl.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, stride=4), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(),
                         nn.Linear(147, 10))


DIGITS = data.drawn_digits(20)
FLIPPED = DIGITS.augmented(augment.RandomHorizontalFlip(p=1.0))


def by_hand(model, images):
    with no_grad():
        return model[:3][1](model[0](Tensor(images))).numpy()


def test_the_output_of_a_layer_in_eval_mode():
    model = network()
    found = train.extract_features(model, DIGITS, "2", batch_size=7)
    assert model.training
    assert found.image_shape == (3, 7, 7)
    model.eval()
    np.testing.assert_allclose(found.features, by_hand(model, DIGITS.batch(range(20))[0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.labels, DIGITS.labels)
    assert found.classes == DIGITS.classes


def test_augmented_copies():
    model = network().eval()
    found = train.extract_features(model, FLIPPED, "2", copies=2)
    assert len(found) == 60
    np.testing.assert_array_equal(found.labels, np.tile(DIGITS.labels, 3))
    np.testing.assert_array_equal(found.features[20:40], found.features[40:])            # both are mirrored
    expected = by_hand(model, DIGITS.batch(range(20))[0][..., ::-1])
    np.testing.assert_allclose(found.features[20:40], expected, rtol=1e-5, atol=1e-6)


def test_the_cache(tmp_path, monkeypatch):
    first = train.extract_features(network(), DIGITS, "2", cache=tmp_path)
    monkeypatch.setattr(module, "computed", None)                    # calling it is an error
    again = train.extract_features(network(), DIGITS, "2", cache=tmp_path)
    np.testing.assert_array_equal(first.features, again.features)
    changed = network()
    changed[0].weight.data[0, 0, 0, 0] += 1
    for model, dataset, layer in [(changed, DIGITS, "2"), (network(), DIGITS, "0"), (network(), DIGITS.take(19), "2"),
                                  (network(), DIGITS.normalized([0.5], [1.0]), "2")]:
        with pytest.raises(TypeError):
            train.extract_features(model, dataset, layer, cache=tmp_path)


def test_a_damaged_cache_is_made_anew(tmp_path):
    first = train.extract_features(network(), DIGITS, "2", cache=tmp_path)
    path, = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    again = train.extract_features(network(), DIGITS, "2", cache=tmp_path)
    np.testing.assert_array_equal(first.features, again.features)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_head_is_trained_on_them(tmp_path):
    found = train.extract_features(network(), DIGITS, "2")
    held_out, rest = found.stratified_split(0.3)
    head = train.new_top(found.image_shape, 10)
    rows = train.fit(head, minidl.optim.SGD(head.parameters(), 0.1), rest, held_out, output_dir=tmp_path / "run",
                     epochs=2, batch_size=5, log_interval=0)
    assert len(rows) == 2


def test_features_are_no_pixels():
    found = data.FeatureDataset(np.ones((2, 3)), [0, 1], "ab")
    with pytest.raises(ValueError, match="features cannot be augmented"):
        found.augmented(augment.RandomHorizontalFlip())
    with pytest.raises(ValueError, match="must have shape"):
        data.FeatureDataset(np.ones(3), [0, 1, 0], "ab")
    with pytest.raises(IndexError):
        found.batch([2])


def test_bad_arguments():
    model = network()
    with pytest.raises(ValueError, match="layer='9' is no module of Sequential"):
        train.extract_features(model, DIGITS, "9")
    with pytest.raises(ValueError, match="copies=1 needs images that are augmented"):
        train.extract_features(model, DIGITS, "2", copies=1)
    with pytest.raises(ValueError, match="there are no images"):
        train.extract_features(model, DIGITS.take(0), "2")
    model.unused = nn.Identity()
    model.forward = lambda x: x
    with pytest.raises(ValueError, match="'2' is not called by the network in eval mode"):
        train.extract_features(model, DIGITS, "2")
