"""One small case of everything: each op's gradient against finite differences, and three training steps of LeNet-5.

`-m tiny` runs this file on the plain kernels, where nothing is compiled. Each op has its own, thorough tests elsewhere.
"""

import numpy as np
import pytest

import minidl.functional as F
import zoo
from minidl import Tensor, manual_seed, optim
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values

pytestmark = pytest.mark.tiny

MATRIX, IMAGES, VECTOR = (3, 4), (2, 3, 6, 5), (4,)
LABELS, PIXEL_LABELS = np.array([1, 3, 0]), np.arange(60).reshape(2, 6, 5) % 3
ALONE = ["abs", "amax", "amin", "clone", "cos", "elu", "exp", "flatten", "gelu", "hardswish", "leaky_relu", "log",
         "log_softmax", "logsumexp", "max", "mean", "min", "neg", "norm", "relu", "relu6", "sigmoid", "silu", "sin",
         "softmax", "softplus", "sqrt", "squeeze", "std", "sum", "tanh", "var"]
IN_PAIRS = ["add", "div", "maximum", "minimum", "mul", "pow", "sub", "l1_loss", "mse_loss", "smooth_l1_loss"]
WITHOUT_GRADIENT = {"argmax", "argmin", "argsort", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq",
                    "ge", "gt", "le", "lt", "ne"}


def seeded(function):
    """The function with the same random numbers in every call, so that it has a derivative."""
    def same(*inputs):
        manual_seed(0)
        return function(*inputs)
    return same


CASES = {                                 # op: (function of tensors, their shapes)
    **{name: (getattr(F, name), [MATRIX]) for name in ALONE},
    **{name: (getattr(F, name), [MATRIX, MATRIX]) for name in IN_PAIRS},
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), [IMAGES]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 2), [IMAGES]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), [IMAGES]),
    "batch_norm": (F.batch_norm, [IMAGES, (3,), (3,)]),
    "binary_cross_entropy_with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, np.eye(3, 4)), [MATRIX]),
    "cast": (lambda x: F.cast(x, dtype=x.dtype), [MATRIX]),
    "cat": (lambda a, b: F.cat([a, b]), [MATRIX, MATRIX]),
    "chunk": (lambda x: F.chunk(x, 2, 1)[1], [MATRIX]),
    "clamp": (lambda x: F.clamp(x, min=1.2, max=1.8), [MATRIX]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), [IMAGES, (4, 3, 3, 3), (4,)]),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2), [IMAGES, (3, 4, 2, 2), (4,)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, LABELS), [MATRIX]),
    "dice_loss": (lambda x: F.dice_loss(x, PIXEL_LABELS), [IMAGES]),
    "dropout": (seeded(F.dropout), [MATRIX]),
    "dropout2d": (seeded(F.dropout2d), [IMAGES]),
    "expand": (lambda x: F.expand(x, shape=(2, 3, 4)), [MATRIX]),
    "focal_loss": (lambda x: F.focal_loss(x, PIXEL_LABELS), [IMAGES]),
    "gather": (lambda x: F.gather(x, 1, np.array([[3, 0, 0]] * 3)), [MATRIX]),
    "getitem": (lambda x: F.getitem(x, index=(slice(1), [0, 0, 2])), [MATRIX]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 3, w, b), [IMAGES, (3,), (3,)]),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2), [IMAGES]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 4, w, b), [MATRIX, VECTOR, VECTOR]),
    "linear": (F.linear, [MATRIX, (5, 4), (5,)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, alpha=1.0), [IMAGES]),
    "masked_fill": (lambda x: F.masked_fill(x, np.eye(3, 4) > 0, 2.0), [MATRIX]),
    "matmul": (F.matmul, [MATRIX, (4, 2)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), [IMAGES]),
    "move": (lambda x: F.move(x, device="cpu"), [MATRIX]),
    "nll_loss": (lambda x: F.nll_loss(x, LABELS), [MATRIX]),
    "pad": (lambda x: F.pad(x, (1, 2)), [MATRIX]),
    "permute": (lambda x: F.permute(x, axes=(1, 0)), [MATRIX]),
    "remainder": (lambda a, b: F.remainder(a + 0.1, b), [MATRIX, MATRIX]),
    "repeat": (lambda x: F.repeat(x, sizes=(2, 1)), [MATRIX]),
    "reshape": (lambda x: F.reshape(x, shape=(2, -1)), [MATRIX]),
    "sort": (lambda x: F.sort(x, 1)[0], [MATRIX]),
    "split": (lambda x: F.split(x, 3, 1)[0], [MATRIX]),
    "stack": (lambda a, b: F.stack([a, b]), [MATRIX, MATRIX]),
    "topk": (lambda x: F.topk(x, 2, 1)[0], [MATRIX]),
    "transpose": (lambda x: F.transpose(x, 0, 1), [MATRIX]),
    "unsqueeze": (lambda x: F.unsqueeze(x, 0), [MATRIX]),
    "where": (lambda a, b: F.where(np.eye(3, 4) > 0, a, b), [MATRIX, MATRIX]),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    """Between 0.5 and 2.5, where every op is smooth."""
    function, shapes = CASES[name]
    check_gradients(function, *(1.5 + x for x in distinct_values(*shapes, seed=0)))


def test_every_op_has_a_case():
    assert set(CASES) | WITHOUT_GRADIENT == set(F.__all__)


def test_lenet_learns_in_three_steps():
    model = zoo.create("lenet5")
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images = Tensor(np.random.default_rng(0).standard_normal((8, 1, 28, 28), dtype=np.float32))
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(model(images), np.arange(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]
