"""Normalization: each channel brought to mean 0 and variance 1, then scaled and shifted as training wishes."""

from minidl.functional.linear import check_dtypes
from minidl.functional.pooling import check_images
from minidl.kernels import kernels_for
from minidl.tensor import op


@op
def batch_norm(x, weight, bias, /, *, mean=None, var=None, training=True, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel.

    x (N, C, H, W) or (N, C); weight, bias (C,) or None for ones and zeros  ->  the shape of x
    In training `mean` and `var` are the moments of this batch, computed here unless given, and the gradient takes
    into account that they depend on x; otherwise they are constants that must be given, such as running statistics.
    Unlike PyTorch's, this function changes nothing: the layer keeps the running statistics.
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    check_images("batch_norm", images)
    check_dtypes("batch_norm", x, weight, bias, mean, var)
    for name, v in (("weight", weight), ("bias", bias), ("mean", mean), ("var", var)):
        if v is not None and v.shape != images.shape[1:2]:
            raise ValueError(f"batch_norm: {name} {v.shape} must be ({images.shape[1]},), "
                             f"one number per channel of x {x.shape}")
    if not training and (mean is None or var is None):
        raise ValueError("batch_norm: training=False needs mean and var")
    if training and images.size // max(1, images.shape[1]) < 2:
        raise ValueError(f"batch_norm: x {x.shape} has one value per channel; training needs at least two")
    kernels, eps = kernels_for(x), float(eps)
    if mean is None or var is None:
        mean, var = kernels.channel_moments(images)
    scale = (mean * 0 + 1) if weight is None else weight
    shift = (mean * 0) if bias is None else bias

    def backward(grad):
        dx, dweight, dbias = kernels.batch_norm_gradient(
            grad.reshape(images.shape), images, scale, mean, var, eps, training)
        return dx.reshape(x.shape), dweight, dbias
    return kernels.batch_norm(images, scale, shift, mean, var, eps).reshape(x.shape), backward


def channel_moments(x):
    """Mean and biased variance of each channel of the array x, the moments that training normalizes by.

    x (N, C, H, W) or (N, C)  ->  (C,), (C,)
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    check_images("channel_moments", images)
    return kernels_for(x).channel_moments(images)
