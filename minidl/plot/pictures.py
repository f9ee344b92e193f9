"""Pictures of the inside of a network: its filters, its feature maps, and Grad-CAM heat maps.

Each function returns a Picture: the values, and a Matplotlib figure that shows them.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.nn import Module
from minidl.plot.figure import new_figure, png, write_png
from minidl.plot.inside import cam_of, filters_of, maps_of

MAX_TILES = 256               # the others are not shown


class Picture(NamedTuple):
    """Values, as NumPy, and a Matplotlib figure that shows them."""

    values: np.ndarray
    figure: Any

    def save(self, path: str | Path) -> None:
        """Write the figure as PNG."""
        write_png(path, self.figure)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return png(self.figure)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"image/png": self._repr_png_(), "text/plain": f"Picture of {shape(self.values)} values"}


def filters(model: Module, layer: str | None = None) -> Picture:
    """The filters of a layer, by default the first that has any: a Picture of its weight (F, C, KH, KW).

    Filters with three channels are shown in colour. The others have one row each, with a tile for each of their first
    16 channels. Grey is 0, and each tile has its own scale.
    """
    name, weight = filters_of(model, layer)
    _, c, kh, kw = weight.shape
    if c == 3:
        columns, tiles = None, weight.transpose(0, 2, 3, 1)
    else:
        columns = None if c == 1 else min(c, 16)
        tiles = weight[:, :columns or 1].reshape(-1, kh, kw)
    tiles = tiles[:MAX_TILES]
    largest = np.abs(tiles).max(tuple(range(1, tiles.ndim)), keepdims=True)
    title = f"layer {name}: {len(weight)} filters of {shape(weight[0])}; grey is 0" + ", white positive" * (c != 3)
    return grid(weight, tiles / np.where(largest, 2 * largest, 1) + 0.5, title, columns, "gray")


def feature_maps(model: Module, x: Any, layer: str) -> Picture:
    """The output of a layer for an image x (C, H, W): a Picture of its maps (F, OH, OW), each with its own scale."""
    maps = maps_of(model, x, layer)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    tiles = (maps - low) / np.where(high > low, high - low, 1)
    return grid(maps, tiles[:MAX_TILES], f"layer {layer}: {len(maps)} maps of {shape(maps[0])}", None, "viridis")


def grad_cam(model: Module, x: Any, layer: str | None = None, target: int | None = None, image: Any = None,
             classes: Sequence[str] = ()) -> Picture:
    """Which pixels of an image x (C, H, W) raise the score of a class: a Picture of its Grad-CAM map (H, W).

    layer    its maps are used; by default the last layer that gives maps of more than one pixel
    target   index of the class; by default the predicted class
    image    shown below the map, (H, W) or (H, W, 3) from 0 to 1; by default x, scaled from its minimum to its maximum
    classes  names of the classes, for the title
    `inside.cam_of` gives the formula and the source.
    """
    cam, layer, target = cam_of(model, x, layer, target)
    if image is None:
        image = np.asarray(x).reshape(np.shape(x)[-3:])
        image = (image - image.min()) / (np.ptp(image) or 1)
        image = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(0)
    name = f"class {classes[target] if target < len(classes) else target}"
    figure = new_figure(6.4, 3.5, f"Grad-CAM: where layer {layer} sees {name}")
    for axes, overlaid in zip(figure.subplots(1, 2), (False, True), strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        if overlaid:
            strength = cam / (cam.max() or 1)
            axes.imshow(strength, cmap="turbo", alpha=0.1 + 0.6 * strength)            # so that what lies below is seen
        axes.set_axis_off()
    return Picture(cam, figure)


def grid(values, tiles, title, columns, colours):
    """A Picture of tiles (T, H, W) or (T, H, W, 3) from 0 to 1, in rows with white lines between them."""
    columns = columns or math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles.shape[1:3]
    line = max(1, min(height, width) // 12)
    sheet = np.full((rows * (height + line) - line, columns * (width + line) - line, *tiles.shape[3:]), np.nan)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + line), i % columns * (width + line)
        sheet[top : top + height, left : left + width] = tile
    size = 6.0
    figure = new_figure(size, min(2 * size, size * sheet.shape[0] / sheet.shape[1]) + 0.4, title)
    axes = figure.subplots()
    axes.imshow(sheet if sheet.ndim == 2 else np.nan_to_num(sheet, nan=1.0), cmap=colours, vmin=0, vmax=1,
                interpolation="nearest")
    axes.set_axis_off()
    return Picture(values, figure)


def shape(array):
    """16 x 5 x 5"""
    return " x ".join(map(str, array.shape))
