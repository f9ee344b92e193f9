"""Photographs from files as network inputs: upright, in the right colours and the right size.

    preprocessing = Preprocessing((3, 224, 224), resize=256, mean=..., std=...)
    x = preprocessing(read_image("dog.jpg"))                 # float32 (3, 224, 224)

Pillow decodes. Where it would silently give a wrong image (16-bit pixels clipped, transparent pixels shown, photographs
lying on their sides), this file corrects the result or raises ImageError.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from minidl.io.checks import is_whole, per_channel

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")       # none for which Pillow starts other programs
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000                         # 300 MB once decoded; as many as the largest cameras have
MAX_SIDE = 1 << 14                               # of a network's input
MODES = {1: "L", 3: "RGB"}                       # by the number of channels


class ImageError(ValueError):
    """A file is not an image, or not one that a network can use; the message names it."""


def read_image(path: str | Path, channels: int = 3) -> Image.Image:
    """The image in a file, upright, as a Pillow image in RGB, or in greyscale for one channel.

    For an animation it is the first frame; transparent pixels are shown on white. Raises OSError if the file cannot be
    opened, ImageError if it is not an image, is truncated, or has more than MAX_PIXELS.
    """
    if channels not in MODES:
        raise ValueError(f"read_image: images have 1 channel or 3, not {channels}")
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        raise ImageError(f"{path}: a pipe or a device, not a file")  # opening it could block forever
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")          # Pillow's warnings: a strange file is read, or raises an error
        try:
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(f"{image.width} x {image.height} pixels are too many (at most {MAX_PIXELS:,})")
                image.load()
                return converted(ImageOps.exif_transpose(image), image.format, MODES[channels])
        except ImageError as error:
            problem = str(error)
        except Image.DecompressionBombError:
            problem = f"its pixels are too many (at most {MAX_PIXELS:,})"
        except UnidentifiedImageError:
            problem = f"not an image, or not in one of the formats {', '.join(FORMATS)}"
        except Exception as error:               # each format raises its own kinds
            problem = f"a damaged image ({error})"
    raise ImageError(f"{path}: {problem}")


def converted(image: Image.Image, kind: str | None, mode: str) -> Image.Image:
    """The image, from a file of format `kind`, converted to `mode` and without transparency."""
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):
        image = Image.fromarray(np.round(np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ImageError("its pixels are 32-bit numbers, and their range is unknown")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


class Preprocessing(NamedTuple):
    """How an image becomes an input, as in torchvision: resize the shorter side, centre-crop, normalise.

    input      (C, H, W); H x W is the size of the centre crop
    resize     the length of the shorter side before the crop; resizing is bilinear, with antialiasing
    mean, std  per channel, for pixels in 0..1
    """

    input: tuple[int, int, int]
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, about: dict[str, Any]) -> "Preprocessing":
        """From the facts in a model file (see `save_model`). Raises ValueError if they are missing or invalid."""
        shape = about.get("input")
        if not (isinstance(shape, list | tuple) and len(shape) == 3 and all(is_whole(n, 1, MAX_SIDE) for n in shape)
                and shape[0] in MODES):
            raise ValueError(f"its input shape is {shape!r}, not (C, H, W), so images cannot be prepared for it; "
                             "`minidl convert --input C,H,W` adds the shape")
        resize = about.get("resize", max(shape[1:]))
        if not is_whole(resize, 1, MAX_SIDE) or resize < max(shape[1:]):
            raise ValueError(f"its images are resized to {resize!r}, which is smaller than its input {shape}")
        channels = shape[0]
        mean = per_channel("its mean", about.get("mean", (0.0,) * channels), channels)
        std = per_channel("its std", about.get("std", (1.0,) * channels), channels)
        if min(std) <= 0:
            raise ValueError(f"its std must be positive, not {std}")
        return cls(tuple(shape), resize, mean, std)

    def read(self, path: str | Path) -> np.ndarray:
        """The image in a file as an input.   ->  float32 (C, H, W)   Raises OSError, or ImageError that names it."""
        image = read_image(path, self.input[0])
        try:
            return self(image)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error

    def __call__(self, image: Image.Image) -> np.ndarray:
        """A Pillow image  ->  float32 (C, H, W)   Raises ImageError if it is so narrow that it would become huge."""
        channels, height, width = self.input
        image = centre_crop(resized(image, self.resize), height, width)
        pixels = np.asarray(image, np.float32).reshape(height, width, channels) / 255
        pixels = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resized(image: Image.Image, shorter: int) -> Image.Image:
    """The image with a shorter side of that length, and the other side in proportion, rounded down."""
    short = min(image.size)
    width, height = (shorter if side == short else shorter * side // short for side in image.size)
    if width * height > MAX_PIXELS:
        raise ImageError(f"{image.width} x {image.height} pixels are too narrow to be resized")
    return image.resize((width, height), Image.Resampling.BILINEAR)


def centre_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """The centre of the image."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
