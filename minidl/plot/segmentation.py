"""What a network makes of images with masks: image, truth, prediction and mistakes beside one another."""

from collections.abc import Sequence

import numpy as np

from minidl.plot.figure import literal, new_figure
from minidl.plot.pictures import Picture

MISSED, INVENTED = (0.85, 0.1, 0.1), (0.1, 0.35, 0.9)                # red and blue
COLOURS = "tab20"                                # of more than two classes


def segmentation_grid(images: np.ndarray, masks: np.ndarray, predictions: np.ndarray, classes: Sequence[str],
                      title: str = "") -> Picture:
    """A Picture with a row for each image: the image, its mask, the predicted mask, and the mistakes on the image.

    images (N, C, H, W), bytes or from 0 to 1, C is 1 or 3; masks and predictions, classes (N, H, W). Negative numbers,
    and those from the number of classes on, are pixels without a class, which cannot be mistakes. Of two classes, a
    pixel is red where class 0 is missed and blue where it is predicted by mistake; of more, all mistakes are red.
    """
    images, masks, predictions = np.asarray(images), np.asarray(masks), np.asarray(predictions)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"segmentation_grid: images must be (N, 1 or 3, H, W) with N from 1 on, not {images.shape}")
    if not masks.shape == predictions.shape == (len(images), *images.shape[2:]):
        raise ValueError(f"segmentation_grid: masks {masks.shape} and predictions {predictions.shape} do not fit "
                         f"images {images.shape}")
    rows, height = len(images), images.shape[2] / images.shape[3]
    figure = new_figure(12.0, 0.4 + rows * (3.0 * height + 0.1), title)
    grid = figure.subplots(rows, 4, squeeze=False)
    overlays = []
    for axes, image, mask, prediction in zip(grid, images, masks, predictions, strict=True):
        overlays.append(overlay(image, mask, prediction, len(classes)))
        axes[0].imshow(shown(image), vmin=0, vmax=1)
        for place, values in ((axes[1], mask), (axes[2], prediction)):
            known = np.ma.masked_where(~has_class(values, len(classes)), values)
            place.imshow(known, cmap="gray" if len(classes) == 2 else COLOURS, vmin=0, vmax=max(1, len(classes) - 1),
                         interpolation="nearest")
        axes[3].imshow(overlays[-1])
        for place in axes:
            place.set_xticks([])
            place.set_yticks([])
    key = f"mistakes: red, {classes[0]} missed;\nblue, {classes[0]} invented" if len(classes) == 2 else "mistakes"
    for place, name in zip(grid[0], ("image", "truth", "prediction", key), strict=True):
        place.set_title(literal(name), fontsize=9)
    return Picture(np.stack(overlays), figure)


def overlay(image: np.ndarray, mask: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """An image (C, H, W), paler, with its wrong pixels in colour: (H, W, 3) from 0 to 1."""
    out = 0.3 + 0.7 * shown(image)
    wrong = (mask != prediction) & has_class(mask, classes)
    out[wrong] = MISSED
    if classes == 2:
        out[wrong & (prediction == 0)] = INVENTED
    return out


def has_class(mask: np.ndarray, classes: int) -> np.ndarray:
    """Where a mask holds a class."""
    return (mask >= 0) & (mask < classes)


def shown(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W), bytes or from 0 to 1, as (H, W, 3) from 0 to 1."""
    values = image / 255 if image.dtype == np.uint8 else np.clip(image, 0, 1)
    return np.broadcast_to(values.transpose(1, 2, 0), (*image.shape[1:], 3)).astype(np.float64)
