"""IDX files: round trips, and files that are damaged or forged."""

import contextlib
import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from idx_files import idx_bytes

from minidl.data import DataError, read_idx

byte_arrays = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
packings = st.sampled_from([bytes, gzip.compress])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "file-idx-ubyte"


@given(byte_arrays, packings)
def test_round_trip(path, array, pack):
    path.write_bytes(pack(idx_bytes(array)))
    out = read_idx(path, array.ndim)
    assert out.dtype == np.uint8
    assert out.flags.c_contiguous
    assert out.flags.writeable
    np.testing.assert_array_equal(out, array)


@given(byte_arrays, packings, st.data())
def test_truncated_file_is_refused(path, array, pack, data):
    whole = pack(idx_bytes(array))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DataError, match="file-idx-ubyte"):
        read_idx(path)


@given(byte_arrays, packings, st.data())
def test_mutated_file_raises_only_data_error(path, array, pack, data):
    damaged = bytearray(pack(idx_bytes(array)))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    with contextlib.suppress(DataError):
        out = read_idx(path)
        assert idx_bytes(out) == (damaged if pack is bytes else idx_bytes(array))


@given(st.binary(max_size=64))
def test_random_bytes_raise_only_data_error(path, noise):
    path.write_bytes(noise)
    with contextlib.suppress(DataError):
        assert idx_bytes(read_idx(path)) == noise


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not an IDX file: it is empty"),
        (b"<html>404</html>", "not an IDX file: it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "not an IDX file: it is a pointer of Git LFS"),
        (b"GIF89a", "not an IDX file: it starts with the bytes 47 49 46 38"),
        (bytes([0, 0, 0x0D, 1, 0, 0, 0, 0]), "type code 0x0d"),
        (bytes([0, 0, 8, 0]), "0 dimensions"),
        (bytes([0, 0, 8, 255]) + bytes(1020), "255 dimensions"),
        (bytes([0, 0, 8, 3, 0, 0]), "truncated within its header"),
        (idx_bytes(np.zeros((2, 3))) + b"\0", "too long"),
        (idx_bytes(np.zeros((2, 3)))[:-1], "truncated|more than the file can hold"),
    ],
)
def test_each_problem_is_named(tmp_path, content, problem, pack):
    path = tmp_path / "bad"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=problem) as caught:
        read_idx(path)
    assert "Delete it" in str(caught.value)


def test_wrong_number_of_dimensions_is_refused(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.zeros(5)))
    with pytest.raises(DataError, match="1 dimensions instead of 3"):
        read_idx(path, ndim=3)


def test_gzip_checksum_is_verified(tmp_path):
    packed = bytearray(gzip.compress(idx_bytes(np.arange(100))))
    packed[-6] ^= 1
    path = tmp_path / "file.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="damaged gzip data"):
        read_idx(path)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")


@contextlib.contextmanager
def at_most(size):
    """Check that no more than `size` bytes are allocated at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (2**32 - 1, 2**32 - 1, 0), (60000, 28, 28)])
def test_forged_header_allocates_no_memory(tmp_path, sizes, pack):
    path = tmp_path / "forged"
    path.write_bytes(pack(bytes([0, 0, 8, 3]) + struct.pack(">3I", *sizes) + bytes(100)))
    with at_most(1 << 20), pytest.raises(DataError, match="more than the file can hold"):
        read_idx(path)


def test_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(1000)) + bytes(50_000_000)))
    with at_most(1 << 20), pytest.raises(DataError, match="too long"):
        read_idx(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reading_needs_little_memory_besides_the_array(tmp_path, pack):
    path = tmp_path / "large"
    path.write_bytes(pack(idx_bytes(np.zeros((1000, 100, 100)))))
    with at_most(10_000_000 + (4 << 20)):
        assert read_idx(path).shape == (1000, 100, 100)
