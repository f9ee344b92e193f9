"""Photographs from files as network inputs: upright, in the right colours and the right size.

    preprocessing = Preprocessing((3, 224, 224), resize=256, mean=..., std=...)
    x = preprocessing(read_image("dog.jpg"))                 # float32 (3, 224, 224)

Pillow decodes. Where it would silently give a wrong image (pixels of more than 8 bits clipped, negatives, transparent
pixels shown, photographs lying on their sides), this file corrects the result or raises ImageError.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from minidl.io.checkpoint import CheckpointError, located
from minidl.io.checks import as_path, is_whole, per_channel
from minidl.io.foreign import in_its_place
from minidl.nn import Module

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")       # none for which Pillow starts other programs
NO_IMAGE = f"not an image, or of a kind that is not read; formats: {', '.join(FORMATS)}"
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000                         # 300 MB once decoded; as many as the largest cameras have
MAX_SIDE = 1 << 14                               # of a network's input
MODES = {1: "L", 3: "RGB"}                       # by the number of channels
LARGEST_12 = 4095                                # the white of 12-bit grey
WHITE_IS_ZERO, SIGNED = 0, 2                     # values of the next two tags of a TIFF file
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339
GREYS = { "L;2": 85, "L;4": 17}           # raw modes of PNG in which Pillow stretches grey, and by how much

Result = TypeVar("Result")


class ImageError(ValueError):
    """A file is not an image, or not one that a network can use; the message names it."""


def read_image(path: str | Path, channels: int = 3) -> Image.Image:
    """The image in a file, upright, as a Pillow image in RGB, or in greyscale for one channel.

    For an animation it is the first frame; transparent pixels are shown on white. Raises OSError if the file cannot be
    opened, ImageError if it is not an image, is truncated, or has more than MAX_PIXELS.
    """
    if channels not in MODES:
        raise ValueError(f"read_image: images have 1 channel or 3, not {channels}")
    return opened("read_image", path, lambda image: upright(image, channels))


def upright(image: Image.Image, channels: int = 3) -> Image.Image:
    """An image that has just been opened, decoded as `read_image` gives it."""
    stored = how_stored(image)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return converted(image, MODES[channels], stored)


def opened(owner: str, path: str | Path, read: Callable[[Image.Image], Result]) -> Result:
    """`read(image)` of the image in a file, of which only the header is decoded. Raises as `read_image` does."""
    path = as_path(owner, path, ImageError)
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ImageError(f"{path}: a pipe or a device, not a file")  # opening it could block forever
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")          # Pillow's warnings: a strange file is read, or raises an error
        try:
            return opened_in(file, read)
        except ImageError as error:
            problem = error
    raise ImageError(f"{path}: {problem}")


def opened_in(file: IO[bytes], read: Callable[[Image.Image], Result], max_pixels: int = MAX_PIXELS) -> Result:
    """`opened` for an open file, or for bytes in memory, in which Pillow's warnings are the caller's.

    Raises ImageError, which names no file.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(f"{image.width} x {image.height} pixels are too many (at most {max_pixels:,})")
            return read(image)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        problem = f"its pixels are too many (at most {max_pixels:,})"
    except UnidentifiedImageError:
        file.seek(0)
        text = in_its_place(file.read(256))
        problem = f"not an image; it {text}" if text else NO_IMAGE
    except Exception as error:                   # each format raises its own kinds
        problem = f"a damaged image ({error})"
    raise ImageError(problem)


class Stored(NamedTuple):
    """How a file stores its pixels, as far as Pillow's image does not tell.

    raw            Pillow's name of the bits of a pixel, such as "L;4" or "I;12"
    format         the format of the file
    white_is_zero  whether its grey is that of a negative
    signed         whether its pixels have a sign
    """

    raw: str = ""
    format: str | None = None
    white_is_zero: bool = False
    signed: bool = False


def how_stored(image: Image.Image) -> Stored:
    """What the header of an image says that is not decoded yet."""
    tiles = getattr(image, "tile", [])           # of an image that is not decoded yet
    first = tiles[0][3] if tiles else ""
    raw = first[0] if isinstance(first, tuple) and first else first
    tags = getattr(image, "tag_v2", {})
    formats = tags.get(SAMPLE_FORMAT, ())
    return Stored(raw if isinstance(raw, str) else "", image.format, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
                  SIGNED in (formats if isinstance(formats, tuple) else (formats,)))


def converted(image: Image.Image, mode: str, stored: Stored) -> Image.Image:
    """The image converted to `mode` and without transparency."""
    if stored.signed and not stored.raw.startswith("I;32"):
        raise ImageError("its pixels have a sign, and the numbers of black and white are unknown")
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16") or (image.mode == "I" and stored.format in ("PNG", "PPM")):
        return from_16_bits(np.asarray(image), stored, transparent).convert(mode)
    if image.mode in ("I", "F"):
        raise ImageError("its pixels are 32-bit numbers, and their range is unknown")
    if image.has_transparency_data:
        image = on_white(image, in_8_bits(transparent, stored.raw))
    return image.convert(mode)


def from_16_bits(pixels: np.ndarray, stored: Stored, transparent: int | None) -> Image.Image:
    """An image of 8 bits of grey pixels of up to 16. Pillow gives the numbers in the file, whatever they mean."""
    white = LARGEST_12 if stored.raw.startswith("I;12") else 65_535
    grey = np.round(pixels * np.float32(255 / white)).clip(0, 255).astype(np.uint8)
    if stored.white_is_zero:
        grey = 255 - grey
    return Image.fromarray(grey if transparent is None else np.where(pixels == transparent, np.uint8(255), grey))


def in_8_bits(transparent: Any, raw: str) -> Any:
    """The transparent grey or colour of a PNG, which Pillow leaves as it is in the file, as the pixels then are."""
    if raw.startswith("RGB;16") and isinstance(transparent, tuple):
        return tuple(value >> 8 for value in transparent)
    return transparent * GREYS[raw] if raw in GREYS and isinstance(transparent, int) else transparent


def on_white(image: Image.Image, transparent: Any) -> Image.Image:
    """An image with transparent pixels on white, in RGB."""
    image = image.copy()
    if transparent is not None:
        image.info["transparency"] = transparent
    if image.mode == "La":                       # Pillow knows no other way from there
        image = image.convert("LA")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


class Steps(NamedTuple):
    """The settings of a Preprocessing."""

    input: tuple[int, int, int]
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Preprocessing(Steps):
    """How an image becomes an input, as in torchvision: resize the shorter side, centre-crop, normalise.

    input      (C, H, W); H x W is the size of the centre crop
    resize     the length of the shorter side before the crop; resizing is bilinear, with antialiasing
    mean, std  per channel, for pixels in 0..1. Raises ValueError if they are not that
    """

    __slots__ = ()

    def __new__(cls, input: tuple[int, int, int], resize: int, mean: Sequence[float], std: Sequence[float]) -> Self:
        mean, std = per_channel("its mean", mean, input[0]), per_channel("its std", std, input[0])
        if min(std) <= 0:
            raise ValueError(f"its std must be positive, not {std}")
        channels, height, width = input
        return super().__new__(cls, (channels, height, width), resize, mean, std)

    @classmethod
    def of(cls, about: dict[str, Any]) -> "Preprocessing":
        """From the facts in a model file (see `save_model`). Raises ValueError if they are missing or invalid."""
        shape = about.get("input")
        if not (isinstance(shape, list | tuple) and len(shape) == 3 and all(is_whole(n, 1, MAX_SIDE) for n in shape)
                and shape[0] in MODES):
            what = f"its input shape is {shape!r:.60}, not (C, H, W), so images cannot be prepared for it; "
            raise CheckpointError(f"{what}give save_model input=(C, H, W), and classes, mean and std",
                                  f"{what}`minidl convert FILE -o NEW --input C,H,W --classes FILE --mean X,... --std "
                                  "X,...` adds it, with --input 3,32,32 for example")
        resize = about.get("resize", max(shape[1:]))
        if not is_whole(resize, 1, MAX_SIDE) or resize < max(shape[1:]):
            raise ValueError(f"its images are resized to {resize!r}, which is smaller than its input {shape}")
        channels = shape[0]
        return cls(tuple(shape), resize, about.get("mean", (0.0,) * channels), about.get("std", (1.0,) * channels))

    @classmethod
    def of_model(cls, path: str | Path, model: Module) -> "Preprocessing":
        """How images become inputs of the model that was in the file at `path`. Raises CheckpointError, as `of`."""
        try:
            return cls.of(model.about)
        except ValueError as error:
            raise located(path, error) from error

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
        if not isinstance(image, Image.Image):
            raise TypeError(f"Preprocessing: image must be a Pillow image, as read_image gives, not "
                            f"{type(image).__name__}; read(path) takes the path of a file")
        if image.mode != MODES[channels]:
            image = converted(image, MODES[channels], how_stored(image))
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
