"""How far you are with the exercises of chapter 7."""

import numpy as np
import pytest

import minidl
import minidl.functional as F
from minidl import Tensor, data, nn, optim
from zoo.lenet import lenet5


@pytest.fixture
def batch():
    return data.drawn_digits(40).batch(range(40))


class Detached(nn.Module):
    """A network whose first layer is cut off the tape, and whose last one is not used."""

    def __init__(self):
        self.first, self.second, self.forgotten = nn.Linear(784, 8), nn.Linear(8, 10), nn.Linear(8, 10)

    def forward(self, x):
        return self.second(self.first(F.flatten(x, 1)).detach())


def test_not_learning_finds_nothing_in_lenet(exercise, batch):
    minidl.manual_seed(0)
    model = lenet5()
    assert exercise.not_learning(model, *batch) == []
    assert all(parameter.grad is None for parameter in model.parameters())


def test_not_learning_finds_what_is_cut_off(exercise, batch):
    names = exercise.not_learning(Detached(), *batch)
    assert names == ["first.weight", "first.bias", "forgotten.weight", "forgotten.bias"]


def test_not_learning_finds_dead_units(exercise, batch):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))
    model[1].bias.data[...] = -1e4
    assert exercise.not_learning(model, *batch) == ["1.weight", "1.bias", "3.weight"]


class Counted:
    """A loader that counts its epochs, and notes whether the model was in training mode."""

    def __init__(self, model, images, labels):
        self.model, self.images, self.labels, self.epochs = model, images, labels, 0

    def __iter__(self):
        self.epochs += 1
        for i in range(0, len(self.images), 20):
            assert self.model.training, "the model must be in training mode"
            yield self.images[i:i + 20], self.labels[i:i + 20]


def overfitting(most_epochs, exercise, patience=3):
    """Train on noise, which no network can predict: the validation loss soon rises."""
    minidl.manual_seed(0)
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((120, 30)).astype(np.float32), rng.integers(0, 3, 120)
    model = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 3))
    loader, validation = Counted(model, images[:60], labels[:60]), (images[60:], labels[60:])
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    losses = exercise.train_until(model, optimizer, loader, validation, patience, most_epochs)
    assert loader.epochs == len(losses)
    assert not model.training
    final = F.cross_entropy(model(Tensor(validation[0])), validation[1]).item()
    assert final == pytest.approx(min(losses))
    return losses


def test_train_until_stops_by_itself(exercise):
    losses = overfitting(200, exercise)
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    assert len(losses) < 100


def test_train_until_keeps_to_the_limit(exercise):
    assert len(overfitting(2, exercise, patience=50)) == 2


def test_suspects(exercise):
    images, labels = data.drawn_digits(2000).batch(range(2000))
    rng = np.random.default_rng(0)
    wrong = rng.choice(2000, 100, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, 100)) % 10
    found = exercise.suspects(images, labels, 100)
    assert len(set(found.tolist())) == 100
    assert np.isin(found, wrong).sum() >= 70
