"""The sums of a training step: one launch in place of a dozen."""

from minidl.device import array_module
from minidl.kernels.gpu.elements import BLOCKS, THREADS, variant
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.runtime.launcher import launch
from minidl.kernels.plain import tally as plain

CTYPES = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat16"}


def tally(sums, loss, count, logits, labels, ignore_index, scaled):
    if labels.dtype.char not in "lq":
        plain.tally(sums, loss, count, logits, labels, ignore_index, scaled)
        return
    classes, rows = logits.shape[1], contiguous(array_module(logits).moveaxis(logits, 1, -1))
    grid = max(1, min(-(-labels.size // THREADS), BLOCKS))
    launch(sums, "tally.cu", "tally", (grid,), (THREADS,), sums, loss, count, rows, contiguous(labels), labels.size,
           classes, ignore_index, bool(scaled), defines=(*variant(logits.dtype), f"LOSS={CTYPES[loss.dtype.name]}"))
