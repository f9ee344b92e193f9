"""Synthetic handwritten digits, drawn from a seed without any file.

Each class has several glyphs, listed below as pen strokes. A drawing bends, rotates, slants, stretches and shifts one
glyph, and adds a random pen width and noise. The set replaces MNIST where nothing can be downloaded: a linear
classifier misclassifies about 10 %, LeNet less than 2 %. Results on it say nothing about MNIST.
"""

import operator
from functools import cache

import numpy as np

from minidl.scalars import plain

from .dataset import ImageDataset

SIZE = 28
CHUNK = 500  # images drawn at once; chunks are always complete, so that image i depends only on (seed, i)
BLOTS = 96  # ink blots along one glyph
LATTICE = 3  # the bend is given at 3 x 3 points
SPLITS = {"train": 12_000, "test": 2_000}
MEAN, STD = 0.1323, 0.2646  # of the training images

# (class, strokes). A point is two digits, x to the right and y down, in ninths of the box; a repeated point is a
# corner, and `|` lifts the pen.
GLYPHS = (
    (0, "40 11 04 17 48 77 84 71 40 20"),
    (0, "71 40 11 04 17 48 77 84 71 50"),
    (1, "50 53 46 49"),
    (1, "32 50 50 59"),
    (1, "32 50 50 59 | 29 79"),
    (2, "12 30 60 82 65 28 09 09 99"),
    (2, "12 40 80 83 46 18 08 17 38 69 98"),
    (3, "11 40 80 82 44 44 75 97 69 29 08"),
    (3, "10 80 80 44 44 85 87 59 19 08"),
    (4, "20 15 15 95 | 73 69"),
    (4, "60 60 06 06 96 | 60 60 69"),
    (4, "10 03 35 83 | 90 84 79"),
    (5, "80 20 20 14 14 54 86 78 39 08"),
    (5, "20 14 14 64 86 78 39 08 | 20 80"),
    (6, "70 31 05 28 59 87 75 45 17"),
    (6, "50 14 17 39 78 86 65 35 17"),
    (7, "01 90 90 49"),
    (7, "02 01 90 90 39 | 25 84"),
    (7, "10 90 90 55 39"),
    (8, "81 40 12 34 75 87 49 17 25 73 81"),
    (8, "50 22 44 73 50 | 44 17 49 87 44"),
    (9, "82 40 12 15 45 82 82 79"),
    (9, "82 50 12 15 45 82 82 86 59 18"),
)


def digits(split: str = "train") -> ImageDataset:
    """The standard set of drawn digits: 12,000 for training ("train") or 2,000 others for testing ("test")."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    return drawn_digits(SPLITS[split], seed=list(SPLITS).index(split))


def drawn_digits(count: int, seed: int = 0) -> ImageDataset:
    """`count` drawn digits of 28x28 pixels, ten classes.

    Every ten consecutive images contain each class once. The same seed gives the same digits on one machine; on another
    machine a pixel may round to the next grey level.
    """
    count, seed = plain(count), plain(seed)
    if operator.index(count) < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    chunks = [_chunk(np.random.default_rng((seed, number))) for number in range(-(-count // CHUNK))]
    images, labels = (np.concatenate(parts)[:count] for parts in zip(*chunks, strict=True))
    return ImageDataset(images, labels, "0123456789", "drawn digits", (MEAN,), (STD,))


def _chunk(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The next CHUNK images (CHUNK, 1, 28, 28) and their labels."""
    classes, points, hats, inked = _glyphs()
    labels = rng.permuted(np.tile(np.arange(10), (CHUNK // 10, 1)), axis=1).ravel()
    glyph = np.where(labels[:, None] == classes, rng.random((CHUNK, len(classes))), -1).argmax(1)
    bend = rng.normal(0, 0.075, (CHUNK, LATTICE * LATTICE, 2))
    points = points[glyph] + hats[glyph] @ bend  # (CHUNK, BLOTS, 2)
    points = points @ _placement(rng) + rng.uniform(-2, 2, (CHUNK, 1, 2)) + (SIZE - 1) / 2
    return _paint(points, inked[glyph], rng), labels


def _placement(rng: np.random.Generator) -> np.ndarray:
    """Random stretch, slant and rotation of each digit: matrices (CHUNK, 2, 2) from the unit square to pixels."""
    turn, slant = rng.normal(0, 0.14, CHUNK), rng.normal(0.1, 0.2, CHUNK)
    high = rng.uniform(16, 22, CHUNK)
    wide = high * rng.uniform(0.5, 0.85, CHUNK)
    cos, sin = np.cos(turn), np.sin(turn)
    stretch = np.stack([wide, np.zeros(CHUNK), -slant * high, high], -1).reshape(CHUNK, 2, 2)
    rotation = np.stack([cos, sin, -sin, cos], -1).reshape(CHUNK, 2, 2)
    return stretch @ rotation


def _paint(points: np.ndarray, inked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images uint8 (CHUNK, 1, 28, 28) of pens moved along `points` (CHUNK, BLOTS, 2), with ink where `inked` is 1.

    A line is a row of round blots. A Gaussian blot is a function of y times a function of x, so one matrix product adds
    up the blots of an image:  ink[y, x] = sum over blots of fy[blot, y] * fx[blot, x]
    """
    pen = rng.uniform(0.65, 1.35, (CHUNK, 1, 1)).astype(np.float32)  # a blot's standard deviation, in pixels
    middles = ((points[:, 1:] + points[:, :-1]) / 2).astype(np.float32)
    steps = np.linalg.norm(np.diff(points, axis=1), axis=2) * inked
    x, y = (middles[..., axis, None] - np.arange(SIZE, dtype=np.float32) for axis in (0, 1))
    fx, fy = np.exp(-0.5 * (x / pen) ** 2), np.exp(-0.5 * (y / pen) ** 2)  # (CHUNK, BLOTS - 1, 28)
    fy *= steps[..., None].astype(np.float32) / (np.float32(np.sqrt(2 * np.pi)) * pen)  # straight lines have ink 1
    ink = np.clip(2 * (fy.transpose(0, 2, 1) @ fx) - 0.4, 0, 1)  # full inside, soft at the edge
    ink = ink * rng.uniform(0.6, 1, (CHUNK, 1, 1)) + rng.normal(0, 0.04, ink.shape)
    return np.rint(255 * ink.clip(0, 1)).astype(np.uint8)[:, None]


@cache
def _glyphs() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """GLYPHS as arrays: class (G,), points (G, BLOTS, 2), hats (G, BLOTS, 9), inked (G, BLOTS - 1).

    `hats` are interpolation weights: how much each point moves with each lattice point, so that lines bend together.
    """
    classes, texts = zip(*GLYPHS, strict=True)
    points, inked = (np.array(parts) for parts in zip(*map(_trace, texts), strict=True))
    distance = np.abs(points[..., None] * (LATTICE - 1) - np.arange(LATTICE)).clip(0, 1)
    hats = (1 + np.cos(np.pi * distance)) / 2  # (G, BLOTS, 2, LATTICE); over the lattice they sum to 1
    hats = hats[:, :, 0, :, None] * hats[:, :, 1, None, :]
    return np.array(classes), points - 0.5, hats.reshape(len(points), BLOTS, -1), inked


def _trace(text: str) -> tuple[np.ndarray, np.ndarray]:
    """One glyph's points (BLOTS, 2) in 0..1, and 1 for each gap between them with the pen down (BLOTS - 1,)."""
    strokes = [np.array([[int(point[0]), int(point[1])] for point in stroke.split()]) / 9 for stroke in text.split("|")]
    lengths = np.array([np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum() for stroke in strokes])
    counts = np.rint(BLOTS * lengths / lengths.sum()).astype(int)
    counts[0] += BLOTS - counts.sum()
    points = np.concatenate([_spline(*pair) for pair in zip(strokes, counts, strict=True)])
    inked = np.ones(BLOTS - 1)
    inked[np.cumsum(counts)[:-1] - 1] = 0
    return points, inked


def _spline(control: np.ndarray, count: int) -> np.ndarray:
    """`count` points on the Catmull-Rom curve through the control points."""
    padded = np.concatenate([control[:1], control, control[-1:]])
    t = np.linspace(0, len(control) - 1, count)
    piece = np.minimum(t.astype(int), len(control) - 2)
    t = (t - piece)[:, None]
    a, b, c, d = (padded[piece + k] for k in range(4))
    return b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
