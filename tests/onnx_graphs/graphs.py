"""What tests of ONNX share: small networks of the zoo, calls of every operation that is exported, and onnxruntime."""

import numpy as np
import onnx
import pytest
from settled import settled

import minidl.functional as F
import minidl.nn as nn
import zoo
from minidl import Tensor, no_grad

SOME = ("lenet5_1998", "simple_cnn", "alexnet_2012", "vgg11_bn_cifar", "googlenet", "resnet18", "resnet20",
        "mobilenet_v2", "unet", "airbench94")
ZOO = [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in zoo.names()]
CHOICE = np.arange(16).reshape(4, 4) % 2 == 0
PIXELS = (4, 6, 6)                               # of the images that the functions below take

EVERY = {                                        # {operation: functions of images (N, 4, 6, 6)}
    "add": [lambda x: x + 1, lambda x: x + x],
    "sub": [lambda x: 1 - x],
    "mul": [lambda x: x * np.arange(6, dtype=np.float32)],
    "div": [lambda x: x / 3, lambda x: 1 / (x + 9)],
    "pow": [lambda x: (x + 9) ** 2, lambda x: (x + 9) ** 0.5],
    "neg": [lambda x: -x],
    "exp": [F.exp],
    "log": [lambda x: F.log(x + 9)],
    "sqrt": [lambda x: F.sqrt(x + 9)],
    "root": [lambda x: x.norm(dim=1), lambda x: F.std(x, (2, 3))],
    "sin": [F.sin],
    "cos": [F.cos],
    "clone": [lambda x: F.clone(x) + 1],
    "abs": [F.abs],
    "maximum": [lambda x: F.maximum(x, 0.1), lambda x: F.maximum(x, -x)],
    "minimum": [lambda x: F.minimum(x, 0.1)],
    "where": [lambda x: F.where(np.arange(6) > 2, x, 0.5)],
    "clamp": [lambda x: F.clamp(x, min=-0.5, max=0.5), lambda x: F.clamp(x, max=0)],
    "cast": [lambda x: F.cast(x, dtype=np.float64)],
    "move": [lambda x: F.move(x, device="cpu")],
    "sum": [lambda x: x.sum(1), lambda x: x.sum((1, 3), keepdims=True)],
    "mean": [lambda x: x.mean((2, 3)), lambda x: x.mean(1, keepdims=True)],
    "var": [lambda x: x.var((2, 3)), lambda x: F.var(x, 1, correction=0, keepdims=True)],
    "amax": [lambda x: x.amax((2, 3))],
    "amin": [lambda x: x.amin(-1)],
    "logsumexp": [lambda x: x.logsumexp(1)],
    "reshape": [lambda x: F.flatten(x, 1), lambda x: x.reshape(len(x), 2, -1), lambda x: x.reshape(-1, 6),
                lambda x: F.unsqueeze(x, 0), lambda x: F.flatten(x, 2), lambda x: x.reshape(6, len(x), 24)],
    "permute": [lambda x: x.permute(0, 2, 3, 1), lambda x: x.transpose(1, -1)],
    "expand": [lambda x: F.expand(x[:, :1], shape=(-1, 3, -1, -1))],
    "getitem": [lambda x: x[:, 1:3, ::2, 1::2], lambda x: x[:, 1], lambda x: x[..., -1], lambda x: x[:, :, -2:, ::-1],
                lambda x: x[:, np.array([0, 2, 2])], lambda x: x[:, None, 2], lambda x: x[:, :, :, 1:-1]],
    "cat": [lambda x: F.cat([x, -x], 1), lambda x: F.stack([x, x], -1)],
    "pad": [lambda x: F.pad(x, (1, 2, 0, 1)), lambda x: F.pad(x, (-1, 1), value=2.0)],
    "copy": [lambda x: F.pad(x, (1, 2, 2, 1), "reflect"), lambda x: F.pad(x, (1, 2, 2, 7), "replicate")],
    "matmul": [lambda x: x @ CHOICE.repeat(2, 0)[:6].astype(np.float32), lambda x: x @ x.transpose(2, 3)],
    "relu": [F.relu, lambda x: F.relu(x, ceiling=0.5)],
    "relu6": [lambda x: F.relu6(x * 9)],
    "leaky_relu": [lambda x: F.leaky_relu(x, negative_slope=0.2)],
    "elu": [lambda x: F.elu(x, alpha=0.7)],
    "gelu": [F.gelu, lambda x: F.gelu(x, approximate="tanh")],
    "silu": [F.silu],
    "hardswish": [lambda x: F.hardswish(x * 5)],
    "softplus": [F.softplus, lambda x: F.softplus(x, beta=2.0)],
    "sigmoid": [F.sigmoid],
    "tanh": [F.tanh],
    "softmax": [lambda x: F.softmax(x, 1), F.softmax],
    "log_softmax": [lambda x: F.log_softmax(x, 1)],
    "local_response_norm": [lambda x: F.local_response_norm(x, 3, alpha=0.5)],
    "max_pool2d": [lambda x: F.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 3, 2, 1, relu=True),
                   lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), lambda x: F.max_pool2d(x, 2, 1, dilation=2)],
    "avg_pool2d": [lambda x: F.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 3, 2, 1),
                   lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
                   lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True), lambda x: F.avg_pool2d(x, 3, 2, 1, True),
                   lambda x: F.avg_pool2d(x, 2, divisor_override=3)],
    "adaptive_avg_pool2d": [lambda x: F.adaptive_avg_pool2d(x, n) for n in (1, 3, 4, (5, 9))],
    "adaptive_max_pool2d": [lambda x: F.adaptive_max_pool2d(x, n) for n in (1, 3, 4)],
    "interpolate": [lambda x: F.interpolate(x, scale_factor=2), lambda x: F.interpolate(x, (9, 7)),
                    lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
                    lambda x: F.interpolate(x, 9, mode="bilinear", align_corners=True),
                    lambda x: F.interpolate(x, 12, mode="bilinear", align_corners=True),
                    lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"), lambda x: F.interpolate(x, 3)],
}  # fmt: skip
LAYERS = {                                       # {operation: modules that take the same images}
    "conv2d": [lambda: nn.Conv2d(4, 3, 3, padding=1), lambda: nn.Conv2d(4, 4, (1, 3), stride=2, groups=2, bias=False),
               lambda: nn.Conv2d(4, 3, 2, padding="same"), lambda: nn.Conv2d(4, 3, 3, dilation=2),
               lambda: nn.Sequential(nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"), nn.ReLU())],
    "conv_transpose2d": [lambda: nn.ConvTranspose2d(4, 3, 2, stride=2),
                         lambda: nn.ConvTranspose2d(4, 6, 3, 2, padding=1, output_padding=1, groups=2, bias=False)],
    "linear": [lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5), nn.ReLU()), lambda: nn.Linear(6, 3),
               lambda: nn.Linear(6, 3, bias=False), lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5, bias=False))],
    "batch_norm": [lambda: nn.Sequential(nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3), nn.ReLU6()),
                   lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144, affine=False))],
    "layer_norm": [lambda: nn.LayerNorm(6), lambda: nn.LayerNorm((6, 6), elementwise_affine=False),
                   lambda: nn.LayerNorm((4, 6, 6), bias=False)],
    "group_norm": [lambda: nn.GroupNorm(2, 4), lambda: nn.GroupNorm(4, 4, affine=False)],
    "dropout": [nn.Dropout],
    "dropout2d": [nn.Dropout2d],
    "passed": [nn.Identity],
}  # fmt: skip


class Applied(nn.Module):
    """A function as a network, after a scale, so that it has a parameter."""

    def __init__(self, function):
        self.function = function
        self.scale = nn.Parameter(np.float32([0.5]))

    def forward(self, x):
        return self.function(x * self.scale)


def small(name):
    """A network of the zoo with few weights, its statistics moved from their start, and the shape of its images."""
    if name == "unet":
        model, shape = zoo.create(name, base_channels=2), (1, 188, 188)
    elif name in ("lenet5", "lenet5_1998", "simple_cnn"):
        model, shape = zoo.create(name), (1, 28, 28)
    else:
        settings = {}
        if name.startswith(("alexnet", "zfnet")) or (name.startswith("vgg") and not name.endswith("cifar")):
            settings |= {"hidden": 8}
        if name.startswith(("vgg", "resnet", "mobilenet")):
            settings |= {"width": 0.25 if name.startswith("mobilenet") else 4}
        model, shape = zoo.create(name, **settings), (3, 64, 64) if zoo.image_size(name) == 224 else (3, 32, 32)
    return settled(model), shape


def images(shape, count=2, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape), dtype=np.float32)


def ours(model, x):
    with no_grad():
        return model(Tensor(x)).numpy()


def theirs(proto, x, name="input"):
    """onnxruntime's first output, after the checker has found nothing."""
    import onnxruntime
    onnx.checker.check_model(proto, full_check=True)
    onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: x})[0]


def check_equal(found, expected, share=1e-5):
    """Equal shapes and dtypes, and no difference above this share of the largest element."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert abs(found - expected).max(initial=0) <= share * abs(expected).max(initial=0)
