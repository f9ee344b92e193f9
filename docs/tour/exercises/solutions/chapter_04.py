"""Solutions of the exercises of chapter 4."""

import numpy as np


def conv(x, w, stride=1, dilation=1):
    """Exercise 4.1: convolution as a matrix product, with windows `stride` apart and taps `dilation` apart."""
    kh, kw, c, f = w.shape
    span = dilation * (kh - 1) + 1, dilation * (kw - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))
    windows = windows[:, ::stride, ::stride, :, ::dilation, ::dilation]                # (N, OH, OW, C, KH, KW)
    n, oh, ow = windows.shape[:3]
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * oh * ow, kh * kw * c)
    return (rows @ w.reshape(-1, f)).reshape(n, oh, ow, f)


def input_gradient(grad, w):
    """Exercise 4.2: the gradient of a convolution of stride 1 by x, as a convolution."""
    down, across = w.shape[0] - 1, w.shape[1] - 1
    padded = np.pad(grad, ((0, 0), (down, down), (across, across), (0, 0)))
    return conv(padded, w[::-1, ::-1].swapaxes(2, 3))


def winograd_matrices(m, r, points):
    """Exercise 4.3: BT (n, n), G (n, r) and AT (m, n) of F(m, r), n = m + r - 1, for n - 1 different points."""
    n = m + r - 1
    G, A = (np.vstack([np.vander(points, length, increasing=True), np.eye(length)[-1]]) for length in (r, m))
    equations = (A.T[:, None] * G.T).reshape(m * r, n)                                 # [i, j, e]
    wanted = (np.add.outer(np.arange(m), np.arange(r))[..., None] == np.arange(n)).reshape(m * r, n)
    BT = np.linalg.lstsq(equations, wanted.astype(float), rcond=None)[0]
    return BT, G, A.T
