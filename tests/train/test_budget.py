"""Epochs within a time."""

import pytest

from minidl import data, optim, train
from minidl.nn import Flatten, Linear, Sequential


def test_epochs_within():
    assert train.epochs_within(1, 7) == 8
    assert train.epochs_within(0.01, 7) == 1
    with pytest.raises(ValueError, match="minutes=-1 must be a finite number of at least 0"):
        train.epochs_within(-1, 7)


def test_a_measured_epoch():
    model = Sequential(Flatten(), Linear(784, 10))
    digits = data.drawn_digits(50)
    optimizer = optim.SGD(model.parameters(), 0.1)
    assert 0 < train.seconds_per_epoch(model, optimizer, digits, None, 20) < 60
    assert 0 < train.seconds_per_epoch(model, optimizer, digits, digits.take(10), 64) < 60
