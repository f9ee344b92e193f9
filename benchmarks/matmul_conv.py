"""Speed of matrix products and of convolution, forward and both gradients, beside PyTorch.

Every shape alternates with PyTorch's NCHW and channels_last, and the faster one counts. GFLOP/s counts the products of
direct convolution. Run: `python benchmarks/matmul_conv.py`.
"""

import common
import numpy as np
import torch
import torch.nn.functional as TF

from minidl.kernels import Window, cpu

# (N, C, H, F, K, padding): the shapes of the first measurements, before the engine was built.
CONVOLUTIONS = [
    (32, 64, 32, 64, 3, 1),
    (32, 128, 16, 128, 3, 1),
    (32, 256, 8, 256, 3, 1),
    (128, 32, 16, 32, 3, 1),
    (128, 3, 32, 64, 3, 1),
    (4, 64, 224, 64, 3, 1),
    (4, 64, 56, 256, 1, 0),
]
PRODUCTS = [(128, 400, 120), (1176, 576, 384), (1024, 1024, 1024), (12544, 64, 256), (128, 4096, 4096)]
rng = np.random.default_rng(0)


def array(*shape):
    """Normally distributed float32 values."""
    return rng.standard_normal(shape, dtype=np.float32)


def channels_last(x):
    """x (N, C, H, W) in channels-last memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def convolution(n, c, h, f, k, p):
    """GFLOP/s of the forward pass and of each gradient: minidl's, and PyTorch's in its faster format."""
    window = Window((k, k), padding=((p, p), (p, p)))
    x, w = channels_last(array(n, c, h, h)), array(k, k, c, f).transpose(3, 2, 0, 1)
    oh, ow = window.out((h, h))
    grad = channels_last(array(n, f, oh, ow))
    ours = [
        lambda: cpu.conv2d(x, w, None, window),
        lambda: cpu.conv2d_input_gradient(grad, w, x.shape, window),
        lambda: cpu.conv2d_weight_gradient(grad, x, window),
    ]
    theirs = [torch_calls(x, w, grad, p, form) for form in (torch.contiguous_format, torch.channels_last)]
    flops = 2 * n * f * oh * ow * c * k * k / 1e9
    rates = []
    for mine, first, second in zip(ours, *theirs, strict=True):
        seconds = common.alternate([mine, first, second])
        rates.append((flops / seconds[0], flops / min(seconds[1:])))
    return rates


def torch_calls(x, w, grad, p, form):
    """PyTorch's forward pass and gradients in one memory format."""
    x, w, grad = (torch.from_numpy(np.ascontiguousarray(a)).to(memory_format=form) for a in (x, w, grad))

    def gradients(mask):
        return torch.ops.aten.convolution_backward(
            grad, x, w, None, [1, 1], [p, p], [1, 1], False, [0, 0], 1, mask)

    return [
        lambda: TF.conv2d(x, w, padding=p),
        lambda: gradients([True, False, False]),
        lambda: gradients([False, True, False]),
    ]


def matrix_product(m, k, n):
    """GFLOP/s of a matrix product: minidl's and PyTorch's."""
    a, b = array(m, k), array(k, n)
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    seconds = common.alternate([lambda: cpu.matmul(a, b), lambda: ta @ tb])
    return [2 * m * k * n / 1e9 / s for s in seconds]


@torch.no_grad()
def main():
    """Measure everything, print tables and store the figures."""
    names = ["forward", "input gradient", "weight gradient"]
    rows, ratios = [], []
    print(f"{'N, C, H, F, K, padding':28}" + "".join(f"{name:>28}" for name in names))
    for shape in CONVOLUTIONS:
        rates = convolution(*shape)
        print(f"{shape!s:28}" + "".join(f"{a:12.0f} /{b:4.0f} = {a / b:5.2f}x " for a, b in rates), flush=True)
        rows.append({"shape": shape, **{n: {"minidl": a, "torch": b} for n, (a, b) in zip(names, rates, strict=True)}})
        ratios += [a / b for a, b in rates]
    print(f"GFLOP/s of minidl / of PyTorch; geometric mean {common.geometric_mean(ratios):.2f}x, "
          f"lowest {min(ratios):.2f}x\n")
    products = []
    for shape in PRODUCTS:
        ours, theirs = matrix_product(*shape)
        print(f"product {shape!s:24}{ours:8.0f} /{theirs:4.0f} = {ours / theirs:5.2f}x", flush=True)
        products.append({"shape": shape, "minidl": ours, "torch": theirs})
    common.save("matmul_conv", {"unit": "GFLOP/s", "convolutions": rows, "products": products,
                                "geometric_mean_of_convolutions": common.geometric_mean(ratios)})


if __name__ == "__main__":
    main()
