"""A call of every function in `minidl.functional` that has a gradient, for tests of what holds for all of them.

EVERY maps a name to (function of tensors, the shapes of its floating-point inputs). All values lie between 0.6 and 1.4,
away from kinks. The functions that are not here are listed in WITHOUT, with the reason.
"""

import numpy as np

import minidl.functional as F

X, ROWS, SQUARE = (2, 4, 6, 6), (3, 4), (4, 4)
CLASSES = np.array([0, 3, 1])
CHOICE = np.arange(12).reshape(ROWS) % 2 == 0
MOMENTS = {"mean": np.full(4, 0.5, np.float32), "var": np.full(4, 0.3, np.float32), "training": False}

EVERY = {
    "add": (F.add, [ROWS, (4,)]),
    "sub": (F.sub, [ROWS, ROWS]),
    "mul": (F.mul, [ROWS, ROWS]),
    "div": (F.div, [ROWS, (3, 1)]),
    "pow": (F.pow, [ROWS, ROWS]),
    "remainder": (F.remainder, [ROWS, ROWS]),
    "sin": (F.sin, [ROWS]),
    "cos": (F.cos, [ROWS]),
    "maximum": (F.maximum, [ROWS, ROWS]),
    "minimum": (F.minimum, [ROWS, ROWS]),
    "where": (lambda a, b: F.where(CHOICE, a, b), [ROWS, ROWS]),
    "neg": (F.neg, [ROWS]),
    "exp": (F.exp, [ROWS]),
    "log": (F.log, [ROWS]),
    "sqrt": (F.sqrt, [ROWS]),
    "abs": (F.abs, [ROWS]),
    "clamp": (lambda x: F.clamp(x, min=0.8, max=1.2), [ROWS]),
    "cast": (lambda x: F.cast(x, dtype=np.float64), [ROWS]),
    "move": (lambda x: F.move(x, device="cpu"), [ROWS]),
    "sum": (lambda x: F.sum(x, 0), [ROWS]),
    "mean": (lambda x: F.mean(x, 0), [ROWS]),
    "mean of images": (lambda x: F.mean(x, (2, 3)), [X]),
    "var": (lambda x: F.var(x, 0), [ROWS]),
    "std": (lambda x: F.std(x, 0), [ROWS]),
    "norm": (lambda x: F.norm(x, 2, 0), [ROWS]),
    "norm, largest": (lambda x: F.norm(x, float("inf"), 1), [ROWS]),
    "max": (lambda x: F.max(x, 1).values, [ROWS]),
    "min": (lambda x: F.min(x, 0, True).values, [ROWS]),
    "sort": (lambda x: F.sort(x, 0).values, [ROWS]),
    "topk": (lambda x: F.topk(x, 2).values, [ROWS]),
    "gather": (lambda x: F.gather(x, 1, CLASSES[:, None]), [ROWS]),
    "masked_fill": (lambda x: F.masked_fill(x, CHOICE, 0.5), [ROWS]),
    "split": (lambda x: F.split(x, [1, 3], 1)[1], [ROWS]),
    "chunk": (lambda x: F.chunk(x, 2)[0], [ROWS]),
    "repeat": (lambda x: F.repeat(x, sizes=(2, 3, 1)), [ROWS]),
    "clone": (F.clone, [ROWS]),
    "amax": (lambda x: F.amax(x, 0), [ROWS]),
    "amin": (lambda x: F.amin(x, 0), [ROWS]),
    "logsumexp": (lambda x: F.logsumexp(x, 0), [ROWS]),
    "reshape": (lambda x: F.reshape(x, shape=(2, 6)), [ROWS]),
    "flatten": (F.flatten, [ROWS]),
    "squeeze": (F.squeeze, [(3, 1)]),
    "unsqueeze": (lambda x: F.unsqueeze(x, 0), [ROWS]),
    "permute": (lambda x: F.permute(x, axes=(1, 0)), [ROWS]),
    "transpose": (lambda x: F.transpose(x, 0, 1), [ROWS]),
    "expand": (lambda x: F.expand(x, shape=(2, 3, 4)), [ROWS]),
    "getitem": (lambda x: F.getitem(x, index=(slice(1, 3), 2)), [ROWS]),
    "getitem, repeated": (lambda x: F.getitem(x, index=np.array([0, 0, 2])), [ROWS]),
    "cat": (lambda a, b: F.cat([a, b]), [ROWS, ROWS]),
    "stack": (lambda a, b: F.stack([a, b]), [ROWS, ROWS]),
    "pad": (lambda x: F.pad(x, (1, 2)), [X]),
    "pad, reflected": (lambda x: F.pad(x, (1, 2), "reflect"), [X]),
    "matmul": (F.matmul, [ROWS, SQUARE]),
    "matmul of batches": (F.matmul, [(2, 3, 4), (2, 4, 4)]),
    "linear": (F.linear, [ROWS, (2, 4), (2,)]),
    "linear, relu": (lambda *xs: F.linear(*xs, relu=True), [ROWS, (2, 4), (2,)]),
    "conv2d": (F.conv2d, [X, (3, 4, 3, 3), (3,)]),
    "conv2d, relu": (lambda *xs: F.conv2d(*xs, relu=True), [X, (3, 4, 3, 3), (3,)]),
    "conv2d, depthwise": (lambda *xs: F.conv2d(*xs, groups=4, padding=1), [X, (4, 1, 3, 3), (4,)]),
    "conv_transpose2d": (F.conv_transpose2d, [X, (4, 3, 3, 3), (3,)]),
    "batch_norm": (F.batch_norm, [X, (4,), (4,)]),
    "batch_norm, add and relu": (lambda *xs: F.batch_norm(*xs, relu=True), [X, (4,), (4,), X]),
    "batch_norm, eval mode": (lambda *xs: F.batch_norm(*xs, **MOMENTS), [X, (4,), (4,)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 4, w, b), [ROWS, (4,), (4,)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), [X, (4,), (4,)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), [X]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), [X]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), [X]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 4), [X]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 4), [X]),
    "interpolate": (lambda x: F.interpolate(x, 9), [X]),
    "interpolate, bilinear": (lambda x: F.interpolate(x, 9, mode="bilinear"), [X]),
    "dropout": (F.dropout, [ROWS]),
    "dropout2d": (F.dropout2d, [X]),
    "relu": (F.relu, [X]),
    "relu6": (F.relu6, [X]),
    "leaky_relu": (F.leaky_relu, [X]),
    "elu": (F.elu, [X]),
    "gelu": (F.gelu, [X]),
    "silu": (F.silu, [X]),
    "hardswish": (F.hardswish, [X]),
    "softplus": (F.softplus, [X]),
    "sigmoid": (F.sigmoid, [X]),
    "tanh": (F.tanh, [X]),
    "softmax": (F.softmax, [ROWS]),
    "log_softmax": (F.log_softmax, [ROWS]),
    "cross_entropy": (lambda x: F.cross_entropy(x, CLASSES), [ROWS]),
    "cross_entropy, smooth": (lambda x: F.cross_entropy(x, CLASSES, label_smoothing=0.1, reduction="none"), [ROWS]),
    "nll_loss": (lambda x: F.nll_loss(x, CLASSES), [ROWS]),
    "focal_loss": (lambda x: F.focal_loss(x, CLASSES), [ROWS]),
    "dice_loss": (lambda x: F.dice_loss(x, CLASSES), [ROWS]),
    "binary_cross_entropy_with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, CHOICE * 1.0), [ROWS]),
    "mse_loss": (F.mse_loss, [ROWS, ROWS]),
    "l1_loss": (F.l1_loss, [ROWS, ROWS]),
    "smooth_l1_loss": (F.smooth_l1_loss, [ROWS, ROWS]),
}  # fmt: skip
WITHOUT = {"eq", "ne", "lt", "le", "gt", "ge",                 # comparisons, logic and places have no gradient
           "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "argmax", "argmin", "argsort"}


def inputs_of(name, dtype=np.float32):
    """The inputs of a function in EVERY, the same at each call."""
    rng = np.random.default_rng(0)
    return [rng.uniform(0.6, 1.4, shape).astype(dtype) for shape in EVERY[name][1]]
