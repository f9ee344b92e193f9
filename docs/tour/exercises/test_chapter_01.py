"""Tests of the exercises of chapter 1."""

import math

import pytest
import scalar_engine


def test_dual_sum_and_product(exercise):
    x, c = exercise.Dual(3.0, 1.0), exercise.Dual(5.0)
    y = x * x + c * x
    assert (y.value, y.slope) == (24.0, 11.0)


def test_dual_quotient(exercise):
    x, two = exercise.Dual(0.5, 1.0), exercise.Dual(2.0)
    assert (two / x).slope == pytest.approx(-8)
    assert (x / two).slope == pytest.approx(0.5)


def test_dual_tanh(exercise):
    x = exercise.Dual(0.7, 1.0)
    y = (x * x).tanh()
    assert y.value == pytest.approx(math.tanh(0.49))
    assert y.slope == pytest.approx(1.4 / math.cosh(0.49) ** 2)


def check_order(found, result):
    """Each Number once, and after all that read it."""
    places = {n: i for i, n in enumerate(found)}
    assert len(places) == len(found)
    assert set(found) == set(scalar_engine.newest_first(result))
    assert all(places[n] < places[parent] for n in found for parent in n.parents)


def test_readers_first(exercise):
    x, y = scalar_engine.Number(2.0), scalar_engine.Number(3.0)
    z = x * y
    result = (z + x) * (z * z + y)
    check_order(exercise.readers_first(result), result)
    check_order(exercise.readers_first(x), x)


def test_readers_first_of_a_number_that_is_read_twice(exercise):
    z = scalar_engine.Number(1.0)
    for _ in range(40):                                    # 2**40 paths
        z = z + z
    check_order(exercise.readers_first(z), z)


def test_readers_first_of_a_long_chain(exercise):
    z = scalar_engine.Number(1.0)
    for _ in range(100_000):
        z = scalar_engine.tanh(z)
    check_order(exercise.readers_first(z), z)


def test_first_derivative(exercise):
    x, c = exercise.Smooth(1.5), exercise.Smooth(4.0)
    assert exercise.gradient(c * x * x + x, x).value == pytest.approx(13)
    assert exercise.gradient(c * c, x).value == 0
    assert exercise.gradient(x, x).value == 1


def test_second_and_third_derivative(exercise):
    x = exercise.Smooth(0.8)
    y = (x * x).exp()
    first = exercise.gradient(y, x)
    second = exercise.gradient(first, x)
    third = exercise.gradient(second, x)
    assert first.value == pytest.approx(1.6 * math.exp(0.64))
    assert second.value == pytest.approx((2 + 4 * 0.64) * math.exp(0.64))
    assert third.value == pytest.approx((12 * 0.8 + 8 * 0.8**3) * math.exp(0.64))


def test_mixed_derivative(exercise):
    x, y = exercise.Smooth(0.3), exercise.Smooth(-1.2)
    z = (x * y).exp() + x * x * y
    mixed = exercise.gradient(exercise.gradient(z, x), y)
    assert mixed.value == pytest.approx((1 - 0.36) * math.exp(-0.36) + 0.6)
