"""The table of a network against sums computed by hand; making it leaves no trace."""

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor
from minidl.summary import summary


class Net(nn.Module):
    """A layer called twice, a view, a function, and a module with both a tensor and a module."""

    def __init__(self):
        self.conv = nn.Conv2d(4, 6, (3, 2), stride=2, groups=2)
        self.same = nn.Conv2d(6, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.rest = nn.Identity()
        self.head = Head()
        self.unused = nn.Linear(10, 10)

    def forward(self, x):
        x = self.rest(self.norm(self.conv(x)))
        return self.head(F.relu(self.same(self.same(x))))


class Head(nn.Module):
    def __init__(self):
        self.shift = nn.Parameter(np.zeros(5, np.float32))
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(x.mean((2, 3))) + self.shift


def test_rows_and_totals():
    table = summary(Net(), (4, 9, 8))                           # conv: (6, 4, 4) from filters (6, 2, 3, 2)
    assert [tuple(row) for row in table.rows] == [
        ("conv", "Conv2d", (6, 4, 4), 72 + 6, 72 * 16, 96 * 4),
        ("norm", "BatchNorm2d", (6, 4, 4), 12, 0, 96 * 4),
        ("rest", "Identity", (6, 4, 4), 0, 0, 0),
        ("same", "Conv2d", (6, 4, 4), 36, 36 * 16, 96 * 4),
        ("same", "Conv2d", (6, 4, 4), 0, 36 * 16, 96 * 4),
        ("head.fc", "Linear", (5,), 35, 30, 5 * 4),
        ("head", "Head", (5,), 5, 0, 5 * 4),
    ]
    assert table.parameters == 78 + 12 + 36 + 35 + 5 + 110
    assert table.multiply_adds == 72 * 16 + 2 * 36 * 16 + 30
    assert table.bytes == 4 * 96 * 4 + 2 * 20


def test_the_table_is_aligned():
    lines = str(summary(nn.Sequential(nn.Flatten(), nn.Linear(784, 1000)), (1, 28, 28))).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["name", "layer", "output", "parameters", "multiply-adds", "memory"]
    assert lines[-1].split() == ["total", "785,000", "784,000", "3.9", "KiB"]


def test_it_leaves_no_trace():
    model = Net()
    model.norm.eval()
    before, modes = model.state_dict(), [(name, module.training) for name, module in model.named_modules()]
    attributes = [list(vars(module)) for _, module in model.named_modules()]
    summary(model, (4, 9, 8))
    with pytest.raises(ValueError, match="conv2d"):
        summary(model, (3, 9, 8))                               # stops in the middle
    assert [(name, module.training) for name, module in model.named_modules()] == modes
    assert [list(vars(module)) for _, module in model.named_modules()] == attributes
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert all(p.grad is None for p in model.parameters())


def test_float64_and_no_parameters():
    assert summary(nn.Linear(2, 3).to(dtype=np.float64), (2,)).bytes == 24
    assert summary(nn.ReLU(), (2, 3)).rows[0].shape == (2, 3)


def test_an_output_that_is_not_a_tensor_has_no_row():
    class Two(nn.Module):
        def forward(self, x):
            return x, Tensor(x.data * 2)

    assert summary(Two(), (2,)).rows == []


@pytest.mark.parametrize("shape", [(), (0, 2), (1.5,)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match="input_shape"):
        summary(nn.ReLU(), shape)
