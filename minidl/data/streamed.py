"""Images that are decoded from their files whenever they are asked for, in place of an array of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.data.decoding import Progress, each
from minidl.data.statistics import histogram
from minidl.io.image import ImageError


class Streamed:
    """Images in files as an array of bytes (N, C, H, W), which is decoded where it is indexed.

    `streamed[indices]` is a NumPy array of these images; `part(indices)` decodes nothing. Raises ImageError, naming the
    file, if an image can no longer be read.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, paths: Sequence[str], shape: tuple[int, ...], decode: Callable[[str], np.ndarray],
                 workers: int | None, counts: np.ndarray | None = None) -> None:
        self.paths, self.shape = np.array(paths, object), (len(paths), *shape)
        self.decode, self.workers, self.histogram = decode, workers, counts

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Any) -> np.ndarray:
        paths = self.paths[key]
        if isinstance(paths, str):               # of one image
            return self[[key]][0]
        images = np.empty((len(paths), *self.shape[1:]), np.uint8)
        for i, image in enumerate(each(paths, self.decode, self.workers)):
            if isinstance(image, str):
                raise ImageError(f"{paths[i]}: can no longer be read: {image}")
            images[i] = image
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.uint8, copy=False)

    def changed(self, change: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> "Streamed":
        """The images after `change`, a function of one (C, H, W), which gives them the shape `shape`."""
        decode = self.decode
        return Streamed(self.paths.tolist(), shape, lambda path: change(decode(path)), self.workers)

    def part(self, indices: np.ndarray) -> "Streamed":
        """The images at `indices`."""
        return Streamed(self.paths[indices], self.shape[1:], self.decode, self.workers)


def streamed(paths: Sequence[str], shape: tuple[int, ...], decode: Callable[[str], np.ndarray], workers: int | None,
             progress: Progress | None) -> tuple[Any, dict[int, str]]:
    """(the images that can be read, {index: why another cannot}); each is decoded once, to know that."""
    faults: dict[int, str] = {}
    counts = np.zeros((shape[0], 256), np.int64)
    for i, image in enumerate(each(paths, decode, workers, progress)):
        if isinstance(image, str):
            faults[i] = image
        else:
            counts += histogram(image[None])
    good = [path for i, path in enumerate(paths) if i not in faults]
    return Streamed(good, shape, decode, workers, counts), faults
