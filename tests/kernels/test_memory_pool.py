"""The memory pool: freed blocks are reused, and live ones never."""

import os

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu.runtime import memory_pool

LARGE = memory_pool.SMALL // 4 + 1000                                     # float32 elements, enough to be large


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A pool of its own for each test."""
    monkeypatch.setattr(memory_pool, "pool", memory_pool.MemoryPool())
    return memory_pool.pool


def address(array):
    return array.__array_interface__["data"][0]


def test_empty_returns_an_ordinary_array():
    x = memory_pool.empty((3, LARGE), np.float64)
    assert type(x) is np.ndarray
    assert x.shape == (3, LARGE)
    assert x.dtype == np.float64
    assert x.flags.c_contiguous
    assert x.flags.writeable
    x[:] = 7
    assert (x == 7).all()


@pytest.mark.parametrize("shape", [(), (0, 5), (2, 3)])
def test_small_arrays_bypass_the_pool(pool, shape):
    assert memory_pool.empty(shape, np.float32).shape == shape
    assert pool.cached == []


def test_a_freed_block_is_reused():
    x = memory_pool.empty((LARGE,), np.float32)
    where = address(x)
    del x
    assert address(memory_pool.empty((LARGE // 2, 2), np.float32)) == where


def test_a_view_keeps_its_block(pool):
    view = memory_pool.empty((2, LARGE), np.float32)[1, ::2].reshape(-1, 1).T
    view[:] = 1
    other = memory_pool.empty((2, LARGE), np.float32)
    other[:] = 2
    assert (view == 1).all()
    assert not np.shares_memory(view, other)
    del view
    assert len(pool.cached) == 1


def test_live_arrays_never_share_memory():
    arrays = [memory_pool.empty((LARGE + i,), np.float32) for i in range(5)]
    for i, x in enumerate(arrays):
        x[:] = i
    assert all((x == i).all() for i, x in enumerate(arrays))


def test_a_request_does_not_take_a_much_larger_block():
    x = memory_pool.empty((2 * LARGE,), np.float32)
    where = address(x)
    del x
    assert address(memory_pool.empty((LARGE,), np.float32)) != where


def test_live_and_cached_blocks_never_exceed_the_peak(pool, monkeypatch):
    monkeypatch.setattr(memory_pool, "SLACK", 0)
    arrays = [memory_pool.empty((LARGE + 7 * i,), np.float32) for i in range(6)]
    peak = sum(a.nbytes for a in arrays)
    del arrays
    assert pool.cached_bytes == sum(map(len, pool.cached)) == pool.peak_bytes == peak
    large = memory_pool.empty((3 * LARGE,), np.float32)                   # fits none of them: the oldest are released
    assert pool.live_bytes == large.nbytes
    assert pool.peak_bytes == peak
    assert 0 < pool.cached_bytes == sum(map(len, pool.cached)) <= peak - large.nbytes
    assert max(map(len, pool.cached)) == 4 * (LARGE + 14)            # a list frees its last element first


def test_clear_releases_all_cached_blocks(pool):
    kept = memory_pool.empty((LARGE,), np.float32)
    memory_pool.empty((2 * LARGE,), np.float32)
    pool.clear()
    assert pool.cached == []
    assert pool.cached_bytes == 0
    assert pool.peak_bytes == pool.live_bytes == kept.nbytes


def test_a_much_larger_block_serves_at_the_limit_rather_than_being_released(pool, monkeypatch):
    monkeypatch.setattr(memory_pool, "SLACK", 0)
    first = pool.allocate(8000)
    pool.free(first)
    assert pool.allocate(1100) is first                      # a new block would exceed the peak
    assert pool.peak_bytes == pool.live_bytes == 8000
    pool.free(first)
    assert pool.allocate(900) is not first                   # more than eight times as large
    assert pool.cached_bytes == 0


def test_a_step_repeated_takes_no_new_memory(pool, monkeypatch):
    """Blocks that the first steps leave serve all later ones, although their sizes differ, as in a network."""
    monkeypatch.setattr(memory_pool, "SLACK", 0)

    def step():
        kept = [memory_pool.empty((LARGE * n,), np.float32) for n in (9, 8, 5, 3, 2)]
        for n in (7, 4, 6, 1):
            kept[n % 5] = memory_pool.empty((LARGE * n,), np.float32)
    for _ in range(5):
        step()
    monkeypatch.setattr(pool, "allocate_new", None)          # would fail
    step()
