"""Numbers in bfloat16, the upper half of a float32, as arrays of their bits; and the sum of them over the ranks by MPI.

MPI has no type of such numbers. So each rank receives one part of every array, sums it in float32 in the order of the
ranks, rounds, and sends it to all others. That is as many bytes as a sum around a ring sends, the same bits on every
rank, and one rounding however many ranks there are.
"""

from collections import deque
from typing import Any

import numpy as np

from minidl.device import Array, array_module

NOT_A_NUMBER = 0x7FC0
BLOCK = 1 << 16                                  # numbers


def rounded(numbers: Array) -> Array:
    """The bits of floats as uint16, rounded to nearest even.   Infinities and NaN stay what they are."""
    xp = array_module(numbers)
    bits = numbers.astype(np.float32, copy=False).view(np.uint32)
    up = bits >> 16
    up &= 1
    up += 0x7FFF
    up += bits
    up >>= 16
    return xp.where(xp.isnan(numbers), NOT_A_NUMBER, up).astype(np.uint16)       # NaN may have become infinity


def widened(bits: Array) -> Array:
    """The float32 numbers of bits of bfloat16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def pieces(array: Array) -> list[slice]:
    """Where an array (N,) is cut, so that what is computed between stays in a core's cache; on a GPU nowhere."""
    size = BLOCK if isinstance(array, np.ndarray) else len(array)
    return [slice(first, first + size) for first in range(0, len(array), size)]


def places(length: int, parts: int) -> tuple[list[int], list[int]]:
    """(the length, the start) of each of so many parts of an array, which differ by one element at most."""
    starts = [i * length // parts for i in range(parts + 1)]
    return np.diff(starts).tolist(), starts[:-1]


class Sums:
    """The sums that are under way between the ranks of a communicator of MPI.

    MPI wants all ranks to begin their operations on a communicator in one order. The first half of a sum begins when it
    is asked for; the second when the first has ended, which is at another time on each rank. Hence two communicators,
    and second halves in the order of the first.
    """

    def __init__(self, world: Any, in_place: Any) -> None:
        self.world, self.gathering, self.in_place = world.Dup(), world.Dup(), in_place
        self.waiting: deque[Sum] = deque()       # for the end of the first half

    def start(self, bits: np.ndarray) -> "Sum":
        """Begin to replace bits, in place, by those of the sum over the ranks."""
        self.waiting.append(Sum(self, bits))
        return self.waiting[-1]

    def advance(self) -> None:
        """Begin the second halves of sums whose first half has ended."""
        while self.waiting and self.waiting[0].request.Test():
            self.waiting.popleft().gather()


class Sum:
    """A sum that has begun, a `Request`."""

    def __init__(self, sums: Sums, bits: np.ndarray) -> None:
        ranks, rank = sums.world.Get_size(), sums.world.Get_rank()
        self.sums, self.bits, self.gathering = sums, bits, False
        self.lengths, self.starts = places(len(bits), ranks)
        self.received = np.empty((ranks, self.lengths[rank]), np.uint16)
        self.own = bits[self.starts[rank]:self.starts[rank] + self.lengths[rank]]
        rows = places(self.received.size, ranks)
        self.request = sums.world.Ialltoallv([bits, (self.lengths, self.starts)], [self.received, rows])

    def gather(self) -> None:
        """Sum the part of this rank, and begin to exchange the sums."""
        for piece in pieces(self.own):
            self.own[piece] = rounded(total(self.received[:, piece]))
        self.request = self.sums.gathering.Iallgatherv(self.sums.in_place, [self.bits, (self.lengths, self.starts)])
        self.gathering = True

    def test(self) -> bool:
        self.sums.advance()
        return self.gathering and bool(self.request.Test())

    def wait(self) -> None:
        while not self.gathering:
            self.sums.advance()
        self.request.Wait()


def total(rows: np.ndarray) -> np.ndarray:
    """The sum of rows of bits in float32, from the first to the last.   (R, N) -> (N,)"""
    found = widened(rows[0])
    for row in rows[1:]:
        found += widened(row)
    return found
