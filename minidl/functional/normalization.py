"""Normalization: each channel brought to mean 0 and variance 1, then scaled and shifted as training wishes."""

from minidl.functional.linear import check_dtypes
from minidl.functional.pooling import check_images
from minidl.kernels import kernels_for
from minidl.tensor import op


@op
def batch_norm(x, weight, bias, add=None, /, *, mean=None, var=None, training=True, eps=1e-5, relu=False):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel, + add; no less than 0 if `relu`.

    x (N, C, H, W) or (N, C); weight, bias (C,) or None for ones and zeros; add like x, or None  ->  the shape of x
    `add`, the shortcut of a residual block, and `relu` are what PyTorch's function has not: they come in the same pass
    over memory, and the result is that of relu(batch_norm(x, weight, bias) + add).
    In training `mean` and `var` are the moments of this batch, computed here unless given, and the gradient takes
    into account that they depend on x; otherwise they are constants that must be given, such as running statistics.
    Unlike PyTorch's, this function changes nothing: the layer keeps the running statistics.
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    check_images("batch_norm", images)
    check_dtypes("batch_norm", x, weight, bias, add, mean, var)
    if add is not None and add.shape != x.shape:
        raise ValueError(f"batch_norm: add {add.shape} must have the shape of x, {x.shape}")
    for name, v in (("weight", weight), ("bias", bias), ("mean", mean), ("var", var)):
        if v is not None and v.shape != images.shape[1:2]:
            raise ValueError(f"batch_norm: {name} {v.shape} must be ({images.shape[1]},), "
                             f"one number per channel of x {x.shape}")
    if not training and (mean is None or var is None):
        raise ValueError("batch_norm: training=False needs mean and var")
    if training:
        check_several(images)
    kernels, eps = kernels_for(x), float(eps)
    if mean is None or var is None:
        mean, var = kernels.channel_moments(images)
    scale = (mean * 0 + 1) if weight is None else weight
    shift = (mean * 0) if bias is None else bias

    shortcut, adds = None if add is None else add.reshape(images.shape), add is not None
    out = kernels.batch_norm(images, scale, shift, shortcut, mean, var, eps, relu)
    rectified = out if relu else None                        # without ReLU, `out` is not needed again

    def backward(grad):
        dx, dweight, dbias, dadd = kernels.batch_norm_gradient(
            grad.reshape(images.shape), rectified, images, scale, mean, var, eps, training, adds)
        return dx.reshape(x.shape), dweight, dbias, dadd.reshape(x.shape) if adds else None
    return out.reshape(x.shape), backward


def channel_moments(x):
    """Mean and biased variance of each channel of the array x, the moments that training normalizes by.

    x (N, C, H, W) or (N, C)  ->  (C,), (C,)
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    check_images("channel_moments", images)
    check_several(images)
    return kernels_for(x).channel_moments(images)


def check_several(x):
    """Raise ValueError unless every channel of the images x has a variance to speak of."""
    count = len(x) * x.shape[2] * x.shape[3]
    if count < 2:
        raise ValueError(f"batch_norm: x {x.shape} has {count} values per channel; training needs at least two")
