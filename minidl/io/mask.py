"""Masks from files: images whose pixels are not colours, but stand for classes.

The value of a pixel is its grey, 0 to 255 (black and white are 0 and 255), its index in a PNG's palette, or a grey of
up to 16 bits. A mask in colour has values, too: `value_of((255, 0, 0))`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from minidl.io.checks import is_whole
from minidl.io.image import ImageError, opened
from minidl.scalars import plain

COLOURED = 1 << 24                               # added to red * 65536 + green * 256 + blue


def read_mask(path: str | Path) -> np.ndarray:
    """The values of the pixels in a file, int32 (H, W). Raises OSError, or ImageError that names it."""
    return opened("read_mask", path, values)


def values(image: Image.Image) -> np.ndarray:
    """The values of the pixels of a Pillow image."""
    if image.format == "JPEG":
        raise ImageError("a JPEG file, which does not keep the values of a mask; save masks as PNG")
    image.load()
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in ("L", "P", "I") or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int32)
    if image.mode not in ("LA", "RGB", "RGBA"):
        raise ImageError(f"its pixels are of the kind {image.mode}; masks are grey, or have a palette or colours")
    pixels = np.asarray(image).astype(np.int32)
    if image.mode in ("LA", "RGBA") and (pixels[..., -1] != 255).any():
        raise ImageError("it has transparent pixels, of no certain value; save masks without transparency")
    if image.mode == "LA":
        return np.ascontiguousarray(pixels[..., 0])
    red, green, blue = (pixels[..., i] for i in range(3))
    return np.where((red == green) & (green == blue), red, COLOURED + (red << 16) + (green << 8) + blue)


def value_of(given: Any) -> int:
    """The value that stands for a number, or for a colour (red, green, blue)."""
    given = plain(given)
    if isinstance(given, tuple | list) and len(given) == 3 and all(is_whole(part, 0, 255) for part in given):
        red, green, blue = given
        return red if red == green == blue else COLOURED + (red << 16) + (green << 8) + blue
    if not is_whole(given, 0, 65_535):
        raise ValueError(f"{given!r} is no value of a mask: a whole number from 0 to 65535, or (red, green, blue)")
    return int(given)


def as_given(value: int) -> int | tuple[int, int, int]:
    """What `value_of` takes for a value: a number, or a colour."""
    colour = value - COLOURED
    return value if value < COLOURED else (colour >> 16, colour >> 8 & 255, colour & 255)


def shown(value: int) -> str:
    """A value as text: "255", or "(255, 0, 0)"."""
    return str(as_given(value))
