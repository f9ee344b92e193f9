"""Exercises of chapter 4: strides and gaps, the gradient as a convolution, your own Winograd."""


def conv(x, w, stride=1, dilation=1):
    """Exercise 4.1: convolution as a matrix product, with windows `stride` apart and taps `dilation` apart.

    out[n, oy, ox, f] = sum over ky, kx, c of
                        x[n, oy*stride + ky*dilation, ox*stride + kx*dilation, c] * w[ky, kx, c, f]

    x (N, H, W, C), w (KH, KW, C, F)  ->  (N, OH, OW, F), as many windows as fit into x. A window spans
    dilation * (KH - 1) + 1 rows. `numpy.lib.stride_tricks.sliding_window_view` takes windows of that span; of each,
    only every `dilation`-th row and column counts. Use no loop over pixels.
    """
    raise NotImplementedError("exercise 4.1: im2col with stride and dilation, and one product")


def input_gradient(grad, w):
    """Exercise 4.2: the gradient of x, in a convolution of stride 1, as a convolution.

    grad (N, OH, OW, F), w (KH, KW, C, F)  ->  (N, OH + KH - 1, OW + KW - 1, C)

    Pixel (iy, ix) of x contributes to output (iy - ky, ix - kx) through the tap (ky, kx). So its gradient is a sum over
    taps, like an output; but as ky grows, the place in `grad` moves the other way. Turn the filters by 180 degrees, let
    channels and filters change places, put a border of zeros around `grad`, and call `conv`.
    """
    raise NotImplementedError("exercise 4.2: pad the gradient, turn the filters, call conv")


def winograd_matrices(m, r, points):
    """Exercise 4.3: BT (n, n), G (n, r) and AT (m, n) of F(m, r), n = m + r - 1, for n - 1 different points.

    They are to satisfy  AT @ ((G @ g) * (BT @ d)) = numpy.correlate(d, g)  for all d (n,) and g (r,).

    Row e of G evaluates the polynomial with the coefficients g at point p: it is 1, p, p**2, ... The last row is for
    infinity, where the value of a polynomial is its leading coefficient: 0, ..., 0, 1. Column e of AT holds 1, p, p**2,
    ..., m of them, and its last column is 0, ..., 0, 1. That leaves BT, which follows from the condition: for each i, j
    and k, the coefficient of g[j] * d[k] in output i is

        sum over e of AT[i, e] * G[e, j] * BT[e, k]   =   1 if k == i + j, else 0

    For each k these are m * r linear equations for column k of BT. They have a solution, since the points differ;
    `numpy.linalg.lstsq` finds it, for all k at once. (minidl's matrices are these, with common factors moved from BT
    to G, so that BT has small integers.)
    """
    raise NotImplementedError("exercise 4.3: G and AT from powers of the points, BT from linear equations")
