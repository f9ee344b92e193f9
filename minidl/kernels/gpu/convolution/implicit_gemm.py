"""Convolution as a matrix product that reads windows where they are: windows.cuh has the formulas."""

from minidl.device import array_module
from minidl.kernels.gpu.convolution.geometry import geometry
from minidl.kernels.gpu.gemm.tiles import plan
from minidl.kernels.gpu.layout import channels_last, contiguous, logical
from minidl.kernels.gpu.runtime.launcher import launch


def conv2d(x, weight, bias, window, groups=1, relu=False):
    n, f, (oh, ow) = len(x), len(weight), window.out(x.shape[2:])
    out = array_module(x).empty((n, oh, ow, f), dtype=x.dtype)
    if out.size:
        run("conv2d", (n * oh * ow, f // groups, weight[0].size, groups), groups, channels_last(x),
            in_memory_order(weight), out, contiguous(bias), geometry(x.shape, f, window, groups), relu)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    (n, c, h, w), f, (sh, sw) = shape, len(weight), window.stride
    out = array_module(grad).empty((n, h, w, c), dtype=grad.dtype)
    if out.size:
        g = geometry(tuple(shape), f, window, groups, of_gradient=True)
        pixels, taps = n * int(g["rows"][0] * g["columns"][0]), -(-window.kernel[0] // sh) * -(-window.kernel[1] // sw)
        run("conv2d_input_gradient", (pixels, c // groups, taps * f // groups, groups * sh * sw), groups,
            channels_last(grad), in_memory_order(weight), out, contiguous(bias), g)
    return logical(out)


def conv2d_weight_gradient(grad, x, window, groups=1):
    c, f = x.shape[1], grad.shape[1]
    out = array_module(x).empty((*window.kernel, c // groups, f), dtype=x.dtype)
    run("conv2d_weight_gradient", (out.size // f, f // groups, grad.size // f, groups), groups, channels_last(grad),
        channels_last(x), out, geometry(x.shape, f, window, groups))
    return out.transpose(3, 2, 0, 1)


def run(kernel, product, groups, a, b, out, *others):
    """Launch a kernel of this folder, out = a @ b, for the (rows, columns, inner, layers) of a product.

    The last axes of all three arrays are the channels of all groups.
    """
    p = plan(*product, [x.shape[-1] // groups for x in (a, b, out)], (a, b, out))
    launch(a, f"convolution/{kernel}.cu", kernel, p.grid, (p.threads,), a, b, out, *others, p.slices, *p.workspace(a),
           shared_mem=p.shared_mem(a.dtype), defines=p.defines(a.dtype))


def in_memory_order(weight):
    """weight (F, C/groups, KH, KW) as a C-contiguous array (KH, KW, C/groups, F)"""
    return contiguous(weight.transpose(2, 3, 1, 0))
