"""The parts of a data set: for training, for validation and for the test."""

from typing import NamedTuple

from minidl.data.dataset import ImageDataset


class Splits(NamedTuple):
    """The parts of a data set: `validation` and `test` are None if there are none."""

    train: ImageDataset
    validation: ImageDataset | None
    test: ImageDataset | None
