"""Which class a value in a mask file is."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.data.decoding import each
from minidl.data.idx import DataError
from minidl.data.segmentation import IGNORED
from minidl.io.mask import read_mask, shown, value_of
from minidl.scalars import plain

Classes = Mapping[Any, str] | Sequence[str]


class Pair(NamedTuple):
    """The files of an image and of its mask."""

    image: str
    mask: str


class MaskClasses(NamedTuple):
    """The names of the classes by their values in mask files, in the order of the classes, and the values to ignore."""

    names: dict[int, str]
    ignored: list[int]

    @classmethod
    def of(cls, pairs: Sequence[Pair], classes: Classes | None, ignore: Any, workers: int | None) -> "MaskClasses":
        """From the settings of `image_masks`, or from the values that occur."""
        ignored = [value_of(value) for value in listed(ignore)]
        names = named(classes) if classes is not None else {
            value: shown(value) for value in values_found(pairs, workers) if value not in ignored}
        if both := [shown(value) for value in ignored if value in names]:
            raise ValueError(f"image_masks: ignore={ignore!r}, but {both[0]} is a class, too; leave it out of one")
        if not 2 <= len(names) <= IGNORED:
            raise DataError(f"image_masks: the masks have {len(names)} classes ({', '.join(names.values())[:60]}), not "
                            f"2 to {IGNORED}; give `classes`, as {{value: name}}")
        return cls(names, ignored)

    def classes_of(self, mask: np.ndarray, pair: Pair) -> np.ndarray:
        """The classes of the values of a mask: bytes, with IGNORED for what is to be ignored."""
        known = np.array([*self.names, *self.ignored], np.int64)
        classes = np.array([*range(len(self.names)), *[IGNORED] * len(self.ignored)], np.uint8)
        order = np.argsort(known)
        places = order[np.minimum(np.searchsorted(known[order], mask), len(known) - 1)]
        unknown = np.unique(mask[known[places] != mask]).tolist()
        if unknown:
            values = ", ".join(map(shown, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
            names = ", ".join(f"{shown(value)}: {name!r}" for value, name in [*self.names.items()][:5])
            more = ", ..." if len(self.names) > 5 else ""
            several = "s" * (len(unknown) > 1)
            raise DataError(f"{pair.mask}: the mask of {pair.image} has the value{several} {values}, of no class; the "
                            f"classes are {{{names}{more}}}. Give `classes` with all values, or `ignore`")
        return classes[places]


def values_found(pairs: Sequence[Pair], workers: int | None) -> list[int]:
    """The values that occur in masks, sorted; masks that cannot be read are left to others."""
    found: set[int] = set()
    values = each([pair.mask for pair in pairs], lambda path: np.unique(read_mask(path)).tolist(), workers)
    for pair, own in zip(pairs, values, strict=True):
        found.update([] if isinstance(own, str) else own)
        if len(found) > IGNORED + 1:
            raise DataError(f"{pair.mask}: with this mask of {pair.image}, masks have more than {IGNORED} different "
                            "values; are they photographs? Else give `classes`, as {value: name}")
    return sorted(found)


def named(classes: Classes) -> dict[int, str]:
    """{value: name} of each class, in order."""
    if isinstance(classes, str):
        raise ValueError(f"image_masks: classes={classes!r} must be {{value: name}}, or a list of names")
    pairs = [(value_of(value), str(name)) for value, name in classes.items()] if isinstance(classes, Mapping) else [
        (value, str(name)) for value, name in enumerate(classes)]
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError(f"image_masks: classes={classes!r} name a value twice")
    return table


def listed(ignore: Any) -> list[Any]:
    """The values to be ignored: none, one number or colour, or a list of them."""
    ignore = plain(ignore)
    if ignore is None:
        return []
    return list(ignore) if isinstance(ignore, list | set) else [ignore]
