"""Exercises of chapter 5: three layers, each with the gradient that you derive for it."""

from minidl.tensor import op


@op
def fair_max_pool(x, /):
    """The largest element of each 2 x 2 window.   (N, C, H, W) -> (N, C, H/2, W/2), with H and W even

    Its backward divides the gradient of a window equally among all elements that share the maximum: each of two gets
    half, each of four a quarter.
    """
    raise NotImplementedError("exercise 5.1: the maxima, and a backward that shares among equals")


@op
def smoothed_cross_entropy(logits, target, /, *, smoothing):
    """The mean over n examples of -sum over c of q[c] * log softmax(logits)[c].

    logits (n, C), target int (n,) -> a scalar;  q[c] = (1 - smoothing) * [c = target] + smoothing / C
    Return the loss, and a backward that returns one gradient, that of the logits. Logits may be as large as 1000.
    """
    raise NotImplementedError("exercise 5.2: the loss, by log-sum-exp, and its gradient")


@op
def layer_norm(x, weight, bias, /, *, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and var over the last axis of each example.

    x (N, D), weight and bias (D,)  ->  (N, D)
    """
    raise NotImplementedError("exercise 5.3: the output, and the gradients of x, weight and bias")
