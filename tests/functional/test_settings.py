"""Settings: NumPy's numbers are taken as Python's and widen no float32; truth values, text and NaN are refused."""

import math

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, kernels, manual_seed

IMAGES, ROWS = (2, 4, 9, 9), (6, 5)
ONES, TARGET = np.ones(4, np.float32), np.array([0, 1, 2, 3, 4, 0])
FILTERS, PAIRED = np.ones((4, 4, 3, 3), np.float32), np.ones((4, 2, 3, 3), np.float32)

# Each: the shape of x, function(x, setting), and a Python value of the setting.
WHOLE = {
    "conv2d stride": (IMAGES, lambda x, v: F.conv2d(x, FILTERS, stride=v), 2),
    "conv2d padding": (IMAGES, lambda x, v: F.conv2d(x, FILTERS, padding=v), 1),
    "conv2d dilation": (IMAGES, lambda x, v: F.conv2d(x, FILTERS, dilation=v), 2),
    "conv2d groups": (IMAGES, lambda x, v: F.conv2d(x, PAIRED, groups=v), 2),
    "conv_transpose2d stride": (IMAGES, lambda x, v: F.conv_transpose2d(x, FILTERS, stride=v), 2),
    "conv_transpose2d padding": (IMAGES, lambda x, v: F.conv_transpose2d(x, FILTERS, padding=v), 1),
    "conv_transpose2d groups": (IMAGES, lambda x, v: F.conv_transpose2d(x, PAIRED, groups=v), 2),
    "conv_transpose2d more": (IMAGES, lambda x, v: F.conv_transpose2d(x, FILTERS, stride=2, output_padding=v), 1),
    "max_pool2d kernel_size": (IMAGES, lambda x, v: F.max_pool2d(x, v), 2),
    "max_pool2d stride": (IMAGES, lambda x, v: F.max_pool2d(x, 3, v, ceil_mode=True), 2),
    "max_pool2d padding": (IMAGES, lambda x, v: F.max_pool2d(x, 3, padding=v), 1),
    "max_pool2d dilation": (IMAGES, lambda x, v: F.max_pool2d(x, 2, dilation=v), 2),
    "avg_pool2d kernel_size": (IMAGES, lambda x, v: F.avg_pool2d(x, v), 2),
    "avg_pool2d divisor": (IMAGES, lambda x, v: F.avg_pool2d(x, 2, divisor_override=v), 3),
    "adaptive_avg_pool2d": (IMAGES, lambda x, v: F.adaptive_avg_pool2d(x, v), 4),
    "adaptive_max_pool2d": (IMAGES, lambda x, v: F.adaptive_max_pool2d(x, v), 4),
    "interpolate size": (IMAGES, lambda x, v: F.interpolate(x, size=v), 5),
    "group_norm num_groups": (IMAGES, lambda x, v: F.group_norm(x, v), 2),
    "layer_norm normalized_shape": (IMAGES, lambda x, v: F.layer_norm(x, v), 9),
    "local_response_norm size": (IMAGES, lambda x, v: F.local_response_norm(x, v), 3),
    "cross_entropy ignore_index": (ROWS, lambda x, v: F.cross_entropy(x, TARGET, ignore_index=v), 2),
    "nll_loss ignore_index": (ROWS, lambda x, v: F.nll_loss(x, TARGET, ignore_index=v), 2),
    "focal_loss ignore_index": (ROWS, lambda x, v: F.focal_loss(x, TARGET, ignore_index=v), 2),
    "var correction": (ROWS, lambda x, v: F.var(x, 0, correction=v), 2),
    "unsqueeze": (ROWS, lambda x, v: F.unsqueeze(x, v), 2),
}
AXES = {
    **{name: (ROWS, lambda x, v, name=name: getattr(F, name)(x, axis=v), 1)
       for name in ("sum", "mean", "var", "amax", "amin", "logsumexp", "squeeze", "softmax", "log_softmax")},
    "flatten": (IMAGES, lambda x, v: F.flatten(x, v), 1),
    "transpose": (ROWS, lambda x, v: F.transpose(x, 0, v), 1),
    "cat": (ROWS, lambda x, v: F.cat([x, x], v), 1),
    "stack": (ROWS, lambda x, v: F.stack([x, x], v), 1),
}
REAL = {
    "relu ceiling": (ROWS, lambda x, v: F.relu(x, ceiling=v), 0.5),
    "leaky_relu": (ROWS, lambda x, v: F.leaky_relu(x, negative_slope=v), 0.5),
    "elu": (ROWS, lambda x, v: F.elu(x, alpha=v), 0.5),
    "softplus beta": (ROWS, lambda x, v: F.softplus(x, beta=v), 0.5),
    "softplus threshold": (ROWS, lambda x, v: F.softplus(x, threshold=v), 0.5),
    "clamp": (ROWS, lambda x, v: F.clamp(x, min=v), 0.5),
    "dropout": (ROWS, lambda x, v: F.dropout(x, p=v), 0.5),
    "dropout2d": (IMAGES, lambda x, v: F.dropout2d(x, p=v), 0.5),
    "batch_norm eps": (IMAGES, lambda x, v: F.batch_norm(x, None, None, eps=v), 0.5),
    "batch_norm ceiling": (IMAGES, lambda x, v: F.batch_norm(x, None, None, relu=True, ceiling=v), 0.5),
    "layer_norm eps": (IMAGES, lambda x, v: F.layer_norm(x, 9, eps=v), 0.5),
    "group_norm eps": (IMAGES, lambda x, v: F.group_norm(x, 2, eps=v), 0.5),
    "local_response_norm alpha": (IMAGES, lambda x, v: F.local_response_norm(x, 3, alpha=v), 0.5),
    "local_response_norm beta": (IMAGES, lambda x, v: F.local_response_norm(x, 3, beta=v), 0.5),
    "local_response_norm k": (IMAGES, lambda x, v: F.local_response_norm(x, 3, k=v), 0.5),
    "interpolate scale_factor": (IMAGES, lambda x, v: F.interpolate(x, scale_factor=v, mode="bilinear"), 1.5),
    "label_smoothing": (ROWS, lambda x, v: F.cross_entropy(x, TARGET, label_smoothing=v), 0.5),
    "smooth_l1_loss": (ROWS, lambda x, v: F.smooth_l1_loss(x, x.detach() * 0, beta=v), 0.5),
    "focal_loss gamma": (ROWS, lambda x, v: F.focal_loss(x, TARGET, gamma=v), 0.5),
    "dice_loss smooth": (ROWS, lambda x, v: F.dice_loss(x[:, :, None], TARGET[:, None], smooth=v), 0.5),
}
SEVERAL = {
    "conv2d padding": (IMAGES, lambda x, v: F.conv2d(x, FILTERS, padding=v), (1, 2)),
    "max_pool2d": (IMAGES, lambda x, v: F.max_pool2d(x, kernel_size=v), (2, 3)),
    "interpolate": (IMAGES, lambda x, v: F.interpolate(x, size=v), (3, 5)),
    "scale_factor": (IMAGES, lambda x, v: F.interpolate(x, scale_factor=v), (2, 3)),
    "pad": (IMAGES, lambda x, v: F.pad(x, v), (1, 2, 0, 1)),
    "pad, reflected": (IMAGES, lambda x, v: F.pad(x, v, "reflect"), (1, 2, 0, 1)),
    "reshape": (ROWS, lambda x, v: F.reshape(x, shape=v), (3, -1)),
    "x.reshape": (ROWS, lambda x, v: x.reshape(v), (3, -1)),
    "x.reshape of several": (ROWS, lambda x, v: x.reshape(*v), (3, -1)),
    "expand": (ROWS, lambda x, v: x[:1].expand(v), (3, -1)),
    "permute": (ROWS, lambda x, v: x.permute(v), (1, 0)),
    "sum": (ROWS, lambda x, v: F.sum(x, axis=v), (1, 0)),
    "layer_norm": (IMAGES, lambda x, v: F.layer_norm(x, v), (9, 9)),
}


BY_POSITION = {
    "max_pool2d": (IMAGES, lambda x, v: F.max_pool2d(x, v, v), (2, 3)),
    "avg_pool2d": (IMAGES, lambda x, v: F.avg_pool2d(x, v, v), (2, 3)),
    "adaptive_avg_pool2d": (IMAGES, lambda x, v: F.adaptive_avg_pool2d(x, v), (2, 3)),
    "adaptive_max_pool2d": (IMAGES, lambda x, v: F.adaptive_max_pool2d(x, v), (2, None)),
    "interpolate": (IMAGES, lambda x, v: F.interpolate(x, v), (2, 3)),
    "sum": (ROWS, lambda x, v: F.sum(x, v), (0, 1)),
}


def cases(*tables):
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for table in tables
                                            for name, case in table.items()])


def outcome(case, value):
    """The output of a case and the gradient of x, both float32."""
    shape, function, _ = case
    x = Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32), requires_grad=True)
    out = function(x, value)
    out.backward(np.ones(out.shape, np.float32))
    assert out.dtype == x.grad.dtype == np.float32
    return out.numpy(), x.grad


def check_same(case, values):
    """All these values of a setting mean the same as the Python value, with both backends."""
    for backend in ("plain", "auto"):
        with kernels.using(backend):
            manual_seed(0)
            expected = outcome(case, case[2])
            for value in values:
                manual_seed(0)
                for ours, theirs in zip(outcome(case, value), expected, strict=True):
                    np.testing.assert_array_equal(ours, theirs)


@cases(WHOLE, AXES)
def test_whole_numbers(case):
    check_same(case, [kind(case[2]) for kind in (np.int64, np.int32, np.uint8, np.array)])


@cases(REAL)
def test_real_numbers(case):
    check_same(case, [kind(case[2]) for kind in (np.float64, np.float32, np.float16, np.array)])


@cases(SEVERAL)
def test_several_numbers(case):
    check_same(case, [np.array(case[2]), tuple(map(np.int64, case[2])), tuple(map(np.array, case[2]))])
    if case is not SEVERAL["layer_norm"]:                    # its shape is an operand, where a list is refused
        check_same(case, [list(case[2]), list(map(np.int32, case[2]))])


@cases(BY_POSITION)
def test_lists_given_by_position(case):
    check_same(case, [list(case[2]), [v if v is None else np.int64(v) for v in case[2]]])


@cases(WHOLE, AXES, REAL)
@pytest.mark.parametrize("value", [True, np.True_, math.nan, "1", {}], ids=str)
def test_what_is_no_number(case, value):
    with pytest.raises((ValueError, IndexError, TypeError), match=r"^\w+: "):
        case[1](Tensor(np.ones(case[0], np.float32)), value)


@pytest.mark.parametrize("function", [F.sum, F.mean, F.var, F.amax, F.amin, F.logsumexp, F.softmax, F.log_softmax])
@pytest.mark.parametrize("axis", [0, -1])
def test_a_tensor_without_axes_has_none(function, axis):
    with pytest.raises(IndexError, match=rf"^{function.__name__}: axis {axis} of a tensor of .*; it has no axes"):
        function(Tensor(1.0), axis)


@pytest.mark.parametrize(("function", "message"), [
    (lambda x: F.conv2d(x, FILTERS, padding=2), "conv2d: x .* has no pixels"),
    (lambda x: F.max_pool2d(x, 2, padding=1), "max_pool2d: x .* has no pixels"),
    (lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True), "avg_pool2d: x .* has no pixels"),
    (lambda x: F.adaptive_avg_pool2d(x, 1), "adaptive_avg_pool2d: x .* has no pixels"),
    (lambda x: F.adaptive_avg_pool2d(x, (None, 3)), "adaptive_avg_pool2d: x .* has no pixels"),
    (lambda x: F.adaptive_max_pool2d(x, 2), "adaptive_max_pool2d: x .* has no pixels"),
    (lambda x: F.interpolate(x, 3), "interpolate: images of .* pixels are empty"),
    (lambda x: F.amax(x), "amax: no elements to reduce"),
    (lambda x: F.logsumexp(x), "logsumexp: no elements to reduce"),
    (lambda x: F.mse_loss(x, x), "mse_loss: no elements to average"),
    (lambda x: F.binary_cross_entropy_with_logits(x, x), "binary_cross_entropy_with_logits: no elements to average"),
])
@pytest.mark.parametrize("size", [(0, 9), (9, 0), (0, 0)])
def test_images_without_pixels(function, message, size):
    with pytest.raises(ValueError, match=f"^{message}"):
        function(Tensor(np.ones((2, 4, *size), np.float32)))


def test_images_without_channels():
    with pytest.raises(ValueError, match=r"^batch_norm: x \(2, 0, 3, 3\) has no channels"):
        F.batch_norm(np.ones((2, 0, 3, 3), np.float32), None, None)
