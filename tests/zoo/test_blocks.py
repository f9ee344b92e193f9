"""The building blocks of the networks: gradients in float64, and each block's definition against plain arithmetic."""

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
import zoo
from minidl import Tensor
from minidl.testing import check_gradients
from zoo.airbench import Group, identity_convolution
from zoo.googlenet import BasicConv2d, GoogLeNet2014, Inception, InceptionAux, PlainConv2d, from_imagenet
from zoo.lenet import C3, LeNet5Of1998, RadialBasis, SparseConv, SubSampling, squash
from zoo.mobilenet import ConvNorm, InvertedResidual, Separable, rounded
from zoo.resnet import BasicBlock, Bottleneck, CifarBlock, stage
from zoo.simple_cnn import Block
from zoo.unet import DoubleConv, Up, cropped
from zoo.vgg import convolutions

RNG = np.random.default_rng(0)
BLOCKS = {                    # name: (constructor, shapes of its inputs)
    "lenet sub-sampling": (lambda: SubSampling(3), [(2, 3, 4, 6)]),
    "lenet c3": (SparseConv, [(2, 6, 6, 7)]),
    "lenet radial basis": (lambda: RadialBasis(5, 3), [(4, 5)]),
    "airbench group": (lambda: Group(2, 3), [(3, 2, 5, 4)]),
    "simple_cnn": (lambda: Block(2, 3), [(2, 2, 6, 5)]),
    "vgg": (lambda: convolutions((1, 1, 1, 1, 1), 2, False, 1), [(2, 2, 32, 32)]),
    "vgg_bn": (lambda: convolutions((1, 1, 1, 1, 1), 2, True, 1), [(2, 2, 32, 64)]),
    "googlenet inception": (lambda: Inception(3, 2, 2, 3, 1, 2, 2), [(2, 3, 5, 4)]),
    "googlenet inception 2014": (lambda: Inception(3, 2, 2, 3, 1, 2, 2, PlainConv2d, 5), [(2, 3, 5, 4)]),
    "resnet basic": (lambda: BasicBlock(3, 3, 1, None), [(2, 3, 5, 4)]),
    "resnet basic, halving": (lambda: stage(BasicBlock, 2, 3, 1, 2), [(2, 2, 5, 4)]),
    "resnet bottleneck": (lambda: Bottleneck(8, 2, 1, None), [(2, 8, 5, 4)]),
    "resnet bottleneck, halving": (lambda: stage(Bottleneck, 3, 2, 1, 2), [(2, 3, 5, 4)]),
    "resnet cifar": (lambda: CifarBlock(3, 3, 1), [(2, 3, 5, 4)]),
    "resnet cifar, halving": (lambda: CifarBlock(2, 4, 2), [(2, 2, 5, 4)]),
    "mobilenet v1": (lambda: Separable(3, 4, 2), [(3, 3, 5, 4)]),
    "mobilenet v1, tf": (lambda: Separable(3, 4, 2, tf_padding=True), [(3, 3, 5, 4)]),
    "mobilenet v2": (lambda: InvertedResidual(2, 2, 1, 3), [(3, 2, 5, 4)]),
    "mobilenet v2, halving": (lambda: InvertedResidual(2, 3, 2, 3), [(3, 2, 5, 4)]),
    "unet": (lambda: DoubleConv(2, 3, True, False), [(2, 2, 5, 4)]),
    "unet, normalized": (lambda: DoubleConv(2, 3, False, True), [(2, 2, 6, 7)]),
    "unet up": (lambda: Up(2, False, False, False), [(2, 4, 3, 4), (2, 2, 8, 10)]),
    "unet up, bilinear": (lambda: Up(2, True, True, False), [(2, 4, 3, 4), (2, 2, 6, 8)]),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_of_input_and_parameters(name):
    """`check_gradients` passes tensors, which replace the parameters of the block."""
    make, shapes = BLOCKS[name]
    block = make().to(dtype=np.float64)
    names = [path for path, _ in block.named_parameters()]
    inputs = [RNG.standard_normal(shape) for shape in shapes]
    values = [p.data + 0.1 * RNG.standard_normal(p.shape) for p in block.parameters()]

    def run(*tensors):
        for path, tensor in zip(names, tensors[len(inputs):], strict=True):
            place(block, path, tensor)
        return block(*tensors[:len(inputs)])

    check_gradients(run, *inputs, *values, float32=False)


def place(block, path, tensor):
    """Replace the parameter with this dotted name by a tensor."""
    *above, name = path.split(".")
    for step in above:
        block = block[int(step)] if isinstance(block, list) else getattr(block, step)
    setattr(block, name, tensor)


def images(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_lenet_c3_is_a_convolution_with_some_connections_removed():
    """Table I: each row lists the filters connected to one channel of s2."""
    rows = ["0   456  9abc ef", "01   567  abcd f", "012   678  b def", " 123  6789  c ef", "  234  789a cd f",
            "   345  89ab def"]
    seen = {(channel, int(letter, 16)) for channel, row in enumerate(rows) for letter in row.replace(" ", "")}
    assert {(int(channel), f) for f, channels in enumerate(C3) for channel in channels} == seen
    assert len(seen) == 60
    block, x = SparseConv(), images(2, 6, 14, 14)
    weight = np.zeros((16, 6, 5, 5), np.float32)
    for f, (conv, channels) in enumerate(zip(block.filters, C3, strict=True)):
        weight[f, [int(c) for c in channels]] = conv.weight.data[0]
    bias = np.concatenate([conv.bias.data for conv in block.filters])
    np.testing.assert_allclose(block(Tensor(x)).data, F.conv2d(x, weight, bias).data, rtol=1e-4, atol=1e-5)


def test_lenet_sub_sampling():
    block, x = SubSampling(2), images(1, 2, 4, 6)
    sums = x.reshape(1, 2, 2, 2, 3, 2).sum((3, 5))
    np.testing.assert_allclose(block(Tensor(x)).data, sums * block.coefficient.data + block.bias.data, rtol=1e-5)


def test_lenet_radial_basis():
    block, x = RadialBasis(84, 10), images(3, 84)
    assert set(block.weight.data.ravel()) == {-1, 1}
    assert block.parameters() == []
    expected = [[-((row - code) ** 2).sum() for code in block.weight.data] for row in x]
    np.testing.assert_allclose(block(Tensor(x)).data, expected, rtol=1e-5)
    assert LeNet5Of1998(num_classes=3).rbf.weight.shape == (3, 84)


def test_lenet_squash():
    np.testing.assert_allclose(squash(Tensor([1.0, -1.0, 0.0])).data, [1, -1, 0], atol=1e-4)


def test_parameter_free_shortcut():
    x = images(1, 2, 4, 5)
    out = CifarBlock(2, 6, 2).shortcut(Tensor(x)).data
    np.testing.assert_array_equal(out[:, 2:4], x[:, :, ::2, ::2])
    assert not out[:, :2].any()
    assert not out[:, 4:].any()
    assert out.shape == (1, 6, 2, 3)


@pytest.mark.parametrize(("size", "pads"), [((6, 8), ((0, 1), (0, 1))), ((5, 7), ((1, 1), (1, 1))),
                                            ((6, 7), ((0, 1), (1, 1)))])
def test_tensorflow_padding(size, pads):
    """SAME: max((ceil(n / 2) - 1) * 2 + 3 - n, 0) zeros, an odd one at the end."""
    block, x = ConvNorm(3, 4, 3, stride=2, tf_padding=True).eval(), images(2, 3, *size)
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    expected = F.relu6(block.bn(F.conv2d(padded, block.conv.weight, stride=2))).data
    np.testing.assert_allclose(block(Tensor(x)).data, expected, rtol=1e-5, atol=1e-6)
    assert ConvNorm(3, 4, 3, stride=1, tf_padding=True)(Tensor(x)).shape == (2, 4, *size)


def test_mobilenet_v1_settings_reach_every_layer():
    model = zoo.create("mobilenet_v1", width=0.125, eps=0.01, tf_padding=True, num_classes=5)
    norms = [module for _, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {0.01}
    assert len(norms) == 27
    padded = [name for name, module in model.named_modules() if isinstance(module, ConvNorm) and module.tf_padding]
    assert padded == ["conv1", *(f"blocks.{i}.depthwise" for i in (1, 3, 5, 11))]


@pytest.mark.parametrize(("channels", "multiple"), [(1, 8), (11, 16), (12, 16), (17, 16), (18, 24), (44.8, 48)])
def test_channels_are_rounded_to_multiples_of_eight(channels, multiple):
    """12 -> 16, since halves round up; 17 -> 16 loses less than 10 %, but 11 -> 8 and 18 -> 16 would lose more."""
    assert rounded(channels) == multiple


def test_inverted_residual_adds_its_input():
    block, x = InvertedResidual(4, 4, 1, 2).eval(), images(1, 4, 5, 5)
    np.testing.assert_allclose(block(Tensor(x)).data, x + block.conv(Tensor(x)).data, rtol=1e-5, atol=1e-6)
    assert not InvertedResidual(4, 4, 2, 2).residual
    assert not InvertedResidual(4, 5, 1, 2).residual


def test_transform_input():
    pixels = RNG.random((2, 3, 4, 5)).astype(np.float32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((pixels - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)
    np.testing.assert_allclose(from_imagenet(Tensor(x)).data, (pixels - 0.5) / 0.5, atol=1e-5)


def test_googlenet_2014_has_large_windows_and_no_batch_norm():
    model = GoogLeNet2014(3, 10, aux_logits=False)
    assert model.inception3a.branch3[1].conv.weight.shape == (32, 16, 5, 5)
    assert model.maxpool4.kernel_size == (3, 3)
    kinds = {type(module) for _, module in model.named_modules()}
    assert nn.BatchNorm2d not in kinds
    assert BasicConv2d not in kinds


def test_an_auxiliary_head_accepts_any_image_size():
    head = InceptionAux(3, 5)
    assert head(Tensor(images(2, 3, 14, 14))).shape == head(Tensor(images(2, 3, 2, 3))).shape == (2, 5)


def test_cropped():
    x = images(1, 1, 7, 6)
    np.testing.assert_array_equal(cropped(Tensor(x), (3, 2)).data, x[:, :, 2:5, 2:4])


def test_airbench_convolutions_begin_as_the_identity():
    x = Tensor(images(2, 3, 5, 6))
    wide, narrow = identity_convolution(3, 5), identity_convolution(3, 2)
    np.testing.assert_allclose(wide(x).data[:, :3], x.data, rtol=1e-6)
    assert wide.weight.data[3:].any()
    np.testing.assert_allclose(narrow(x).data, x.data[:, :2], rtol=1e-6)


def test_airbench_against_pytorch():
    """Logits and gradients in training mode, by PyTorch's functions."""
    torch = pytest.importorskip("torch")
    T = torch.nn.functional
    model, x = zoo.create("airbench94", width=4), images(5, 3, 32, 32)
    model(Tensor(x)).sum().backward()
    p = {name: torch.from_numpy(array).requires_grad_(array.dtype.kind == "f")
         for name, array in model.state_dict().items()}

    def norm(x, name):
        return T.batch_norm(x, None, None, None, p[f"{name}.bias"], True, 0, 1e-12)

    y = T.gelu(T.conv2d(torch.from_numpy(x), p["whiten.weight"], p["whiten.bias"]))
    for group in ("group1", "group2", "group3"):
        y = T.gelu(norm(T.max_pool2d(T.conv2d(y, p[f"{group}.conv1.weight"], padding=1), 2), f"{group}.norm1"))
        y = T.gelu(norm(T.conv2d(y, p[f"{group}.conv2.weight"], padding=1), f"{group}.norm2"))
    logits = T.max_pool2d(y, 3).flatten(1) @ p["head.weight"].T / 9
    logits.sum().backward()
    np.testing.assert_allclose(model(Tensor(x)).data, logits.detach().numpy(), rtol=1e-3, atol=1e-4)
    for name, parameter in model.named_parameters():
        expected = p[name].grad.numpy()
        np.testing.assert_allclose(parameter.grad.data, expected, rtol=1e-2, atol=1e-3 * abs(expected).max())
    assert not any(buffer.requires_grad for buffer in model.buffers())
