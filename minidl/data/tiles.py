"""Large images with masks cut into tiles, which a network evaluates in less memory."""

from collections.abc import Iterator, Sequence

import numpy as np

from minidl.augment.crop import size_pair
from minidl.data.dataset import ImageDataset
from minidl.data.segmentation import IGNORED, SegmentationDataset
from minidl.scalars import whole


def tiles(dataset: ImageDataset, size: int | Sequence[int], margin: int = 0) -> SegmentationDataset:
    """The images of a set with masks as tiles of `size`, one number or (height, width); each pixel counts once.

    Tiles overlap where the size of the images is no multiple of theirs. In the masks, pixels that another tile counts
    are to be ignored. `margin` pixels at each edge of a tile, except at the edge of the image, only give the network
    its context, and are counted by the neighbouring tile. All tiles are copied into memory.
    """
    height, width = size_pair("tiles", size)
    margin = whole("tiles", "margin", margin, 0)
    images, masks = dataset.images, dataset.labels
    if masks.ndim != 3:
        raise TypeError(f"tiles: {dataset!r} has no masks")
    if height > masks.shape[1] or width > masks.shape[2] or 2 * margin >= min(height, width):
        raise ValueError(f"tiles: size={size!r} must be at most that of the images, {masks.shape[1:]}, and more than "
                         f"twice margin={margin}")
    parts = [(rows, columns) for rows in cuts(masks.shape[1], height, margin)
             for columns in cuts(masks.shape[2], width, margin)]
    cut_images = np.empty((len(images), len(parts), images.shape[1], height, width), np.uint8)
    cut_masks = np.full((len(images), len(parts), height, width), IGNORED, np.uint8)
    for i, ((top, first_row, last_row), (left, first, last)) in enumerate(parts):
        cut_images[:, i] = images[:, :, top:top + height, left:left + width]
        cut_masks[:, i, first_row - top:last_row - top, first - left:last - left] = (
            masks[:, first_row:last_row, first:last])
    return SegmentationDataset(cut_images.reshape(-1, *cut_images.shape[2:]), cut_masks.reshape(-1, height, width),
                               dataset.classes, dataset.name, dataset.mean, dataset.std)


def cuts(count: int, size: int, margin: int) -> Iterator[tuple[int, int, int]]:
    """(where a tile starts, the first pixel that it counts, the one after the last) along an axis of `count` pixels."""
    counted = 0
    while counted < count:
        start = max(0, min(counted - margin, count - size))
        end = count if start + size >= count else start + size - margin
        yield start, counted, end
        counted = end
