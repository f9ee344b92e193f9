"""What a transform does to images: one row per image, the original first."""

from typing import Any

import numpy as np

from minidl.augment import Draws, Transform
from minidl.plot.pictures import Picture, grid


def augmentation_grid(images: Any, transform: Transform, versions: int = 7, seed: int = 0) -> Picture:
    """A Picture of images bytes (N, C, H, W) and of `versions` augmented ones of each, (N, versions, C, OH, OW).

    seed   of the random numbers; version v of an image is what epoch v of a run with this seed would train on
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or images.shape[1] not in (1, 3):
        raise ValueError(f"augmentation_grid: images must be (N, 1 or 3, H, W) with N from 1 on, not {images.shape}")
    if not isinstance(versions, int) or versions < 1:
        raise ValueError(f"augmentation_grid: versions={versions!r} must be a whole number of at least 1")
    indices = np.arange(len(images))
    made = np.stack([transform(images, draws=Draws(seed, epoch, indices)) for epoch in range(versions)], axis=1)
    height, width = (max(images.shape[axis], made.shape[axis + 1]) for axis in (2, 3))
    tiles = np.concatenate([framed(images, height, width)[:, None],
                            framed(made.reshape(-1, *made.shape[2:]), height, width).reshape(
                                len(images), versions, images.shape[1], height, width)], axis=1)
    tiles = tiles.reshape(-1, *tiles.shape[2:]).transpose(0, 2, 3, 1)
    tiles = tiles[..., 0] if tiles.shape[3] == 1 else tiles
    return grid(made, tiles, f"original, and {versions} augmented versions", versions + 1, "gray")


def framed(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images (N, C, H, W) in the middle of white ones of the given size, from 0 to 1."""
    out = np.ones((*images.shape[:2], height, width), np.float32)
    top, left = (height - images.shape[2]) // 2, (width - images.shape[3]) // 2
    out[:, :, top:top + images.shape[2], left:left + images.shape[3]] = images / np.float32(255)
    return out
