"""How many launches a loss takes, forward and backward: docs/gpu_kernels.md has the table."""

import re
from pathlib import Path

import numpy as np
import pytest
import strict_array
import strict_cuda

import minidl.functional as F
from minidl import Tensor

DOCS = Path(__file__).parents[3] / "docs" / "gpu_kernels.md"
RNG = np.random.default_rng(0)
CLASSES, MASKS = RNG.integers(0, 5, 8), RNG.integers(0, 5, (2, 6, 6))
SHARES = RNG.random((8, 5)).astype(np.float32)
LOSSES = {                              # the function, its name in the table, the shape of the scores, the target
    "classes": (F.cross_entropy, "`cross_entropy` of classes", (8, 5), CLASSES),
    "probabilities": (F.cross_entropy, "`cross_entropy` of probabilities (MixUp)", (8, 5), SHARES),
    "nll": (F.nll_loss, "`nll_loss`", (8, 5), CLASSES), "mse": (F.mse_loss, "`mse_loss`", (8, 5), SHARES),
    "l1": (F.l1_loss, "`l1_loss`", (8, 5), SHARES), "smooth": (F.smooth_l1_loss, "`smooth_l1_loss`", (8, 5), SHARES),
    "bce": (F.binary_cross_entropy_with_logits, "`binary_cross_entropy_with_logits`", (8, 5), SHARES),
    "dice": (F.dice_loss, "`dice_loss`", (2, 5, 6, 6), MASKS),
    "focal": (F.focal_loss, "`focal_loss`", (2, 5, 6, 6), MASKS),
}


@pytest.mark.parametrize("case", LOSSES)
def test_launches(case):
    function, name, shape, target = LOSSES[case]
    scores = Tensor(strict_array.asarray(RNG.standard_normal(shape).astype(np.float32)), requires_grad=True)
    target = strict_array.asarray(target)
    strict_cuda.launches.clear()
    strict_cuda.read_backs.clear()
    function(scores, target).backward()
    assert strict_cuda.read_backs == []
    assert sum(strict_cuda.launches.values()) <= documented()[name]


def documented():
    """{name: launches} of the table; a row may have several names, and as many numbers or one."""
    rows = re.findall(r"^\| (`[^|]*) \| ([\d, ]+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    found = {}
    for names, counts in rows:
        names, counts = names.split(", "), [int(count) for count in counts.split(", ")]
        found |= dict(zip(names, counts * (len(names) // len(counts)), strict=True))
    return found
