"""Each kernel on the card: its error against float64, its milliseconds beside PyTorch's, its share of the ceiling.

PyTorch's are cuDNN's convolutions, channels last, the fastest algorithm of its search, and its own kernels else.
With --device cpu the same kernels run on the emulator of the tests, tiny and without times.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from parts import Part, event_ms, torch_ms

import minidl
from minidl import kernels
from minidl.kernels import Window, plain
from minidl.nn import Parameter
from minidl.optim import SGD, Adam

# (images, channels, height, width, filters, kernel, stride, padding, groups)
CONVOLUTIONS = {
    "LeNet-5 conv2": (128, 6, 14, 14, 16, 5, 1, 0, 1), "ResNet-20 stage 1": (128, 16, 32, 32, 16, 3, 1, 1, 1),
    "ResNet-20 stage 3": (128, 64, 8, 8, 64, 3, 1, 1, 1), "VGG conv2": (32, 64, 224, 224, 64, 3, 1, 1, 1),
    "ResNet-50 3x3": (64, 128, 28, 28, 128, 3, 1, 1, 1), "ResNet-50 1x1": (64, 256, 56, 56, 64, 1, 1, 0, 1),
    "ResNet-50 1x1 deep": (64, 1024, 14, 14, 256, 1, 1, 0, 1),
    "ResNet-50 strided": (64, 256, 28, 28, 256, 3, 2, 1, 1),
    "MobileNet depthwise": (64, 256, 28, 28, 256, 3, 1, 1, 256),
}
SMALL = {"small": (2, 8, 7, 7, 16, 3, 1, 1, 1), "small depthwise": (2, 8, 7, 7, 8, 3, 1, 1, 8)}
PRECISIONS = ("float32", "tf32", "float16")
part = Part("kernels", __doc__)
rng = np.random.default_rng(0)
if part.on_gpu:
    import cupy as xp
    import torch
    import torch.nn.functional as TF
    torch.backends.cudnn.benchmark = True
else:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    import strict_array as xp


@contextmanager
def products_in(precision):
    """Products of float32 in TF32, if that is the precision."""
    minidl.set_matmul_precision("tf32" if precision == "tf32" else "float32")
    try:
        yield
    finally:
        minidl.set_matmul_precision("float32")


def images(n, c, h, w, dtype=np.float32):
    """Random images with channels last in memory, on the device."""
    return xp.asarray(rng.standard_normal((n, h, w, c), dtype=np.float32).astype(dtype)).transpose(0, 3, 1, 2)


def filters(f, c, k, dtype=np.float32):
    """Random filters in minidl's memory order, (KH, KW, C, F)."""
    scaled = rng.standard_normal((k, k, c, f), dtype=np.float32) / np.sqrt(c * k * k)
    return xp.asarray(scaled.astype(dtype)).transpose(3, 2, 0, 1)


def host(x):
    return np.asarray(x.get(), np.float64)


def relative_error(out, exact):
    """The norm of the difference, relative to that of the exact result."""
    out = host(out)
    return float(np.linalg.norm(out - exact) / np.linalg.norm(exact)) if np.isfinite(out).all() else "not finite"


def same_bits(function):
    """Whether two calls return the same bits."""
    first, second = function(), function()
    pairs = zip(first, second, strict=True) if isinstance(first, tuple) else [(first, second)]
    return all(np.array_equal(a.get(), b.get(), equal_nan=True) for a, b in pairs)


def beside(function, theirs, *, work=None, traffic=None):
    """Milliseconds of both sides; the rates of a kernel of `work` operations or `traffic` bytes."""
    if not part.on_gpu:
        function()
        return {}
    ms, torch_time = event_ms(function), torch_ms(theirs)
    found = {"ms": ms, "torch_ms": torch_time, "times_as_fast": round(torch_time / ms, 2)}
    if work:
        found |= {"TFLOP_per_s": round(work / ms / 1e9, 2)}
    if traffic:
        found |= {"GB_per_s": round(traffic / ms / 1e6)}
    return found


def to_torch(x):
    """The same memory as a tensor of PyTorch; images keep their memory order."""
    return torch.from_dlpack(x)


def convolution(case, precision):
    """conv2d with a bias, and both of its gradients."""
    n, c, h, w, f, k, s, p, groups = case
    window = Window((k, k), (s, s), ((p, p), (p, p)))
    dtype = np.float16 if precision == "float16" else np.float32
    x, weight = images(n, c, h, w, dtype), filters(f, c // groups, k, dtype)
    bias = xp.asarray(rng.standard_normal(f).astype(dtype))
    oh, ow = window.out((h, w))
    grad = images(n, f, oh, ow, dtype)
    few = x[:2], weight, bias, grad[:2]
    exact_x, exact_weight, exact_bias, exact_grad = map(host, few)
    work = 2 * n * oh * ow * f * k * k * c // groups
    with products_in(precision):
        ours = kernels.backend(x)

        def forward():
            return ours.conv2d(x, weight, bias, window, groups)

        def by_input():
            return ours.conv2d_input_gradient(grad, weight, x.shape, window, groups)

        def by_weight():
            return ours.conv2d_weight_gradient(grad, x, window, groups)
        found = {
            "error": relative_error(forward()[:2], plain.conv2d(exact_x, exact_weight, exact_bias, window, groups)),
            "error_input_gradient": relative_error(
                by_input()[:2], plain.conv2d_input_gradient(exact_grad, exact_weight, (2, c, h, w), window, groups)),
            "error_weight_gradient": relative_error(
                ours.conv2d_weight_gradient(few[3], few[0], window, groups),
                plain.conv2d_weight_gradient(exact_grad, exact_x, window, groups)),
            "same_bits": same_bits(lambda: (forward(), by_input(), by_weight()))}
        peer = peers(x, weight, bias, grad, (s, p, groups), precision) if part.on_gpu else (None, None, None)
        for name, function, theirs in zip(("forward", "input_gradient", "weight_gradient"),
                                          (forward, by_input, by_weight), peer, strict=True):
            found[name] = beside(function, theirs, work=work)
    return found


def peers(x, weight, bias, grad, geometry, precision):
    """The same three computations by PyTorch."""
    stride, padding, groups = geometry
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    x, weight, grad = (to_torch(v).contiguous(memory_format=torch.channels_last) for v in (x, weight, grad))
    bias = to_torch(bias)

    def backward(mask):
        return torch.ops.aten.convolution_backward(grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False,
                                                   [0, 0], groups, mask)

    def forward():
        with torch.no_grad():
            return TF.conv2d(x, weight, bias, stride, padding, 1, groups)
    return forward, lambda: backward([True, False, False]), lambda: backward([False, True, False])


def matrix_product(precision):
    """A dense layer of VGG: (32, 25088) @ (25088, 4096)."""
    m, k, n = (32, 25088, 4096) if part.on_gpu else (5, 40, 24)
    dtype = np.float16 if precision == "float16" else np.float32
    a, b = (xp.asarray(rng.standard_normal(shape, dtype=np.float32).astype(dtype)) for shape in ((m, k), (k, n)))
    if part.on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    with products_in(precision):
        ours = kernels.backend(a)
        return {"error": relative_error(ours.matmul(a, b), host(a) @ host(b)),
                **beside(lambda: ours.matmul(a, b), lambda: to_torch(a) @ to_torch(b), work=2 * m * k * n)}


def moments():
    """The mean and variance of each channel, in one pass."""
    x = images(*((64, 256, 56, 56) if part.on_gpu else (2, 6, 5, 5))) + 100
    ours, exact = kernels.backend(x), host(x)
    mean, var = ours.channel_moments(x)
    return {"error_mean": relative_error(mean, exact.mean((0, 2, 3))),
            "error_variance": relative_error(var, exact.var((0, 2, 3))),
            "same_bits": same_bits(lambda: ours.channel_moments(x)),
            **beside(lambda: ours.channel_moments(x), lambda: torch.var_mean(to_torch(x), (0, 2, 3)), traffic=x.nbytes)}


def elementwise():
    """ReLU and its gradient, which read and write every element once."""
    x = images(*((64, 256, 56, 56) if part.on_gpu else (2, 6, 5, 5)))
    ours = kernels.backend(x)
    return {"right": bool((host(ours.relu(x)) == np.maximum(host(x), 0)).all()),
            **beside(lambda: ours.relu(x), lambda: TF.relu(to_torch(x)), traffic=2 * x.nbytes)}


def batch_norm():
    """Normalization, addition of a residual and ReLU in one pass, and the gradients of all of it."""
    shape = (64, 256, 56, 56) if part.on_gpu else (2, 6, 5, 5)
    x, residual, grad = (images(*shape) for _ in range(3))
    weight, bias = (xp.asarray(rng.standard_normal(shape[1], dtype=np.float32)) for _ in range(2))
    ours = kernels.backend(x)
    mean, var = ours.channel_moments(x)

    def forward():
        return ours.batch_norm(x, weight, bias, residual, mean, var, 1e-5, True)[:2]

    out, passed = forward()

    def backward():
        return ours.batch_norm_gradient(grad, passed, x, weight, mean, var, 1e-5, True, True)
    sides = [host(v) for v in (x, weight, bias, residual, mean, var)]
    exact, exact_passed = plain.batch_norm(*sides, 1e-5, True)[:2]
    by_x = plain.batch_norm_gradient(host(grad), exact_passed, sides[0], sides[1], *sides[4:], 1e-5, True, True)[0]
    found = {"error": relative_error(out, exact), "error_gradient": relative_error(backward()[0], by_x),
             "same_bits": same_bits(lambda: backward()[:3])}
    if not part.on_gpu:
        return found
    tx, tr, tw, tb = (to_torch(v).requires_grad_() for v in (x, residual, weight, bias))

    def theirs():
        return torch.relu(TF.batch_norm(tx, None, None, tw, tb, True) + tr)
    torch_out = theirs()
    found["forward"] = beside(forward, theirs, traffic=3 * x.nbytes)
    found["gradient"] = beside(backward, lambda: torch.autograd.grad(torch_out, (tx, tr, tw, tb), to_torch(grad),
                                                                     retain_graph=True), traffic=4 * x.nbytes)
    return found


def update(name):
    """One step of an optimizer over the parameters of a network like ResNet-50, beside PyTorch's fused one."""
    sizes = [2359296] * 8 + [1048576] * 8 + [512] * 100 if part.on_gpu else [5, 4097, 300]
    parameters = [Parameter(xp.asarray(rng.standard_normal(size, dtype=np.float32))) for size in sizes]
    exact = [host(p.data) for p in parameters]
    for p in parameters:
        p.grad = xp.asarray(rng.standard_normal(p.shape, dtype=np.float32))
    gradients = [host(p.grad) for p in parameters]
    optimizer = SGD(parameters, lr=1e-3, momentum=0.9) if name == "sgd" else Adam(parameters, lr=1e-3)
    optimizer.step()
    wanted = [x - 1e-3 * (g if name == "sgd" else g / (abs(g) + 1e-8)) for x, g in zip(exact, gradients, strict=True)]
    found = {"error": max(relative_error(p.data, w) for p, w in zip(parameters, wanted, strict=True))}
    if not part.on_gpu:
        return found
    theirs = [to_torch(p.data).clone().requires_grad_() for p in parameters]
    for p, ours in zip(theirs, parameters, strict=True):
        p.grad = to_torch(ours.grad).clone()
    peer = (torch.optim.SGD(theirs, lr=1e-3, momentum=0.9, fused=True) if name == "sgd"
            else torch.optim.Adam(theirs, lr=1e-3, fused=True))
    return found | beside(optimizer.step, peer.step, traffic=sum(sizes) * 4 * (5 if name == "sgd" else 7))


def max_pooling():
    """Windows of 3 x 3 at stride 2, and the gradient."""
    x = images(*((64, 64, 112, 112) if part.on_gpu else (2, 5, 7, 7)))
    window = Window((3, 3), (2, 2), ((1, 1), (1, 1)))
    ours = kernels.backend(x)
    out, place = ours.max_pool2d(x, window)
    grad = images(*out.shape)
    exact, where = plain.max_pool2d(x[:2].get(), window)
    found = {"right": bool(np.array_equal(out[:2].get(), exact)),
             "error_gradient": relative_error(
                 ours.max_pool2d_gradient(grad, place, x.shape, window)[:2],
                 plain.max_pool2d_gradient(host(grad)[:2], where, (2, *x.shape[1:]), window))}
    if not part.on_gpu:
        return found
    tx = to_torch(x).requires_grad_()
    pooled = TF.max_pool2d(tx, 3, 2, 1)
    found["forward"] = beside(lambda: ours.max_pool2d(x, window), lambda: TF.max_pool2d(tx.detach(), 3, 2, 1),
                              traffic=x.nbytes + out.nbytes + place.nbytes)
    found["gradient"] = beside(lambda: ours.max_pool2d_gradient(grad, place, x.shape, window),
                               lambda: torch.autograd.grad(pooled, tx, to_torch(grad), retain_graph=True),
                               traffic=x.nbytes + out.nbytes + place.nbytes)
    return found


def main():
    for precision in PRECISIONS:
        for name, case in (CONVOLUTIONS if part.on_gpu else SMALL).items():
            part.attempt(f"conv {precision} {name}", lambda c=case, p=precision: convolution(c, p))
        part.attempt(f"matmul {precision}", lambda p=precision: matrix_product(p))
    part.attempt("channel_moments", moments)
    part.attempt("relu", elementwise)
    part.attempt("batch_norm, addition, relu", batch_norm)
    part.attempt("max_pool2d", max_pooling)
    for name in ("sgd", "adam"):
        part.attempt(name, lambda name=name: update(name))


if __name__ == "__main__":
    main()
