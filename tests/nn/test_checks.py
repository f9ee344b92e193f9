"""The errors of a network for images that it does not accept."""

import numpy as np
import pytest

import minidl.nn as nn
from minidl import Tensor


def check(shape, **settings):
    return nn.check_input(nn.Flatten(), Tensor(np.zeros(shape, np.float32)), 3, **settings)


def test_what_fits_passes():
    assert check((0, 3, 1, 1)) is None
    assert check((2, 3, 8, 9), smallest=8) is None
    assert check((2, 3, 8, 8), exactly=8) is None


@pytest.mark.parametrize(("shape", "settings", "message"), [
    ((3, 8, 8), {}, r"Flatten: x must be images \(N, 3, H, W\), not \(3, 8, 8\)"),
    ((1, 1, 8, 8), {}, r"Flatten: x must be images \(N, 3, H, W\), not \(1, 1, 8, 8\); .* in_channels=1"),
    ((1, 3, 7, 9), {"smallest": 8}, "Flatten: images must be at least 8 x 8 pixels, not 7 x 9"),
    ((1, 3, 9, 7), {"smallest": 8}, "Flatten: images must be at least 8 x 8 pixels, not 9 x 7"),
    ((1, 3, 8, 9), {"exactly": 8}, "Flatten: images must be 8 x 8 pixels, not 8 x 9"),
])
def test_what_does_not_fit(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        check(shape, **settings)
