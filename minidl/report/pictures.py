"""Images of a data set as pictures within the page, and which of them are shown."""

import base64
import io
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from minidl.data import ImageDataset, Subset
from minidl.evaluation import Images
from minidl.report.html import Html, element

SIDE = 160                                       # pixels of the longer side of a picture, at most
SMALL = 64                                       # smaller images are shown in their own pixels, enlarged
HEAT = np.array([(0, 0, 60), (80, 0, 130), (200, 30, 90), (255, 140, 20), (255, 245, 140)], np.float64)
PALETTE = np.array([(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
                    (204, 121, 167), (148, 103, 189), (140, 86, 75), (23, 190, 207)], np.float64)   # Okabe and Ito's


def pixels_of(dataset: ImageDataset, index: int) -> np.ndarray:
    """An image as people see it, uint8 (H, W) or (H, W, 3): not normalised, not augmented."""
    image = dataset.batch([index])[0][0]
    mean, std = (np.reshape(getattr(dataset, name, default), (-1, 1, 1)) for name, default in (("mean", 0), ("std", 1)))
    image = np.nan_to_num(image * std + mean).clip(0, 1)
    image = image[:3] if len(image) >= 3 else image[:1]
    return np.round(255 * image).astype(np.uint8).transpose(1, 2, 0).squeeze(2) if len(image) == 1 else \
        np.round(255 * image).astype(np.uint8).transpose(1, 2, 0)


def picture(pixels: np.ndarray, description: str, side: int = SIDE) -> Html:
    """An <img> of pixels uint8 (H, W) or (H, W, 3), which holds them as PNG."""
    image = Image.fromarray(pixels)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if image.mode == "RGB" and max(image.size) > SMALL:
        image = image.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)      # a third of the size
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return element("img", src="data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), alt=description,
                   width=image.width, height=image.height, class_="small" if max(image.size) <= SMALL else None)


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """float64 (H, W, 3) of uint8 (H, W) or (H, W, 3)."""
    return (np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels).astype(np.float64)


def heated(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image below a heat map (H, W) of values from 0 on: dark where it is low, bright where it is high."""
    places = np.linspace(0, 1, len(HEAT))
    scaled = heat / (heat.max() or 1.0)
    colours = np.stack([np.interp(scaled, places, channel) for channel in HEAT.T], 2)
    return np.round(0.45 * in_colour(pixels) + 0.55 * colours).astype(np.uint8)


def painted(pixels: np.ndarray, mask: np.ndarray, colours: np.ndarray = PALETTE, strength: float = 0.5) -> np.ndarray:
    """An image whose pixels of class 1 are coloured with the first colour, of class 2 with the second, and so on."""
    image, shown = in_colour(pixels), mask > 0
    image[shown] = (1 - strength) * image[shown] + strength * colours[(mask[shown] - 1) % len(colours)]
    return np.round(image).astype(np.uint8)


def name_of(dataset: Any, index: int) -> str:
    """The file that an image comes from, with its folder, or else its number in the set."""
    place, whole = index, dataset
    while isinstance(whole, Subset):
        place, whole = int(whole.indices[place]), whole.dataset
    paths = getattr(whole, "paths", None)
    return f"image {index:,}" if paths is None else "/".join(PurePath(paths[place]).parts[-2:])


def confident_mistakes(each: Images, limit: int) -> list[int]:
    """The images whose wrong class has the highest probability."""
    wrong = np.flatnonzero(each.predictions != each.labels)
    return first_of(wrong, -each.confidences[wrong], limit)


def least_certain(each: Images, limit: int) -> list[int]:
    """The images whose predicted class has the lowest probability."""
    return first_of(np.arange(len(each.labels)), each.confidences, limit)


def first_of(indices: np.ndarray, keys: np.ndarray, limit: int) -> list[int]:
    """The indices of the smallest keys; those of NaN are left out."""
    order = np.argsort(keys, kind="stable")[:limit]
    return [int(i) for i, key in zip(indices[order], keys[order], strict=True) if key == key]


def gallery(figures: Sequence[Html]) -> Html:
    """Pictures with captions, as many side by side as fit."""
    return element("div", list(figures), class_="gallery")
