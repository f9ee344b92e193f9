"""Naive reference implementations of the heavy operations, with which the kernels are compared.

Each function writes its definition as loops over positions, to be obviously correct rather than fast. They share no
code with the engine and take NumPy arrays, and settings as PyTorch does (one number, or a pair).
"""

import itertools
import math

import numpy as np


def pair(value):
    """(vertical, horizontal)"""
    return value if isinstance(value, tuple) else (value, value)


def pads(padding, kernel, dilation):
    """((top, bottom), (left, right)) from a number, a pair, "same", "valid", or pairs of pairs."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":                            # what is missing; an odd pixel goes to the end
        missing = [d * (k - 1) for k, d in zip(kernel, pair(dilation), strict=True)]
        return tuple((m // 2, m - m // 2) for m in missing)
    return tuple(p if isinstance(p, tuple) else (p, p) for p in pair(padding))


def places(size, kernel, stride, padding, dilation):
    """(OH, OW), and all (y, x, i, j, row, column): window y, x covers the pixel (row, column) at its position i, j.

    Pixels of the padding are omitted.
    """
    stride, dilation = pair(stride), pair(dilation)
    both = pads(padding, kernel, dilation)
    corners = [                                      # the rows and the columns at which windows begin
        range(-before, n + after - d * (k - 1), s)
        for n, k, s, d, (before, after) in zip(size, kernel, stride, dilation, both, strict=True)
    ]
    seen = []
    for (y, top), (x, left) in itertools.product(*map(enumerate, corners)):
        for i, j in itertools.product(*map(range, kernel)):
            row, column = top + i * dilation[0], left + j * dilation[1]
            if 0 <= row < size[0] and 0 <= column < size[1]:
                seen.append((y, x, i, j, row, column))
    return tuple(map(len, corners)), seen


def by_group(channels, filters, groups):
    """For each group, its input channels and its filters."""
    c, f = channels // groups, filters // groups
    return [(slice(g * c, (g + 1) * c), slice(g * f, (g + 1) * f)) for g in range(groups)]


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,)  ->  (N, F, OH, OW)"""
    size, seen = places(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    out = np.zeros((len(x), len(weight), *size), x.dtype)
    for y, z, i, j, row, column in seen:
        for c, f in by_group(x.shape[1], len(weight), groups):
            out[:, f, y, z] += x[:, c, row, column] @ weight[f, :, i, j].T
    return out if bias is None else out + bias[:, None, None]


def conv2d_input_gradient(grad, weight, shape, stride=1, padding=0, dilation=1, groups=1):
    """grad (N, F, OH, OW), weight (F, C/groups, KH, KW)  ->  (N, C, H, W) = shape"""
    dx = np.zeros(shape, grad.dtype)
    for y, z, i, j, row, column in places(shape[2:], weight.shape[2:], stride, padding, dilation)[1]:
        for c, f in by_group(shape[1], len(weight), groups):
            dx[:, c, row, column] += grad[:, f, y, z] @ weight[f, :, i, j]
    return dx


def conv2d_weight_gradient(grad, x, shape, stride=1, padding=0, dilation=1, groups=1):
    """grad (N, F, OH, OW), x (N, C, H, W)  ->  (F, C/groups, KH, KW) = shape"""
    dweight = np.zeros(shape, grad.dtype)
    for y, z, i, j, row, column in places(x.shape[2:], shape[2:], stride, padding, dilation)[1]:
        for c, f in by_group(x.shape[1], len(dweight), groups):
            dweight[f, :, i, j] += grad[:, f, y, z].T @ x[:, c, row, column]
    return dweight


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    """x (N, C, H, W)  ->  the maxima (N, C, OH, OW), and the first position i * KW + j of each in its window"""
    kernel = pair(kernel_size)
    size, seen = places(x.shape[2:], kernel, stride or kernel, padding, dilation)
    out, place = np.full((*x.shape[:2], *size), -np.inf, x.dtype), np.zeros((*x.shape[:2], *size), int)
    for y, z, i, j, row, column in seen:
        for n, c in np.ndindex(x.shape[:2]):
            value, best = x[n, c, row, column], out[n, c, y, z]
            if value > best or (math.isnan(value) and not math.isnan(best)):
                out[n, c, y, z], place[n, c, y, z] = value, i * kernel[1] + j
    return out, place


def max_pool2d_gradient(grad, place, shape, kernel_size, stride=None, padding=0, dilation=1):
    """grad, place (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    kernel, dx = pair(kernel_size), np.zeros(shape, grad.dtype)
    for y, z, i, j, row, column in places(shape[2:], kernel, stride or kernel, padding, dilation)[1]:
        dx[:, :, row, column] += np.where(place[:, :, y, z] == i * kernel[1] + j, grad[:, :, y, z], 0)
    return dx


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """x (N, C, H, W)  ->  (N, C, OH, OW)"""
    kernel = pair(kernel_size)
    size, seen = places(x.shape[2:], kernel, stride or kernel, padding, 1)
    out = np.zeros((*x.shape[:2], *size), x.dtype)
    for y, z, _, _, row, column in seen:
        out[:, :, y, z] += x[:, :, row, column] / math.prod(kernel)
    return out


def avg_pool2d_gradient(grad, shape, kernel_size, stride=None, padding=0):
    """grad (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    kernel, dx = pair(kernel_size), np.zeros(shape, grad.dtype)
    for y, z, _, _, row, column in places(shape[2:], kernel, stride or kernel, padding, 1)[1]:
        dx[:, :, row, column] += grad[:, :, y, z] / math.prod(kernel)
    return dx


def adaptive_avg_pool2d(x, size):
    """x (N, C, H, W)  ->  (N, C, OH, OW), size = (OH, OW)"""
    (h, w), (oh, ow) = x.shape[2:], size
    out = np.zeros((*x.shape[:2], oh, ow), x.dtype)
    for y, z in np.ndindex(oh, ow):
        rows = slice(math.floor(y * h / oh), math.ceil((y + 1) * h / oh))
        columns = slice(math.floor(z * w / ow), math.ceil((z + 1) * w / ow))
        out[:, :, y, z] = x[:, :, rows, columns].mean((2, 3))
    return out


def batch_norm(x, weight, bias, mean, var, eps):
    """x (N, C, ...), the others (C,); None for mean and var: those of x  ->  the shape of x"""
    out = np.empty_like(x)
    for c in range(x.shape[1]):
        channel = x[:, c]
        m = channel.mean() if mean is None else mean[c]
        v = ((channel - m) ** 2).mean() if var is None else var[c]
        out[:, c] = (channel - m) / math.sqrt(v + eps) * weight[c] + bias[c]
    return out


def standardized(values, eps):
    """(values - mean) / sqrt(var + eps) of an array of any shape, with the moments of the whole array"""
    mean = values.sum() / values.size
    return (values - mean) / math.sqrt(((values - mean) ** 2).sum() / values.size + eps)


def local_response_norm(x, size, alpha, beta, k):
    """x (N, C, H, W)  ->  the same"""
    out = np.empty_like(x)
    for n, c, y, z in np.ndindex(x.shape):
        window = range(max(0, c - size // 2), min(x.shape[1], c + (size - 1) // 2 + 1))
        total = sum(x[n, d, y, z] ** 2 for d in window)
        out[n, c, y, z] = x[n, c, y, z] / (k + alpha / size * total) ** beta
    return out


def cross_entropy(logits, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """logits (N, C, ...), target (N, ...)  ->  the target's shape, or ()"""
    classes = logits.shape[1]
    weight = np.ones(classes) if weight is None else weight
    losses, total = np.zeros(target.shape), 0.0
    for place in np.ndindex(target.shape):
        true_class = target[place]
        if true_class == ignore_index:
            continue
        scores = [math.exp(logits[place[0], c, *place[1:]]) for c in range(classes)]
        for c in range(classes):
            probability = (1 - label_smoothing) * (c == true_class) + label_smoothing / classes
            losses[place] -= probability * weight[c] * math.log(scores[c] / sum(scores))
        total += weight[true_class]
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total if total else math.nan}[reduction]


def binary_cross_entropy_with_logits(x, target, weight, pos_weight):
    """All of the same shape  ->  that shape"""
    losses = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        p, t = 1 / (1 + math.exp(-x[place])), target[place]
        losses[place] = -weight[place] * (pos_weight[place] * t * math.log(p) + (1 - t) * math.log(1 - p))
    return losses


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """x (N, C, H, W), weight (C, F/groups, KH, KW), bias (F,)  ->  (N, F, OH, OW)"""
    (sh, sw), (dh, dw), (kh, kw) = pair(stride), pair(dilation), weight.shape[2:]
    h, w = x.shape[2:]
    canvas = np.zeros((len(x), weight.shape[1] * groups, (h - 1) * sh + dh * (kh - 1) + 1 + pair(output_padding)[0],
                       (w - 1) * sw + dw * (kw - 1) + 1 + pair(output_padding)[1]), x.dtype)
    for row, column, i, j in itertools.product(range(h), range(w), range(kh), range(kw)):
        for f, c in by_group(canvas.shape[1], len(weight), groups):
            canvas[:, f, row * sh + i * dh, column * sw + j * dw] += x[:, c, row, column] @ weight[c, :, i, j]
    (top, left), (oh, ow) = pair(padding), canvas.shape[2:]
    out = canvas[:, :, top:oh - top, left:ow - left]
    return out if bias is None else out + bias[:, None, None]


def resample(x, rows, columns):
    """x (N, C, H, W), rows and columns (index, weight) of shapes (OH, taps) and (OW, taps)  ->  (N, C, OH, OW)"""
    out = np.zeros((*x.shape[:2], len(rows[0]), len(columns[0])), x.dtype)
    for y, z in np.ndindex(out.shape[2:]):
        for (i, v), (j, w) in itertools.product(zip(rows[0][y], rows[1][y], strict=True),
                                                zip(columns[0][z], columns[1][z], strict=True)):
            if v * w != 0:
                out[:, :, y, z] += v * w * x[:, :, i, j]
    return out


def interpolate(x, size, steps, mode, align_corners=False):
    """x (N, C, H, W)  ->  (N, C, OH, OW), size = (OH, OW); output pixels are `steps` input pixels apart"""
    out = np.zeros((*x.shape[:2], *size), x.dtype)
    for place in np.ndindex(*size):
        weights = []                                  # of the rows and the columns
        for o, n, m, step in zip(place, x.shape[2:], size, steps, strict=True):
            if mode == "nearest":
                weights.append(np.arange(n) == min(math.floor(o * step), n - 1))
                continue
            at = o * (n - 1) / max(1, m - 1) if align_corners else max(0, (o + 0.5) * step - 0.5)
            weights.append(np.maximum(0, 1 - abs(np.arange(n) - min(at, n - 1))))
        out[:, :, place[0], place[1]] = np.einsum("nchw,h,w->nc", x, *weights)
    return out
