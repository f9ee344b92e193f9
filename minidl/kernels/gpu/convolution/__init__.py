"""Convolution: a matrix product over windows (`implicit_gemm.py`), or, where channels do not mix, `depthwise.py`."""

from minidl.kernels.gpu.convolution import implicit_gemm


def conv2d(x, weight, bias, window, groups=1, relu=False):
    return implicit_gemm.conv2d(x, weight, bias, window, groups, relu)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    return implicit_gemm.conv2d_input_gradient(grad, weight, shape, window, groups, bias)


def conv2d_weight_gradient(grad, x, window, groups=1):
    return implicit_gemm.conv2d_weight_gradient(grad, x, window, groups)
