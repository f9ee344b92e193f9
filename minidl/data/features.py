"""Features of images, computed once by a network, as a data set for another one."""

from collections.abc import Iterable, Sequence

import numpy as np

from minidl.augment import Transform
from minidl.data.dataset import ImageDataset
from minidl.data.protocol import Batch


class FeatureDataset(ImageDataset):
    """Arrays of floats, each with a class.   features float32 (N, ...), labels int (N,)

    They are what `train.extract_features` returns, and can be split and trained on like images; they have neither
    pixels nor a mean and standard deviation, and cannot be augmented.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: Iterable[str], name: str = "") -> None:
        features = np.ascontiguousarray(features, np.float32)
        if features.ndim < 2:
            raise ValueError(f"features must have shape (N, ...), not {features.shape}")
        stand_in = np.broadcast_to(np.zeros(1, np.uint8), (len(features), 1, 1, 1))
        super().__init__(stand_in, labels, classes, name)
        self.features = features

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.features.shape[1:]

    def batch(self, indices: Sequence[int] | np.ndarray, epoch: int | None = None, seed: int = 0,
              visits: np.ndarray | None = None) -> Batch:
        """Features float32 (n, ...) and labels int64 (n,), both new arrays."""
        _, labels = super().batch(indices)
        return self.features[np.asarray(indices, np.intp)], labels

    def augmented(self, transform: Transform | None) -> "FeatureDataset":
        if transform is not None:
            raise ValueError("augmented: features cannot be augmented; augment the images, and extract the features "
                             "of several copies")
        return self
