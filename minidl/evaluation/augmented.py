"""Test-time augmentation: a model that sees each image several times, mirrored, turned or shifted."""

from typing import NamedTuple

import minidl.functional as F
from minidl.nn import Module
from minidl.tensor import Tensor

SHIFT = 32                                       # a shift moves an image by this part of its size


class View(NamedTuple):
    """An image as the model sees it: rows and columns exchanged or not, turned over or not, moved or not."""

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False
    shift: int = 0                               # down and to the right, in parts of 1 / SHIFT of the size

    def of(self, x: Tensor) -> Tensor:
        """This view of each image (N, C, H, W); what moves in at the edge is reflected."""
        x = self.turned(F.transpose(x, 2, 3) if self.transposed else x)
        if self.shift == 0:
            return x
        h, w = x.shape[2:]
        dy, dx = max(1, h // SHIFT), max(1, w // SHIFT)
        top, left = dy - self.shift * dy, dx - self.shift * dx
        return F.pad(x, (dx, dx, dy, dy), mode="reflect")[:, :, top:top + h, left:left + w]

    def undone(self, logits: Tensor) -> Tensor:
        """Logits of the pixels of this view (N, C, H, W), where these were in the image."""
        logits = self.turned(logits)
        return F.transpose(logits, 2, 3) if self.transposed else logits

    def turned(self, x: Tensor) -> Tensor:
        """Turned over, which is its own inverse."""
        x = x[:, :, ::-1] if self.upside_down else x
        return x[..., ::-1] if self.mirrored else x


MIRROR = (View(), View(mirrored=True))
SHIFTED = tuple(View(shift=shift) for shift in (0, 1, -1))
VIEWS = {
    "mirror": MIRROR,
    "shift": SHIFTED,
    "mirror+shift": tuple(View(mirrored=view.mirrored, shift=moved.shift) for view in MIRROR for moved in SHIFTED),
    "turns": tuple(View(t, u, m) for t in (False, True) for u in (False, True) for m in (False, True)),
}


class Augmented(Module):
    """The mean of a model's logits of several views of an image.   (N, C, H, W) -> (N, classes[, H, W])

    tta  "mirror": the image and its mirror image, which suits photographs, but no letters and digits; "shift": the
         image as it is and moved by 1/32 of its size, a pixel of 32, up and to the left or down and to the right;
         "mirror+shift": each of these mirrored, too; "turns": its eight flips and rotations by quarter turns, for which
         it must be a square, else four. True: "turns" for masks, and "mirror" for classes of images
    Masks are turned back; they cannot be shifted.
    """

    def __init__(self, model: Module, tta: bool | str = True) -> None:
        if tta is not True and tta not in VIEWS:
            raise ValueError(f"tta={tta!r} must be True or one of {', '.join(map(repr, VIEWS))}")
        self.model, self.tta = model, tta

    def forward(self, x: Tensor) -> Tensor:
        total = self.model(x)
        views = self.views(total.ndim == 4, x.shape[2] == x.shape[3])
        for view in views[1:]:                   # the first is the image itself
            logits = self.model(view.of(x))
            total = total + (view.undone(logits) if logits.ndim == 4 else logits)
        return total * (1 / len(views))

    def views(self, masks: bool, square: bool) -> tuple[View, ...]:
        """The views for images that have masks, or classes."""
        name = ("turns" if masks else "mirror") if self.tta is True else str(self.tta)
        if masks and "shift" in name:
            raise ValueError(f"tta={name!r}: masks cannot be shifted; there are 'mirror' and 'turns'")
        return tuple(view for view in VIEWS[name] if square or not view.transposed)
