"""The eight symmetries: all different, undone exactly, and averaged."""

import numpy as np
import pytest

from minidl import Tensor, nn
from minidl.evaluation.symmetries import Symmetric, changed, changed_back


def test_eight_different_ones_that_are_undone():
    x = Tensor(np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4))
    assert len({changed(x, number).numpy().tobytes() for number in range(8)}) == 8
    for number in range(8):
        np.testing.assert_array_equal(changed_back(changed(x, number), number).numpy(), x.numpy())


class Shift(nn.Module):
    """Each pixel takes the value of its left neighbour."""

    def forward(self, x):
        return x[..., [-1, *range(x.shape[-1] - 1)]]


def test_masks_are_turned_back():
    x = np.random.default_rng(0).random((1, 2, 5, 7)).astype(np.float32)
    mean = sum(np.roll(x, shift, axis) for shift, axis in [(1, 3), (-1, 3), (1, 2), (-1, 2)]) / 4
    np.testing.assert_allclose(Symmetric(Shift())(Tensor(x)).numpy(), mean, rtol=1e-6)


def test_classes():
    x = np.random.default_rng(0).random((3, 1, 4, 4)).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    expected = sum(model(changed(Tensor(x), number)).numpy() for number in range(8)) / 8
    assert Symmetric(model)(Tensor(x)).numpy() == pytest.approx(expected, rel=1e-5)
