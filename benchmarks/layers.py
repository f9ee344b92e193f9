"""Each layer, forward and each gradient, beside PyTorch, on shapes from the networks of the zoo.

Layers are called as in a network, recording for the gradient. PyTorch runs in NCHW and in channels_last, and the faster
one counts; its ReLU and its residual addition work in place, as in torchvision's networks. GFLOP/s counts the products
of direct convolution, so that Winograd's algorithm can exceed the processor's peak, which is measured with the GEMM
microkernel alone. GB/s counts each array once; its peak is that of a copy of 128 MiB, which arrays that fit in a cache
can exceed.

Run: `python benchmarks/layers.py [PART OF A NAME ...]`. Results of layers that are not measured are kept.
"""

import sys
from typing import NamedTuple

import common
import numpy as np
import torch
from torch import nn as torch_nn

from minidl import Tensor, nn
from minidl.kernels import Window
from minidl.kernels.cpu.llvm.gemm_microkernel import FULL, BPanel, RowPointers, TapOffsets, gemm_microkernel
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import MR, VECTOR_BYTES

CONVOLUTIONS = {       # name: (N, C, H, F, K, stride, padding, groups)
    "lenet5 conv1": (128, 1, 28, 6, 5, 1, 2, 1),
    "lenet5 conv2": (128, 6, 14, 16, 5, 1, 0, 1),
    "resnet20 conv1": (128, 3, 32, 16, 3, 1, 1, 1),
    "resnet20 layer1": (128, 16, 32, 16, 3, 1, 1, 1),
    "resnet20 layer2, strided": (128, 16, 32, 32, 3, 2, 1, 1),
    "resnet20 layer2": (128, 32, 16, 32, 3, 1, 1, 1),
    "resnet20 layer3": (128, 64, 8, 64, 3, 1, 1, 1),
    "vgg16_cifar conv1": (64, 3, 32, 64, 3, 1, 1, 1),
    "vgg16_cifar stage 1": (64, 64, 32, 64, 3, 1, 1, 1),
    "vgg16_cifar stage 2": (64, 128, 16, 128, 3, 1, 1, 1),
    "vgg16_cifar stage 3": (64, 256, 8, 256, 3, 1, 1, 1),
    "vgg16_cifar stage 4": (64, 512, 4, 512, 3, 1, 1, 1),
    "vgg16_cifar stage 5": (64, 512, 2, 512, 3, 1, 1, 1),
    "mobilenet_v1_cifar block 1, 1x1": (64, 32, 32, 64, 1, 1, 0, 1),
    "mobilenet_v1_cifar block 8, 1x1": (64, 512, 4, 512, 1, 1, 0, 1),
    "mobilenet_v1_cifar block 1, depthwise": (64, 32, 32, 32, 3, 1, 1, 32),
    "mobilenet_v1_cifar block 2, depthwise": (64, 64, 32, 64, 3, 2, 1, 64),
    "mobilenet_v1_cifar block 8, depthwise": (64, 512, 4, 512, 3, 1, 1, 512),
    "unet 16 channels, up.3": (4, 32, 128, 16, 3, 1, 1, 1),
    "vgg16 stage 1": (2, 64, 224, 64, 3, 1, 1, 1),
    "resnet18 conv1": (8, 3, 224, 64, 7, 2, 3, 1),
    "resnet18 layer1": (8, 64, 56, 64, 3, 1, 1, 1),
    "resnet18 layer2, strided": (8, 64, 56, 128, 3, 2, 1, 1),
    "resnet18 layer2, shortcut": (8, 64, 56, 128, 1, 2, 0, 1),
    "resnet18 layer3": (8, 256, 14, 256, 3, 1, 1, 1),
    "resnet18 layer4": (8, 512, 7, 512, 3, 1, 1, 1),
    "resnet50 layer1, widening": (8, 64, 56, 256, 1, 1, 0, 1),
    "resnet50 layer3, narrowing": (8, 1024, 14, 256, 1, 1, 0, 1),
    "alexnet conv1": (16, 3, 224, 64, 11, 4, 2, 1),
    "alexnet conv2": (16, 64, 27, 192, 5, 1, 2, 1),
    "alexnet_2012 conv2, 2 groups": (16, 96, 27, 256, 5, 1, 2, 2),
    "googlenet_2014 inception4a, 5x5": (16, 16, 14, 48, 5, 1, 2, 1),
    "mobilenet_v2 block 2, depthwise": (8, 96, 112, 96, 3, 2, 1, 96),
    "mobilenet_v2 block 3, depthwise": (8, 144, 56, 144, 3, 1, 1, 144),
}
TRANSPOSED = {         # name: (N, C, H, F), windows of 2x2, stride 2
    "unet 16 channels, lowest up-convolution": (4, 256, 8, 128),
    "unet 16 channels, highest up-convolution": (4, 32, 64, 16),
}
LINEAR = {             # name: (N, K, F)
    "lenet5 fc1": (128, 400, 120),
    "vgg16_cifar head": (64, 512, 10),
    "alexnet fc1": (16, 9216, 4096),
    "alexnet fc3": (16, 4096, 1000),
}
NORMS = {              # name: (N, C, H, whether a shortcut is added), all followed by ReLU
    "resnet20 layer1, norm + ReLU": (128, 16, 32, False),
    "resnet20 layer1, norm + add + ReLU": (128, 16, 32, True),
    "vgg16_bn_cifar stage 1, norm + ReLU": (64, 64, 32, False),
    "vgg16_bn_cifar stage 5, norm + ReLU": (64, 512, 2, False),
    "resnet18 conv1, norm + ReLU": (8, 64, 112, False),
    "resnet18 layer1, norm + add + ReLU": (8, 64, 56, True),
    "resnet18 layer4, norm + add + ReLU": (8, 512, 7, True),
}
LAYER_NORMS = {        # name: shape of x, normalized over all axes but the first
    "layer norm of 64 x 512": (64, 512),
    "layer norm of 4096 x 256": (4096, 256),
    "layer norm of images": (8, 64, 56, 56),
}
GROUP_NORMS = {        # name: (N, C, H), in 32 groups
    "group norm of 256 channels": (8, 256, 28),
    "group norm of 64 channels": (4, 64, 112),
}
POOLS = {              # name: (N, C, H, K, stride, padding) of max pooling; K = H: the average of all pixels
    "lenet5 pool1": (128, 6, 28, 2, 2, 0),
    "vgg16_cifar pool1": (64, 64, 32, 2, 2, 0),
    "resnet18 maxpool": (8, 64, 112, 3, 2, 1),
    "alexnet pool1": (16, 64, 55, 3, 2, 0),
    "resnet50 avgpool": (8, 2048, 7, 7, 7, 0),
}
PRODUCT_PASSES, OTHER_PASSES = ("forward", "input gradient", "weight gradient"), ("forward", "gradient")
FORMATS = (torch.contiguous_format, torch.channels_last)
COPY_BYTES = 128 * 2**20
DEPTH = 128            # products per sum when measuring the peak: A and B then fit in the L1 cache
rng = np.random.default_rng(0)


class Layer(NamedTuple):
    """A layer to measure: `ours()` and `theirs()` construct it; it is called with `inputs` arrays of one shape.

    flops   floating-point operations of a pass, if it is limited by arithmetic
    reread  number of arrays of the output's size that its backward reads besides the gradient of the output
    """

    ours: object
    theirs: object
    shape: tuple
    inputs: int = 1
    flops: int = 0
    reread: int = 0


class OurNorm(nn.BatchNorm2d):
    """Batch norm, the addition of an optional shortcut, and ReLU, in one pass."""

    def forward(self, x, add=None):
        return super().forward(x, add=add, relu=True)


class TheirNorm(torch_nn.BatchNorm2d):
    """The same in PyTorch."""

    def forward(self, x, add=None):
        out = super().forward(x)
        if add is not None:
            out += add
        return out.relu_()


def layers():
    """All layers to measure, by name."""
    result = {}
    for name, (n, c, h, f, k, stride, padding, groups) in CONVOLUTIONS.items():
        oh, ow = Window((k, k), (stride, stride), ((padding, padding),) * 2).out((h, h))
        result[name] = both("Conv2d", (c, f, k, stride, padding), {"groups": groups, "bias": False}, (n, c, h, h),
                            flops=2 * n * f * oh * ow * c // groups * k * k)
    for name, (n, c, h, f) in TRANSPOSED.items():
        result[name] = both("ConvTranspose2d", (c, f, 2, 2), {}, (n, c, h, h), flops=2 * n * c * h * h * f * 4)
    for name, (n, k, f) in LINEAR.items():
        result[name] = both("Linear", (k, f), {}, (n, k), flops=2 * n * k * f)
    for name, (n, c, h, adds) in NORMS.items():
        result[name] = Layer(lambda c=c: OurNorm(c), lambda c=c: TheirNorm(c), (n, c, h, h), 1 + adds, reread=2)
    for name, shape in LAYER_NORMS.items():
        result[name] = both("LayerNorm", (shape[1:],), {}, shape, reread=1)
    for name, (n, c, h) in GROUP_NORMS.items():
        result[name] = both("GroupNorm", (32, c), {}, (n, c, h, h), reread=1)
    for name, (n, c, h, k, stride, padding) in POOLS.items():
        if k == h:
            result[name] = both("AdaptiveAvgPool2d", (1,), {}, (n, c, h, h))
        else:
            result[name] = both("MaxPool2d", (k, stride, padding), {}, (n, c, h, h))
    return result


def both(kind, sizes, settings, shape, **more):
    """A layer with the same name and settings in minidl and PyTorch."""
    return Layer(lambda: getattr(nn, kind)(*sizes, **settings), lambda: getattr(torch_nn, kind)(*sizes, **settings),
                 shape, **more)


def measure(layer):
    """For each pass: the unit, the rates of minidl and PyTorch, and their ratio."""
    arrays = [array(layer.shape) for _ in range(layer.inputs)]
    grad = array(layer.ours()(*map(Tensor, arrays)).shape)
    unit = "GFLOP/s" if layer.flops else "GB/s"
    result = {}
    for name in PRODUCT_PASSES if layer.flops else OTHER_PASSES:
        forms = FORMATS if len(layer.shape) == 4 else FORMATS[:1]
        functions = [our_pass(layer, arrays, grad, name), *(their_pass(layer, arrays, grad, name, f) for f in forms)]
        ours, *theirs = common.alternate(functions, rounds=9, seconds=0.01)
        work = (layer.flops or traffic(layer, arrays, grad, name)) / 1e9
        result[name] = {"unit": unit, "minidl": work / ours, "torch": work / min(theirs), "ratio": min(theirs) / ours}
    return result


def array(shape):
    """Normally distributed float32 values; images are channels last in memory.

    Arrays are aligned to cache lines, as the outputs of layers are in minidl and in PyTorch.
    """
    if len(shape) == 4:
        n, c, h, w = shape
        return filled((n, h, w, c)).transpose(0, 3, 1, 2)
    return filled(shape)


def filled(shape):
    """Such values in a C-contiguous array."""
    out = empty(shape, np.float32)
    rng.standard_normal(out=out, dtype=np.float32)
    return out


def traffic(layer, arrays, grad, name):
    """Bytes of the arrays that a pass must read or write, each counted once."""
    once = sum(a.nbytes for a in arrays) + grad.nbytes
    return once if name == "forward" else once + layer.reread * grad.nbytes


def our_pass(layer, arrays, grad, name):
    """One pass of minidl, as a function without arguments."""
    made = layer.ours()
    inputs = [Tensor(a, requires_grad=name != "weight gradient") for a in arrays]
    for parameter in made.parameters():
        parameter.requires_grad = name != "input gradient"
    if name == "forward":
        return lambda: made(*inputs)
    out, leaves = made(*inputs), [t for t in (*inputs, *made.parameters()) if t.requires_grad]

    def gradient():
        for leaf in leaves:
            leaf.grad = None
        out.backward(grad, retain_graph=True)
    return gradient


def their_pass(layer, arrays, grad, name, form):
    """One pass of PyTorch in one memory format."""
    made = layer.theirs().to(memory_format=form)
    inputs = [formed(a, form).requires_grad_(name != "weight gradient") for a in arrays]
    made.requires_grad_(name != "input gradient")
    if name == "forward":
        return lambda: made(*inputs)
    out, leaves = made(*inputs), [t for t in (*inputs, *made.parameters()) if t.requires_grad]
    grad = formed(grad, form)
    return lambda: torch.autograd.grad(out, leaves, grad, retain_graph=True)


def formed(a, form):
    """The array as a torch tensor; images in one memory format."""
    tensor = torch.from_numpy(np.ascontiguousarray(a))
    return tensor.to(memory_format=form) if a.ndim == 4 else tensor


def machine_peaks():
    """GFLOP/s of the GEMM microkernel with all its operands in the L1 cache, and GB/s of a large copy."""
    columns, calls = 2 * VECTOR_BYTES // 4, 20000
    a, b, out = array((MR, DEPTH)), array((DEPTH, columns)), np.empty((MR, columns), np.float32)
    source, target = torch.ones(COPY_BYTES // 4), torch.empty(COPY_BYTES // 4)
    products, = common.alternate([lambda: tiles(a, b, out, calls)])
    copy, = common.alternate([lambda: target.copy_(source)])
    return {"GFLOP/s": 2 * common.THREADS * calls * MR * DEPTH * columns / products / 1e9,
            "GB/s": 2 * COPY_BYTES / copy / 1e9}


@kernel
def tiles(thread, threads, a, b, out, calls):
    """Compute the same tile `calls` times in each thread."""
    own, zeros, no_offset = np.empty_like(out), np.zeros(out.shape[1], out.dtype), np.zeros(1, np.int64)
    pointers = np.empty((2, len(a)), np.int64)
    for m in range(len(a)):
        pointers[0, m], pointers[1, m] = a[m].ctypes.data, own[m].ctypes.data
    for _ in range(calls):
        gemm_microkernel(a, FULL, RowPointers(pointers[0].ctypes.data, pointers[1].ctypes.data, 0),
                         TapOffsets(no_offset.ctypes.data, 1, a.shape[1], a.itemsize),
                         BPanel(b.ctypes.data, b.strides[0]), zeros.ctypes.data, out.shape[1], 0)


def summarized(results):
    """The geometric mean and minimum of the ratios to PyTorch, overall and for each pass."""
    ratios = {}
    for result in results.values():
        for name, measured in result.items():
            ratios.setdefault(name, []).append(measured["ratio"])
    every = [ratio for some in ratios.values() for ratio in some]
    return {name: {"geometric_mean": common.geometric_mean(some), "least": min(some)}
            for name, some in {"all": every, **ratios}.items()}


def main(parts):
    """Measure, print a line per layer, and store the figures."""
    peaks = machine_peaks()
    print(f"peak {peaks['GFLOP/s']:.0f} GFLOP/s, copy {peaks['GB/s']:.1f} GB/s\n")
    print("minidl / PyTorch = ratio, share of the peak")
    every = layers()
    results = {name: r for name, r in common.load("layers").get("layers", {}).items() if name in every}
    for name, layer in every.items():
        if not parts or any(part in name for part in parts):
            results[name] = measure(layer)
            cells = (f"{r['minidl']:6.0f} /{r['torch']:5.0f} ={r['ratio']:5.2f}x{r['minidl'] / peaks[r['unit']]:5.0%}"
                     for r in results[name].values())
            print(f"{name:40}" + "   ".join(cells), flush=True)
    results = {name: results[name] for name in every if name in results}
    summary = summarized(results)
    for name, ratios in summary.items():
        print(f"{name:16} geometric mean {ratios['geometric_mean']:.2f}x, lowest {ratios['least']:.2f}x")
    common.save("layers", {"peaks": peaks, "layers": results, "ratios": summary})


if __name__ == "__main__":
    main(sys.argv[1:])
