"""What one has to know to use weights that were trained on ImageNet: the names of the classes, and how images come in.

Deng et al., "ImageNet: a large-scale hierarchical image database", CVPR 2009; the 1000 classes are those of the
challenges since 2012, in the order of their WordNet numbers, which all published weights share.
"""

from functools import cache
from pathlib import Path

INPUT = (3, 224, 224)
RESIZE = 256                                     # the shorter side, before the middle is cut out
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@cache
def imagenet_classes():
    """The 1000 names; "crane" (a bird, a machine) and "maillot" stand there twice."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())


def imagenet_facts(resize=RESIZE, mean=MEAN, std=STD):
    """What is saved beside such weights."""
    return {"classes": imagenet_classes(), "input": INPUT, "resize": resize, "mean": mean, "std": std}
