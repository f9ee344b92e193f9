"""What is needed to use weights trained on ImageNet: the names of the classes, and the preprocessing of images.

Deng et al., "ImageNet: a large-scale hierarchical image database", CVPR 2009. The 1000 classes are those of the
challenges since 2012, ordered by WordNet number, as in all published weights.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

INPUT = (3, 224, 224)
RESIZE = 256                                     # the shorter side, before the centre crop
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1000 names; "crane" (a bird, a machine) and "maillot" occur twice."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())


def imagenet_facts(resize: int = RESIZE, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> dict[str, Any]:
    """The facts to be saved with such weights."""
    return {"classes": imagenet_classes(), "input": INPUT, "resize": resize, "mean": mean, "std": std}
