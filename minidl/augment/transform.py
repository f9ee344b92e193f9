"""What all transforms share: how they are called, printed and chained.

A transform works on a whole batch of images, bytes (N, C, H, W), each with its own random numbers. It draws its
parameters first and applies them second, so a geometric transform does the same to the masks of the images.
"""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidl.augment.draws import Draws
from minidl.device import array_module, is_array
from minidl.functional.checks import is_real
from minidl.scalars import plain


class Transform:
    """A change of images at random. A subclass defines `draw` and `apply`, and `apply_to_masks` if it moves pixels.

    Its settings are attributes with the names of its arguments; `print` shows those that are not the defaults.
    """

    on_device = False                            # whether it can change images on a GPU, too; no class inherits that

    def __init_subclass__(cls) -> None:
        """A class whose code may be NumPy's runs on the CPU, also if it extends one that works on both."""
        if "on_device" not in vars(cls):
            cls.on_device = False

    def __init__(self) -> None:
        """A transform without settings."""

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """The parameters for a batch of images of `shape` (N, C, H, W)."""
        return ()

    def apply(self, images: np.ndarray, *parameters: Any) -> np.ndarray:
        """The images changed, as a new array."""
        raise NotImplementedError(f"{type(self).__name__} has no apply")

    def apply_to_masks(self, masks: np.ndarray, *parameters: Any) -> np.ndarray:
        """The masks that belong to the changed images; unchanged if no pixel moves."""
        return masks

    def __call__(self, images: np.ndarray, masks: np.ndarray | None = None, draws: Draws | None = None) -> Any:
        """The images changed; with masks, (images, masks).

        images  bytes (N, C, H, W), or one image (C, H, W)
        masks   bytes (N, H, W) or (H, W): classes of pixels, which follow their images by nearest neighbour
        draws   where the random numbers come from; by default they are new, and follow `minidl.manual_seed`
        Arrays on a GPU are changed there, by the same random numbers. Raises TypeError or ValueError for other arrays.
        """
        if is_array(images) and not isinstance(images, np.ndarray) and not self.on_device:
            raise TypeError(f"{type(self).__name__}: its code runs on the CPU; give it NumPy arrays, images.get()")
        images, masks, single = checked(type(self).__name__, images, masks)
        draws = Draws.fresh(len(images)) if draws is None else draws
        if len(draws) != len(images):
            raise ValueError(f"{type(self).__name__}: {len(images)} images, but random numbers for {len(draws)}")
        images, masks = self.run(images, masks, draws)
        if single:
            images, masks = images[0], None if masks is None else masks[0]
        return images if masks is None else (images, masks)

    def run(self, images: np.ndarray, masks: np.ndarray | None, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        """The same for arrays that have been checked."""
        parameters = self.draw(draws, images.shape)
        if masks is not None:
            masks = self.apply_to_masks(masks[:, None], *parameters)[:, 0]
        return self.apply(images, *parameters), masks

    def __repr__(self) -> str:
        signature = inspect.signature(type(self).__init__).parameters.values()
        settings = [f"{p.name}={getattr(self, p.name)!r}" for p in signature
                    if p.name != "self" and getattr(self, p.name) != p.default]
        return f"{type(self).__name__}({', '.join(settings)})"


class Compose(Transform):
    """Several transforms, one after another."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not isinstance(transform, Transform):
                raise TypeError(f"Compose: {transform!r} is not a transform of minidl.augment")

    @property
    def on_device(self) -> bool:                 # type: ignore[override]
        """Whether all of them can change images on a GPU."""
        return all(transform.on_device for transform in self.transforms)

    def run(self, images: np.ndarray, masks: np.ndarray | None, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        for transform, own in zip(self.transforms, draws.split(len(self.transforms)), strict=True):
            images, masks = transform.run(images, masks, own)
        return images, masks

    def __repr__(self) -> str:
        lines = "".join(f"\n    {line}" for transform in self.transforms for line in repr(transform).splitlines())
        return f"Compose([{lines}\n])"


class RandomApply(Transform):
    """`transforms` on each image with probability p, on the others nothing. They must keep the size of images."""

    def __init__(self, transforms: Sequence[Transform] | Transform, p: float = 0.5) -> None:
        self.transforms = Compose([transforms] if isinstance(transforms, Transform) else transforms)
        self.p = probability("RandomApply", p)

    @property
    def on_device(self) -> bool:                 # type: ignore[override]
        """Whether what is applied can change images on a GPU."""
        return self.transforms.on_device

    def run(self, images: np.ndarray, masks: np.ndarray | None, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        chosen = draws.chance(self.p)
        return on_some(self.transforms, images, masks, chosen, draws.some(chosen))

    def __repr__(self) -> str:
        return f"RandomApply({self.transforms!r}, p={self.p})"


def on_some(transform: Transform, images: np.ndarray, masks: np.ndarray | None, chosen: np.ndarray,
            draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
    """The images, with the transform applied to those where `chosen` (N,) is true."""
    places = array_module(images).asarray(np.flatnonzero(chosen))
    changed, changed_masks = transform.run(images[places], None if masks is None else masks[places], draws)
    if changed.shape[1:] != images.shape[1:]:
        raise ValueError(f"{transform!r} changes images {images.shape[1:]} to {changed.shape[1:]}; a transform that is "
                         "applied to some images only must keep their size")
    images = images.copy()
    images[places] = changed
    if masks is not None:
        masks = masks.copy()
        masks[places] = changed_masks
    return images, masks


def checked(name: str, images: Any, masks: Any) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """(images (N, C, H, W), masks (N, H, W) or None, whether it was one image), in C order."""
    images = images if is_array(images) else np.asarray(images)
    single = images.ndim == 3
    images = images[None] if single else images
    if images.dtype != np.uint8:
        raise TypeError(f"{name}: images must be bytes (uint8), not {images.dtype}; transform them before normalizing")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(f"{name}: images must be (N, C, H, W) or (C, H, W), not {images.shape[single:]}")
    if masks is not None:
        masks = masks if is_array(masks) else np.asarray(masks)
        masks = masks[None] if single else masks
        if masks.dtype != np.uint8:
            raise TypeError(f"{name}: masks must be bytes (uint8), not {masks.dtype}")
        if masks.shape != (len(images), *images.shape[2:]):
            raise ValueError(f"{name}: masks {masks.shape[single:]} do not fit images {images.shape[single:]}")
        masks = array_module(masks).ascontiguousarray(masks)
    return array_module(images).ascontiguousarray(images), masks, single


# Settings

def probability(name: str, p: Any) -> float:
    """p as a Python number; ValueError unless it is from 0 to 1."""
    chosen = plain(p)
    if not is_real(chosen) or not 0 <= chosen <= 1:
        raise ValueError(f"{name}: p={p!r} must be from 0 to 1")
    return float(chosen)


def interval(name: str, setting: str, value: Any, center: float, least: float) -> tuple[float, float]:
    """(low, high) from a number v, which stands for center - v to center + v, or from two; not below `least`."""
    value = plain(value)
    if is_real(value):
        if value < 0:
            raise ValueError(f"{name}: {setting}={value!r} must not be negative")
        return max(least, center - float(value)), center + float(value)
    if not isinstance(value, tuple | list) or len(value) != 2 or not least <= value[0] <= value[1] < float("inf"):
        raise ValueError(f"{name}: {setting}={value!r} must be a number, or two, (low, high), from {least} on")
    return float(value[0]), float(value[1])


def bounds(name: str, setting: str, value: Any, least: float, most: float) -> tuple[float, float]:
    """(low, high) from a number v, which stands for (v, v), or from two; both from `least` to `most`."""
    value = plain(value)
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(map(is_real, both)) or not least <= both[0] <= both[1] <= most:
        raise ValueError(f"{name}: {setting}={value!r} must be a number from {least} to {most}, or two, (low, high)")
    return float(both[0]), float(both[1])
