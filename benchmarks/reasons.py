"""What each idea of the CPU kernels gains: the same work with and without it, measured alternately.

docs/performance.md explains the ideas. "Without" uses code of the project: direct convolution instead of Winograd's
algorithm, three calls instead of a fused one, array code instead of a kernel. Run: `python benchmarks/reasons.py`.
"""

import common
import numpy as np

import minidl.functional as F
import zoo
from minidl import Tensor, kernels, no_grad
from minidl.kernels import Arrays, Window, cpu, plain
from minidl.kernels.cpu.convolution import direct
from minidl.kernels.cpu.runtime import memory_pool

SAME = Window((3, 3), padding=((1, 1), (1, 1)))
rng = np.random.default_rng(0)


def images(n, c, h):
    """Normally distributed float32 images (N, C, H, H), channels last in memory."""
    return rng.standard_normal((n, h, h, c), dtype=np.float32).transpose(0, 3, 1, 2)


def filters(f, c):
    """Filters (F, C, 3, 3), in the memory order of layers."""
    return rng.standard_normal((3, 3, c, f), dtype=np.float32).transpose(3, 2, 0, 1)


def channels_last():
    """A convolution of 64 channels whose images are channels last already, or must be converted first."""
    x, weight = images(64, 64, 32), filters(64, 64)
    planes = np.ascontiguousarray(x)
    return lambda: cpu.conv2d(x, weight, None, SAME), lambda: cpu.conv2d(planes, weight, None, SAME)


def rows_anywhere():
    """Windows of 64 channels read in place, or the product alone of an im2col matrix built beforehand."""
    x, weight = images(64, 64, 32), filters(64, 64)
    columns, matrix = (rng.standard_normal(shape, dtype=np.float32) for shape in ((64 * 32 * 32, 9 * 64), (9 * 64, 64)))
    return lambda: direct.conv2d(x, weight, None, SAME), lambda: cpu.matmul(columns, matrix)


def winograd():
    """64 channels of 32x32: F(4x4, 3x3), or direct convolution."""
    x, weight = images(64, 64, 32), filters(64, 64)
    return lambda: cpu.conv2d(x, weight, None, SAME), lambda: direct.conv2d(x, weight, None, SAME)


def depthwise():
    """128 channels of 16x16: the depthwise microkernel, or a matrix product per channel."""
    x, weight = images(64, 128, 16), filters(128, 1)
    return (lambda: cpu.conv2d(x, weight, None, SAME, groups=128),
            lambda: direct.conv2d(x, weight, None, SAME, groups=128))


def fused_norm():
    """Batch norm, addition and ReLU, forward and backward: one op, or three."""
    arrays = images(128, 16, 32), np.ones(16, np.float32), np.zeros(16, np.float32), images(128, 16, 32)
    grad = images(128, 16, 32)

    def run(block):
        block(*(Tensor(a, requires_grad=True) for a in arrays)).backward(grad)
    return (lambda: run(lambda x, weight, bias, add: F.batch_norm(x, weight, bias, add, relu=True)),
            lambda: run(lambda x, weight, bias, add: F.relu(F.batch_norm(x, weight, bias) + add)))


def recycled_memory():
    """A ReLU of 32 MiB into reused memory, or into new pages."""
    x = images(128, 64, 32)

    def new_pages():
        memory_pool.pool.clear()
        return cpu.relu(x)
    return lambda: cpu.relu(x), new_pages


def one_pass_update():
    """SGD with momentum over the 65 parameters of ResNet-20: one kernel, or array code for each."""
    xs, velocities, grads = ([np.zeros_like(p.data) for p in zoo.resnet20().parameters()] for _ in range(3))
    xs, velocities = Arrays(xs), Arrays(velocities)
    settings = (0.1, 0.9, 1e-4, False)
    return lambda: cpu.sgd(xs, grads, velocities, *settings), lambda: plain.sgd(xs, grads, velocities, *settings)


def one_pass_loss():
    """Cross entropy of 4 x 128 x 128 pixels with two classes, and its gradient: one pass, or array code."""
    logits, target = images(4, 2, 128), rng.integers(0, 2, (4, 128, 128))
    rest = (np.ones(2, np.float32), -100, 0.0, True)
    return lambda: cpu.cross_entropy(logits, target, *rest), lambda: plain.cross_entropy(logits, target, *rest)


def whole_network():
    """Inference of ResNet-20 on 128 images: with Winograd convolution, or without."""
    model, x = zoo.resnet20().eval(), Tensor(images(128, 3, 32))

    def infer(winograd):
        with no_grad(), kernels.using(winograd=winograd):
            return model(x)
    return lambda: infer(True), lambda: infer(False)


REASONS = [channels_last, rows_anywhere, winograd, depthwise, fused_norm, recycled_memory, one_pass_update,
           one_pass_loss, whole_network]


def main():
    """Measure, print and store the figures."""
    results = {}
    for reason in REASONS:
        with_it, without = common.alternate(reason())
        results[reason.__name__] = {"about": reason.__doc__, "with (ms)": 1e3 * with_it, "without (ms)": 1e3 * without,
                                    "ratio": without / with_it}
        print(f"{1e3 * with_it:9.3f} ms{1e3 * without:9.3f} ms{without / with_it:7.2f}x  {reason.__doc__}", flush=True)
    common.save("reasons", {"reasons": results})


if __name__ == "__main__":
    main()
