"""The stand-in for CuPy must reject what CuPy rejects, otherwise the tests that run on it prove nothing."""

import numpy as np
import pytest
import strict_array as xp

OURS, THEIRS = xp.ones((2, 3)), np.ones((2, 3))


@pytest.mark.parametrize("mix", [
    lambda: OURS + THEIRS,
    lambda: THEIRS + OURS,
    lambda: OURS == THEIRS,
    lambda: THEIRS == OURS,
    lambda: OURS * np.float64(2),
    lambda: np.float64(2) * OURS,
    lambda: OURS @ THEIRS.T,
    lambda: OURS.__iadd__(THEIRS),
    lambda: OURS.reshape(np.array([3, 2])),
    lambda: OURS[np.array([0])],
    lambda: OURS[[0, 1]],
    lambda: OURS[:, np.array([0])],
    lambda: OURS.__setitem__(0, THEIRS[0]),
    lambda: np.exp(OURS),
    lambda: np.add(THEIRS, OURS),
    lambda: np.asarray(OURS),
    lambda: np.sum(OURS),
    lambda: np.concatenate([OURS, OURS]),
    lambda: np.broadcast_to(OURS, (2, 2, 3)),
    lambda: xp.exp(THEIRS),
    lambda: xp.concatenate([OURS, THEIRS]),
    lambda: xp.where(OURS > 0, OURS, THEIRS),
    lambda: xp.maximum(OURS, np.float32(0)),
    lambda: xp.add.at(OURS, np.array([0]), 1.0),
    lambda: xp.add.at(OURS, [0], 1.0),
    lambda: [1, 2, 3][OURS[0, 0]],
])
def test_mixing_with_numpy_arrays_is_rejected(mix):
    with pytest.raises(TypeError):
        mix()
    assert (OURS.get() == 1).all()


@pytest.mark.parametrize("name", ["insert", "block", "asmatrix", "nditer", "sliding_window_view", "nothing"])
def test_functions_that_cupy_lacks_are_missing(name):
    with pytest.raises(AttributeError, match=f"strict_array has no {name}"):
        getattr(xp, name)


def test_as_strided_and_ufuncs_have_no_more_than_in_cupy():
    with pytest.raises(TypeError):
        xp.lib.stride_tricks.as_strided(OURS, (2,), (8,), writeable=False)
    with pytest.raises(AttributeError):
        _ = xp.exp.at


def test_reductions_give_arrays_without_axes():
    for out in (OURS.sum(), OURS.mean(), OURS.max(), OURS[0, 0], xp.sum(OURS), OURS[0].argmax()):
        assert isinstance(out, xp.ndarray)
        assert out.shape == ()


def test_arithmetic_is_numpys():
    a, b = np.arange(6.0).reshape(2, 3), np.array([1.0, -2, 4])
    x, y = xp.asarray(a), xp.array(b)
    for ours, theirs in [(x + y, a + b), (2 - x, 2 - a), (x / 2, a / 2), (-x, -a), (abs(y), abs(b)), (x @ x.T, a @ a.T),
                         (x > y, a > b), (x[1:, ::2], a[1:, ::2]), (x[x > 2], a[a > 2]), (x[..., None], a[..., None]),
                         (xp.where(x > 2, x, 0), np.where(a > 2, a, 0)), (x.sum(0), a.sum(0)), (x.T, a.T)]:
        np.testing.assert_array_equal(ours.get(), theirs)
    x += 1
    x[0] = y
    np.testing.assert_array_equal(x.get(), [[1, -2, 4], [4, 5, 6]])
    xp.add.at(y, xp.asarray(np.array([0, 0])), 1.0)
    assert y.get().tolist() == [3, -2, 4]
    assert float(y[0]) == 3
    assert [float(v) for v in y] == [3, -2, 4]


def test_get_copies():
    OURS.get()[...] = 7
    assert (OURS.get() == 1).all()
