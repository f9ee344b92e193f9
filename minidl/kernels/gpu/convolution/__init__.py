"""Convolution: a matrix product over windows (`implicit_gemm.py`), or, where channels do not mix, `depthwise.py`."""

from minidl.kernels.gpu.convolution import depthwise, implicit_gemm


def conv2d(x, weight, bias, window, groups=1, relu=False):
    if groups == x.shape[1] > 1:
        return depthwise.conv2d(x, weight, bias, window, relu)
    return implicit_gemm.conv2d(x, weight, bias, window, groups, relu)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    if groups == shape[1] > 1:
        return depthwise.conv2d_input_gradient(grad, weight, shape, window, bias)
    return implicit_gemm.conv2d_input_gradient(grad, weight, shape, window, groups, bias)


def conv2d_weight_gradient(grad, x, window, groups=1):
    if groups == x.shape[1] > 1:
        return depthwise.conv2d_weight_gradient(grad, x, window)
    return implicit_gemm.conv2d_weight_gradient(grad, x, window, groups)
