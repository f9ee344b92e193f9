"""PyTorch's names of settings, inputs by name, and settings by position."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor
from minidl.testing.strategies import distinct_values

X = distinct_values((3, 4), seed=0)[0]
IMAGES = distinct_values((2, 3, 5, 5), seed=0)[0].astype(np.float32)
WEIGHT, BIAS = np.ones((4, 3, 2, 2), np.float32), np.arange(4, dtype=np.float32)
CALLS = [                                        # PyTorch's, ours
    (lambda: F.sum(X, dim=1, keepdim=True), lambda: F.sum(X, axis=1, keepdims=True)),
    (lambda: Tensor(X).mean(dim=(0, 1)), lambda: F.mean(X, (0, 1))),
    (lambda: F.softmax(X, dim=0), lambda: F.softmax(X, 0)),
    (lambda: F.permute(X, dims=(1, 0)), lambda: F.permute(X, (1, 0))),
    (lambda: F.cat([X, X], dim=1), lambda: F.cat([X, X], 1)),
    (lambda: F.stack([X, X], dim=1), lambda: F.stack([X, X], axis=1)),
    (lambda: F.squeeze(X[None], dim=0), lambda: X),
    (lambda: F.unsqueeze(X, dim=1), lambda: X[:, None]),
    (lambda: F.transpose(X, dim0=0, dim1=1), lambda: X.T),
    (lambda: F.std(X, dim=0), lambda: F.std(X, 0)),
    (lambda: F.clamp(X, -0.5, 0.5), lambda: F.clamp(X, min=-0.5, max=0.5)),
    (lambda: F.leaky_relu(X, 0.2), lambda: F.leaky_relu(X, negative_slope=0.2)),
    (lambda: F.softplus(X, 2, 5), lambda: F.softplus(X, beta=2, threshold=5)),
    (lambda: F.reshape(X, (4, 3)), lambda: F.reshape(X, shape=(4, 3))),
    (lambda: F.conv2d(IMAGES, WEIGHT, BIAS, 2, 1), lambda: F.conv2d(IMAGES, WEIGHT, BIAS, stride=2, padding=1)),
    (lambda: F.conv2d(IMAGES, WEIGHT, bias=BIAS, stride=2), lambda: F.conv2d(IMAGES, WEIGHT, BIAS, stride=2)),
    (lambda: F.conv2d(IMAGES, WEIGHT, bias=None), lambda: F.conv2d(IMAGES, WEIGHT)),
    (lambda: F.linear(IMAGES, WEIGHT[:, 0, 0, :1] * np.ones(5, np.float32), bias=BIAS),
     lambda: F.linear(IMAGES, WEIGHT[:, 0, 0, :1] * np.ones(5, np.float32), BIAS)),
    (lambda: F.group_norm(IMAGES, 3, weight=BIAS[1:], bias=BIAS[:3]),
     lambda: F.group_norm(IMAGES, 3, BIAS[1:], BIAS[:3])),
    (lambda: F.interpolate(IMAGES, None, 2, "nearest"), lambda: F.interpolate(IMAGES, scale_factor=2)),
    *((lambda f=f: f(X, inplace=True), lambda f=f: f(X))
      for f in (F.relu, F.relu6, F.leaky_relu, F.elu, F.silu, F.hardswish)),
]


@pytest.mark.parametrize(("theirs", "ours"), CALLS)
def test_both_spellings_mean_the_same(theirs, ours):
    np.testing.assert_array_equal(np.asarray(theirs()), np.asarray(ours()))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: F.sum(X, axis=0, dim=0), "sum: axis is given twice"),
    (lambda: F.conv2d(IMAGES, WEIGHT, BIAS, bias=BIAS), "conv2d: bias is given twice"),
    (lambda: F.relu(X, dim=0), "unexpected keyword argument 'dim'"),
    (lambda: F.cat([X], axis=0, dim=0), "cat: axis is given twice"),
])
def test_one_setting_by_two_names(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_inplace_leaves_the_input_as_it_is():
    x = Tensor(np.array([-1.0, 1]))
    assert F.relu(x, inplace=True).numpy().tolist() == [0, 1]
    assert x.numpy().tolist() == [-1, 1]


def test_gradients_of_inputs_by_name():
    x, w, b = (Tensor(v, requires_grad=True) for v in (IMAGES, WEIGHT, BIAS))
    F.conv2d(x, w, bias=b).sum().backward()
    assert b.grad.tolist() == [2 * 16] * 4
