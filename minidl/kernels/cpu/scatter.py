"""The input gradient for few input channels: one product, and its rows added to the image.

A tile computes at least half a vector of columns, and as columns of an input gradient are input channels, few of them
waste most of it. Here the columns are all KH*KW*C numbers of a window: each output pixel's gradient times the weight is
what it adds to its window (`col2im` of `kernels/im2col.py`). The price is memory for the windows, so images are taken
in groups.
"""

from numba import prange

from minidl.kernels.cpu.compile import kernel
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.matmul import matmul
from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.target import VECTOR_BYTES

WINDOW_BYTES = 8 * 1024**2         # for the windows of one group of images


def few_channels(c, like):
    """Whether c input channels are so few that the gradient is better scattered: half of a vector at most."""
    return 2 * c * like.itemsize <= VECTOR_BYTES


def scattered(grad, weight, shape, window):
    """The gradient of conv2d by x.   grad (N, F, OH, OW), weight (F, C, KH, KW)  ->  (N, C, H, W) = shape"""
    n, c, h, w = shape
    f, (_, _, oh, ow) = len(weight), grad.shape
    (top, _), (left, _) = window.padding
    filters = weight.transpose(2, 3, 1, 0).reshape(-1, f).T                      # (F, KH*KW*C)
    grad = channels_last(grad)
    out = empty((n, h, w, c), grad.dtype)
    group = max(1, WINDOW_BYTES // (oh * ow * filters.shape[1] * grad.itemsize))
    for i in range(0, n, group):
        some = grad[i:i + group]
        windows = matmul(some.reshape(-1, f), filters)
        add_windows(windows.reshape(len(some), oh, ow, window.kernel[0], -1), c, window.stride, window.dilation,
                    (top, left), out[i:i + group])
    return logical(out)


@kernel
def add_windows(threads, windows, c, stride, dilation, pad, out):
    """out = the sum of all windows, each at its place;   windows (N, OH, OW, KH, KW*C), out (N, H, W, C)

    Image by image, each by one thread, in a fixed order.
    """
    n, oh, ow, kh, length = windows.shape
    _, h, w, _ = out.shape
    for image in prange(n):
        flat = out[image].reshape(h * w * c)
        for e in range(len(flat)):
            flat[e] = 0
        for oy in range(oh):
            for i in range(kh):
                y = oy * stride[0] + i * dilation[0] - pad[0]
                if y < 0 or y >= h:
                    continue
                for ox in range(ow):
                    for j in range(length // c):
                        z = ox * stride[1] + j * dilation[1] - pad[1]
                        if 0 <= z < w:
                            for k in range(c):
                                flat[(y * w + z) * c + k] += windows[image, oy, ox, i, j * c + k]
