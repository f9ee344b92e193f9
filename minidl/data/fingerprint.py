"""What tells whether two images are the same, or nearly.

Equal images have equal hashes of their pixels, however their files are packed. Nearly equal ones, such as an image and
its copy in another size or quality, have thumbnails that differ little. To avoid comparing all pairs, thumbnails are
compared only where the difference hashes agree in one quarter, and nearly agree in the others. Bit i of that hash is
whether a pixel of a tiny grey image is brighter than the one to its left.
"""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

SIDE = 16                                        # of a thumbnail
BITS = 8                                         # rows and columns of the difference hash
OTHER = 3                                        # bits of it in which nearly equal images may differ
NEAR = 0.1                                       # the largest difference of thumbnails, as a part of their contrast
NEIGHBOURS = 32                                  # images with an equal quarter of the hash that are compared with one
LUMA = np.array([0.299, 0.587, 0.114], np.float32)           # the share of each colour in grey


class Fingerprint(NamedTuple):
    """The hash of the pixels, the difference hash, and the thumbnail in grey, bytes (16, 16)."""

    digest: bytes
    differences: bytes
    thumbnail: bytes


def fingerprints(images: np.ndarray) -> list[Fingerprint]:
    """The fingerprint of each image, bytes (N, 1 or 3, H, W)."""
    colours, height, width = images.shape[1:]
    planes = images.astype(np.float32)
    grey = planes[:, 0] if colours == 1 else sum(planes[:, c] * LUMA[c] for c in range(3))
    small = reduced(grey, SIDE, SIDE)
    tiny = reduced(grey, BITS, BITS + 1)
    bits = np.packbits((tiny[:, :, 1:] > tiny[:, :, :-1]).reshape(len(images), -1), axis=1)
    size = f"{width} x {height}".encode()
    return [Fingerprint(hashlib.blake2b(size + image.tobytes(), digest_size=16).digest(), *map(bytes, own))
            for image, *own in zip(images, bits, small, strict=True)]


def reduced(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images (N, H, W) in another size, bytes (N, height, width): each pixel is the mean of the area it covers."""
    rows, columns = averaging(grey.shape[1], height), averaging(grey.shape[2], width)
    return np.rint(rows @ grey @ columns.T).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def averaging(count: int, out: int) -> np.ndarray:
    """The matrix (out, count) that averages `count` pixels in `out` intervals of equal length."""
    edges = np.linspace(0, count, out + 1)
    first, last = np.maximum(edges[:-1, None], np.arange(count)), np.minimum(edges[1:, None], np.arange(count) + 1)
    return (np.maximum(0, last - first) * (out / count)).astype(np.float32)


def groups(keys: Iterable[Hashable]) -> list[list[int]]:
    """The positions of equal keys, for each key that occurs more than once."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        found[key].append(position)
    return [positions for positions in found.values() if len(positions) > 1]


def near_pairs(prints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """The positions of images that are nearly the same, but not equal, sorted."""
    if not prints:
        return []
    thumbnails = np.frombuffer(b"".join(each.thumbnail for each in prints), np.uint8).reshape(len(prints), -1)
    hashes = np.frombuffer(b"".join(each.differences for each in prints), np.uint8).reshape(len(prints), -1)
    found: set[tuple[int, int]] = set()
    for one, other in candidates(hashes):
        a, b = np.minimum(one, other), np.maximum(one, other)
        near = difference(thumbnails[a], thumbnails[b]) <= NEAR
        found.update(zip(a[near].tolist(), b[near].tolist(), strict=True))
    return sorted((a, b) for a, b in found if prints[a].digest != prints[b].digest)


def candidates(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of pairs whose hashes (N, 8 bytes) agree in a quarter, and differ in few bits elsewhere."""
    for quarter in hashes.view(np.uint16).T:
        order = np.argsort(quarter, kind="stable")
        for step in range(1, min(NEIGHBOURS, len(order))):
            one, other = order[:-step], order[step:]
            equal = quarter[one] == quarter[other]
            one, other = one[equal], other[equal]
            close = np.bitwise_count(hashes[one] ^ hashes[other]).sum(1) <= OTHER
            yield one[close], other[close]


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The differences (N,) of thumbnails (N, pixels), root of the mean square, as a part of their contrast."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    return np.sqrt(np.square(a - b).mean(1)) / np.maximum(np.maximum(a.std(1), b.std(1)), 1)
