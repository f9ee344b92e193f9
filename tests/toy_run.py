"""A run that takes a moment, and yet has every kind of state that a resumed run could lose."""

import minidl
import minidl.nn as nn
from minidl.data import drawn_digits
from minidl.optim import SGD, OneCycleLR
from minidl.train import fit

SETTINGS = {"epochs": 3, "batch_size": 16, "seed": 1, "log_interval": 0}
DIGITS = drawn_digits(170, seed=3)
VALIDATION_SET, TRAIN_SET = DIGITS.take(70), DIGITS.subset(range(70, 170))
STEPS = 7                                       # per epoch; the last batch is smaller


class Net(nn.Module):
    """Batch normalization has buffers, dropout uses random numbers, convolution has its own memory order."""

    def __init__(self):
        self.conv = nn.Conv2d(1, 4, 5, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 8 * 8, 10)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        x = minidl.functional.relu(self.norm(self.conv(x)))
        return self.fc(self.dropout(minidl.functional.flatten(x, 1)))


def net():
    """A new model, always with the same weights."""
    minidl.manual_seed(7)
    return Net()


def train(folder, optimizer=SGD, validation_set=VALIDATION_SET, test_set=None, train_set=None, **settings):
    """Run `fit` with this model; `settings` are those of fit."""
    train_set = TRAIN_SET if train_set is None else train_set            # a test may have replaced it
    model = net()
    made = optimizer(model.named_parameters(), 0.05, **{"momentum": 0.9} if optimizer is SGD else {})
    schedule = OneCycleLR(made, 0.05, SETTINGS["epochs"] * STEPS)
    return fit(model, made, train_set, validation_set, test_set, output_dir=folder, schedule=schedule,
               **{**SETTINGS, **settings})
