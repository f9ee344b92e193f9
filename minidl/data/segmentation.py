"""Sets of images whose pixels have classes: the label of an image is a mask.

A mask is bytes (H, W): for each pixel its class, or IGNORED where nobody knows it. `batch` gives int64 with UNKNOWN in
its place, which `cross_entropy` and `dice_loss` leave out of the loss.
"""

from typing import Any

import numpy as np

from minidl.augment import Draws
from minidl.data.dataset import ImageDataset, whole_numbers
from minidl.data.protocol import Batch
from minidl.device import array_module

IGNORED = 255                                    # in masks of bytes; and
UNKNOWN = -100                                   # in batches, the default of `ignore_index` in losses


class SegmentationDataset(ImageDataset):
    """Images, each with a mask.   images uint8 (N, C, H, W), masks int (N, H, W)

    Masks hold classes from 0 on, and 255 for pixels that training and evaluation leave out; `labels` are the masks, as
    bytes. `batch` returns (images float32 (n, C, H, W), masks int64 (n, H, W)), with -100 in place of 255. Masks follow
    their images through `augmented(transform)`, which may change the size, as RandomCrop(256) does: training then sees
    crops, and evaluation whole images. The other arguments are those of ImageDataset.
    """

    any_size = True

    def _checked_labels(self, labels: Any, shape: tuple[int, ...]) -> np.ndarray:
        masks, classes = whole_numbers(labels), len(self.classes)
        if not 1 <= classes <= IGNORED:
            raise ValueError(f"there must be 1 to {IGNORED} classes, not {classes}")
        if masks.shape != (shape[0], *shape[2:]):
            raise ValueError(f"images {shape} need masks {(shape[0], *shape[2:])}, not {masks.shape}")
        for mask in masks:
            if not ((mask >= 0) & ((mask < classes) | (mask == IGNORED))).all():
                raise ValueError(f"masks must hold 0 to {classes - 1} for {classes} classes, or {IGNORED} for pixels "
                                 f"to be ignored, but go from {masks.min()} to {masks.max()}")
        return masks.astype(np.uint8, copy=False)

    def _transformed(self, images: np.ndarray, labels: np.ndarray, draws: Draws) -> Batch:
        assert self.transform is not None
        return self.transform(images, labels, draws)

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        return array_module(labels).where(labels == IGNORED, UNKNOWN, labels.astype(np.int64))  # type: ignore[no-any-return]
