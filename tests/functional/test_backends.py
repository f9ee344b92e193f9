"""Each operation chooses its backend once, in the forward pass, and its backward uses the same one."""

import sys

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, kernels
from minidl.kernels import plain

IMAGES, ROWS = (2, 4, 6, 6), (3, 4)
CALLS = {
    "relu": (F.relu, IMAGES),
    "relu6": (F.relu6, IMAGES),
    "gelu": (F.gelu, IMAGES),
    "sigmoid": (F.sigmoid, IMAGES),
    "softmax": (F.softmax, ROWS),
    "log_softmax": (F.log_softmax, ROWS),
    "conv2d": (lambda x: F.conv2d(x, np.ones((2, 4, 3, 3)), relu=True), IMAGES),
    "conv_transpose2d": (lambda x: F.conv_transpose2d(x, np.ones((4, 2, 3, 3))), IMAGES),
    "linear": (lambda x: F.linear(x, np.ones((2, 4)), relu=True), ROWS),
    "matmul": (lambda x: F.matmul(x, np.ones((4, 2))), ROWS),
    "batch_norm": (lambda x: F.batch_norm(x, None, None), IMAGES),
    "layer_norm": (lambda x: F.layer_norm(x, 4), ROWS),
    "group_norm": (lambda x: F.group_norm(x, 2), IMAGES),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), IMAGES),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), IMAGES),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), IMAGES),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 3), IMAGES),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, 3), IMAGES),
    "interpolate": (lambda x: F.interpolate(x, 9), IMAGES),
    "pad": (lambda x: F.pad(x, (1, 1), "reflect"), IMAGES),
    "mean": (lambda x: F.mean(x, (2, 3)), IMAGES),
    "cross_entropy": (lambda x: F.cross_entropy(x, np.array([0, 3, 1])), ROWS),
    "binary_cross_entropy_with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, np.ones(ROWS)), ROWS),
}  # fmt: skip


def no_backend(x):
    """Stands in for `backend` where it must not be called."""
    raise AssertionError("backward asked for a backend")


@pytest.mark.parametrize("name", CALLS)
def test_backward_keeps_the_backend_of_the_forward_pass(name, monkeypatch):
    function, shape = CALLS[name]
    x = Tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)
    with kernels.using("plain"):
        out = function(x)
    for module in [m for key, m in sys.modules.items() if key.startswith("minidl.functional.")]:
        monkeypatch.setattr(module, "backend", no_backend, raising=False)
    out.backward(np.ones(out.shape))
    assert x.grad.shape == shape


def test_gradients_of_one_tensor_are_added_by_the_backend(monkeypatch):
    """tensor.py needs no kernels: functional/methods.py gives the tape a sum that uses all threads."""
    added = []
    monkeypatch.setattr(plain, "add", lambda a, b: added.append(a.shape) or a + b)
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with kernels.using("plain"):
        (x * 2 + x * 3).sum().backward()
    assert x.grad.tolist() == [[5] * 3] * 2
    assert added == [(2, 3)]
