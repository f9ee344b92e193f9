"""Numbers of NumPy's as settings: taken as Python's; anything that is no number is named."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from minidl import Tensor
from minidl.scalars import flag, number, plain, whole

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), Tensor(np.array(3)), 3.0, np.float32(3),
                                   np.float64(3), np.array(3.0), Fraction(3)])
def test_a_number_is_a_python_float(value):
    assert (type(number("X", "y", value)), number("X", "y", value)) == (float, 3.0)


@pytest.mark.parametrize("value", ["0.1", None, math.nan, math.inf, -math.inf, 1j, True, np.True_, np.nan, [0.1],
                                   np.array([0.1]), {}])
def test_what_is_no_number_is_named(value):
    with pytest.raises(ValueError, match=r"^SGD: lr=.* must be a finite number"):
        number("SGD", "lr", value)


def test_bounds_are_named():
    assert number("X", "p", 1, 0, 1) == 1
    with pytest.raises(ValueError, match=r"X: p=1.5 must be a finite number from 0 to 1$"):
        number("X", "p", 1.5, 0, 1)
    with pytest.raises(ValueError, match=r"X: p=np.float32\(-1.0\) must be a finite number of at least 0$"):
        number("X", "p", np.float32(-1), 0)
    with pytest.raises(ValueError, match=r"lr='1' must be a finite number; convert text with float\(\)"):
        number("X", "lr", "1")


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), np.array(2), Tensor(np.array(2))])
def test_a_whole_number_is_a_python_int(value):
    assert (type(whole("X", "y", value)), whole("X", "y", value)) == (int, 2)


@pytest.mark.parametrize("value", [0, -1, True, np.True_, 2.0, np.float64(2), "2", None, math.nan, np.array([2])])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(ValueError, match=r"^fit: epochs=.* must be a whole number of at least 1"):
        whole("fit", "epochs", value)


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), 1, np.int64(1)])
def test_a_flag_is_a_python_bool(value):
    assert flag("X", "y", value) is True


@pytest.mark.parametrize("value", ["False", None, 2, 1.0, math.nan])
def test_what_is_no_flag_is_named(value):
    with pytest.raises(ValueError, match=r"X: y=.* must be True or False"):
        flag("X", "y", value)


def test_numbers_in_containers():
    value = {"a": (np.float64(0.5), [np.int64(1)]), np.int64(2): np.array(3), "t": "text"}
    assert json.loads(json.dumps(plain(value))) == {"a": [0.5, [1]], "2": 3, "t": "text"}
    assert plain(np.array([[1, 2]])) == [[1, 2]]
    assert [type(plain(x)) for x in (np.longdouble(0.5), Fraction(1, 2), np.float16(0.5), np.str_("a"), True)] == [
        float, float, float, str, bool]
    assert plain(np.dtype(np.float32)) == np.dtype(np.float32)
