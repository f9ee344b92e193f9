"""The store of used memory: blocks come back, and never while somebody looks at them."""

import os

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the fast kernels need Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu import memory

LARGE = memory.SMALL // 4 + 1000                                     # float32 numbers, enough not to be small


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """A store of its own for each test."""
    monkeypatch.setattr(memory, "store", memory.Store())
    return memory.store


def address(array):
    return array.__array_interface__["data"][0]


def test_what_it_makes_is_an_ordinary_array():
    x = memory.empty((3, LARGE), np.float64)
    assert type(x) is np.ndarray
    assert x.shape == (3, LARGE)
    assert x.dtype == np.float64
    assert x.flags.c_contiguous
    assert x.flags.writeable
    x[:] = 7
    assert (x == 7).all()


@pytest.mark.parametrize("shape", [(), (0, 5), (2, 3)])
def test_small_arrays_are_numpys_own(store, shape):
    assert memory.empty(shape, np.float32).shape == shape
    assert store.spare == []


def test_a_block_is_used_again():
    x = memory.empty((LARGE,), np.float32)
    where = address(x)
    del x
    assert address(memory.empty((LARGE // 2, 2), np.float32)) == where


def test_a_view_keeps_its_block(store):
    view = memory.empty((2, LARGE), np.float32)[1, ::2].reshape(-1, 1).T
    view[:] = 1
    other = memory.empty((2, LARGE), np.float32)
    other[:] = 2
    assert (view == 1).all()
    assert not np.shares_memory(view, other)
    del view
    assert len(store.spare) == 1


def test_two_in_use_never_share():
    arrays = [memory.empty((LARGE + i,), np.float32) for i in range(5)]
    for i, x in enumerate(arrays):
        x[:] = i
    assert all((x == i).all() for i, x in enumerate(arrays))


def test_much_larger_blocks_are_not_wasted_on_small_requests():
    x = memory.empty((2 * LARGE,), np.float32)
    where = address(x)
    del x
    assert address(memory.empty((LARGE,), np.float32)) != where


def test_no_more_than_so_much_is_kept(store, monkeypatch):
    monkeypatch.setattr(memory, "SPARE", 10 * LARGE)
    arrays = [memory.empty((LARGE + 7 * i,), np.float32) for i in range(6)]
    del arrays
    assert 0 < store.size <= 10 * LARGE
    assert store.size == sum(map(len, store.spare))
    store.clear()
    assert store.size == 0
    assert store.spare == []
