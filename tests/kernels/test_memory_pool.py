"""The store of used memory: blocks come back, and never while somebody looks at them."""

import os

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the fast kernels need Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu.runtime import memory_pool

LARGE = memory_pool.SMALL // 4 + 1000                                     # float32 numbers, enough not to be small


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """A store of its own for each test."""
    monkeypatch.setattr(memory_pool, "store", memory_pool.Store())
    return memory_pool.store


def address(array):
    return array.__array_interface__["data"][0]


def test_what_it_makes_is_an_ordinary_array():
    x = memory_pool.empty((3, LARGE), np.float64)
    assert type(x) is np.ndarray
    assert x.shape == (3, LARGE)
    assert x.dtype == np.float64
    assert x.flags.c_contiguous
    assert x.flags.writeable
    x[:] = 7
    assert (x == 7).all()


@pytest.mark.parametrize("shape", [(), (0, 5), (2, 3)])
def test_small_arrays_are_numpys_own(store, shape):
    assert memory_pool.empty(shape, np.float32).shape == shape
    assert store.spare == []


def test_a_block_is_used_again():
    x = memory_pool.empty((LARGE,), np.float32)
    where = address(x)
    del x
    assert address(memory_pool.empty((LARGE // 2, 2), np.float32)) == where


def test_a_view_keeps_its_block(store):
    view = memory_pool.empty((2, LARGE), np.float32)[1, ::2].reshape(-1, 1).T
    view[:] = 1
    other = memory_pool.empty((2, LARGE), np.float32)
    other[:] = 2
    assert (view == 1).all()
    assert not np.shares_memory(view, other)
    del view
    assert len(store.spare) == 1


def test_two_in_use_never_share():
    arrays = [memory_pool.empty((LARGE + i,), np.float32) for i in range(5)]
    for i, x in enumerate(arrays):
        x[:] = i
    assert all((x == i).all() for i, x in enumerate(arrays))


def test_much_larger_blocks_are_not_wasted_on_small_requests():
    x = memory_pool.empty((2 * LARGE,), np.float32)
    where = address(x)
    del x
    assert address(memory_pool.empty((LARGE,), np.float32)) != where


def test_used_and_spare_blocks_take_no_more_than_was_ever_used(store, monkeypatch):
    monkeypatch.setattr(memory_pool, "SLACK", 0)
    arrays = [memory_pool.empty((LARGE + 7 * i,), np.float32) for i in range(6)]
    peak = sum(a.nbytes for a in arrays)
    del arrays
    assert store.spare_bytes == sum(map(len, store.spare)) == store.peak == peak
    large = memory_pool.empty((3 * LARGE,), np.float32)                   # fits none of them, so the oldest must go
    assert store.used_bytes == large.nbytes
    assert store.peak == peak
    assert 0 < store.spare_bytes == sum(map(len, store.spare)) <= peak - large.nbytes
    assert max(map(len, store.spare)) == 4 * (LARGE + 14)            # a list frees its last element first


def test_clear_gives_everything_back(store):
    kept = memory_pool.empty((LARGE,), np.float32)
    memory_pool.empty((2 * LARGE,), np.float32)
    store.clear()
    assert store.spare == []
    assert store.spare_bytes == 0
    assert store.peak == store.used_bytes == kept.nbytes
