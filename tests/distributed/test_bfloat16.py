"""The rounding of floats to the bits of bfloat16, against Google's ml_dtypes and by hand."""

import numpy as np
import pytest

from minidl.distributed.bfloat16 import places, rounded, total, widened

EVERY = np.arange(1 << 16, dtype=np.uint16)


def test_every_number_comes_back():
    numbers = widened(EVERY)
    finite = ~np.isnan(numbers)
    assert np.array_equal(rounded(numbers)[finite], EVERY[finite])
    assert np.isnan(widened(rounded(numbers))[~finite]).all()


@pytest.mark.parametrize(("bits", "expected"), [
    (0x3F808000, 0x3F80), (0x3F818000, 0x3F82),              # ties go to even
    (0x3F808001, 0x3F81), (0xBF807FFF, 0xBF80), (0x80000000, 0x8000), (0x00008001, 0x0001),
    (0x7F7FFFFF, 0x7F80), (0x7F800000, 0x7F80), (0xFF800000, 0xFF80),        # too large, and infinities
    (0x7F800001, 0x7FC0), (0xFFFFFFFF, 0x7FC0)])             # NaN
def test_rounding(bits, expected):
    assert rounded(np.array([bits], np.uint32).view(np.float32)).tolist() == [expected]


def test_rounding_of_random_bits():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    numbers = np.random.default_rng(0).integers(0, 1 << 32, 100_000, np.uint32).view(np.float32)
    numbers = numbers[~np.isnan(numbers)]
    assert np.array_equal(rounded(numbers), numbers.astype(bfloat16).view(np.uint16))
    assert rounded(numbers.astype(np.float64)).dtype == np.uint16


def test_sums_are_exact_until_the_end():
    """256 + 1 is not a number in bfloat16, and 256 + 1 + 1 is one."""
    rows = rounded(np.float32([[256.0], [1.0], [1.0]]))
    assert total(rows).tolist() == [258.0]


@pytest.mark.parametrize(("length", "parts"), [(10, 3), (2, 4), (0, 2), (7, 1)])
def test_places_cover_an_array(length, parts):
    lengths, starts = places(length, parts)
    assert sum(lengths) == length
    assert starts == [sum(lengths[:i]) for i in range(parts)]
    assert max(lengths) - min(lengths) <= 1
