"""Grad-CAM as pictures to lay over each other: what the network saw, and the heat."""

import io

import numpy as np
from PIL import Image

from minidl.io.image import Preprocessing

LEVELS = (0.0, 0.35, 0.65, 1.0)
COLOURS = ((40, 60, 170), (150, 30, 140), (235, 50, 40), (255, 200, 0))          # from cold to hot
OPAQUE = 230                                     # the opacity of the hottest pixels, of 255


def picture(x: np.ndarray, preprocessing: Preprocessing) -> bytes:
    """A network's input (C, H, W) as PNG, with the colours that it had before it was normalised."""
    mean, std = (np.reshape(values, (-1, 1, 1)) for values in (preprocessing.mean, preprocessing.std))
    pixels = np.round((x * std + mean).clip(0, 1) * 255).astype(np.uint8)
    return png(Image.fromarray(pixels.transpose(1, 2, 0).squeeze(2) if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def overlay(cam: np.ndarray) -> bytes:
    """A map (H, W), none negative, as PNG; the lower a value, the more transparent its pixel."""
    level = cam / (cam.max() or 1)
    channels = [np.interp(level, LEVELS, shades) for shades in zip(*COLOURS, strict=True)]
    return png(Image.fromarray(np.dstack([*channels, level ** 0.7 * OPAQUE]).astype(np.uint8), "RGBA"))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
