"""Photographs from files, as a network wants them: upright, in its colours, in its size.

    preprocessing = Preprocessing((3, 224, 224), resize=256, mean=..., std=...)
    x = preprocessing(read_image("dog.jpg"))                 # float32 (3, 224, 224)

Pillow decodes. What it would do silently and wrongly (16 bits cut off, pixels shown that are transparent, photographs
lying on their sides) is done rightly here, and what cannot be is an ImageError.
"""

import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")       # not those for which Pillow starts other programs
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000                         # 300 MB once decoded; the largest cameras make as many
MODES = {1: "L", 3: "RGB"}                       # by the number of channels


class ImageError(ValueError):
    """A file is no image, or none that can be shown to a network; the message names it."""


def read_image(path, channels=3):
    """The image in a file, upright, as a Pillow image in RGB, or in greys for one channel.

    Of an animation it is the first picture, and of what is transparent, white paper shows. Raises OSError if the file
    cannot be opened, ImageError if it is no image, is cut short, or would have more than MAX_PIXELS.
    """
    if channels not in MODES:
        raise ValueError(f"read_image: images have 1 channel or 3, not {channels}")
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        raise ImageError(f"{path}: a pipe or a device, not a file")  # which would keep us waiting
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")          # of Pillow's on odd files: they are read, or end in an error
        try:
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(f"{image.width} x {image.height} pixels are too many (at most {MAX_PIXELS:,})")
                image.load()
                return coloured(ImageOps.exif_transpose(image), image.format, MODES[channels])
        except ImageError as error:
            problem = error
        except Image.DecompressionBombError:
            problem = f"its pixels are too many (at most {MAX_PIXELS:,})"
        except UnidentifiedImageError:
            problem = f"not an image, or of another kind than {', '.join(FORMATS)}"
        except Exception as error:               # of many kinds, one or more for each format
            problem = f"a damaged image ({error})"
    raise ImageError(f"{path}: {problem}")


def coloured(image, kind, mode):
    """The image, from a file of that kind, in another mode and without its transparency."""
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):
        image = Image.fromarray(np.round(np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ImageError("its pixels are 32-bit numbers, which no one says how bright are")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


class Preprocessing(NamedTuple):
    """How an image becomes an input, as torchvision does it.

    resize    the length that the shorter side gets, by bilinear interpolation over all pixels that count
    input     (C, H, W): of that, the middle H x W is cut out
    mean, std of each channel, for pixels in 0..1
    """

    input: tuple
    resize: int
    mean: tuple
    std: tuple

    @classmethod
    def of(cls, about):
        """From what is known of a model (see `save_model`). Raises ValueError if that is not enough, or nonsense."""
        shape = about.get("input")
        if not (isinstance(shape, list | tuple) and len(shape) == 3 and all(whole(n) for n in shape)
                and shape[0] in MODES):
            raise ValueError(f"it does not say which images it is for: its input is {shape!r}, not (C, H, W)")
        resize = about.get("resize", max(shape[1:]))
        if not whole(resize) or resize < max(shape[1:]):
            raise ValueError(f"it wants images resized to {resize!r}, which are smaller than its input of {shape}")
        mean, std = (numbers(about.get(name), default, shape[0]) for name, default in (("mean", 0.0), ("std", 1.0)))
        if not (all(map(math.isfinite, mean)) and all(map(math.isfinite, std)) and min(std) > 0):
            raise ValueError(f"its mean {mean} and std {std} are not what pixels can have")
        return cls(tuple(shape), resize, mean, std)

    def read(self, path):
        """The image in a file as an input.   ->  float32 (C, H, W)   Raises OSError, or ImageError that names it."""
        image = read_image(path, self.input[0])
        try:
            return self(image)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error

    def __call__(self, image):
        """A Pillow image  ->  float32 (C, H, W)   Raises ImageError for one so narrow that it would become huge."""
        channels, height, width = self.input
        image = cut(resized(image, self.resize), height, width)
        pixels = np.asarray(image, np.float32).reshape(height, width, channels) / 255
        pixels = (pixels - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resized(image, shorter):
    """The image with a shorter side of that length, and the other in proportion, rounded down."""
    scaled = [shorter if side == min(image.size) else shorter * side // min(image.size) for side in image.size]
    if scaled[0] * scaled[1] > MAX_PIXELS:
        raise ImageError(f"{image.width} x {image.height} pixels are too narrow to be resized")
    return image.resize(scaled, Image.Resampling.BILINEAR)


def cut(image, height, width):
    """The middle of the image."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def whole(number):
    """Whether it is a whole number that a length of an image can be."""
    return isinstance(number, int) and 1 <= number <= 1 << 14


def numbers(given, default, channels):
    """One float for each channel."""
    values = (default,) * channels if given is None else given
    if not isinstance(values, list | tuple) or len(values) != channels or not all(
            isinstance(v, int | float) for v in values):
        raise ValueError(f"it has the means or deviations {given!r} for {channels} channels")
    return tuple(map(float, values))
