"""How work is divided among threads: each unit belongs to exactly one of them, whatever their number."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu.runtime import work

threads, units = st.integers(1, 40), st.integers(0, 200)
sizes = st.one_of(st.integers(0, 3 * work.SERIAL_SIZE), st.integers(0, 10**6))


def check_partition(parts, units):
    """All units are in the parts, each once, in the order of the threads."""
    stop = 0
    for part in filter(None, parts):
        assert part.start == stop
        stop = part.stop
    assert stop == units


@given(threads=threads, units=units)
def test_share(threads, units):
    parts = [work.share(thread, threads, units) for thread in range(threads)]
    check_partition(parts, units)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(threads=threads, units=units, size=sizes)
def test_share_of_work(threads, units, size):
    """No more threads get units than there is work for."""
    parts = [work.share_of_work(thread, threads, units, size) for thread in range(threads)]
    check_partition(parts, units)
    assert sum(map(bool, parts)) <= max(1, work.ceil_div(size, work.MIN_WORK))


@given(threads=threads, size=sizes)
def test_share_of_elements(threads, size):
    """Shares begin at whole chunks."""
    parts = [range(size)[slice(*work.share_of_elements(thread, threads, size))] for thread in range(threads)]
    check_partition(parts, size)
    assert all(part.start % work.CHUNK == 0 for part in parts if part)


@given(a=st.integers(0, 10**9), b=st.integers(1, 10**6))
def test_ceil_div(a, b):
    assert (work.ceil_div(a, b) - 1) * b < a <= work.ceil_div(a, b) * b
