"""The backend `gpu` for tests that have NumPy arrays: each call puts them on the device of strict_array, and back."""

import functools

import numpy as np
import strict_array

from minidl.kernels import Arrays


class ThroughStrictArrays:
    """A package of kernels whose functions accept and return NumPy arrays; what a kernel writes in place comes back."""

    def __init__(self, kernels):
        self.kernels, self.__all__, self.__name__ = kernels, kernels.__all__, kernels.__name__

    def __getattr__(self, name):
        function = getattr(self.kernels, name)

        @functools.wraps(function)
        def called(*args, **kwargs):
            device_args, device_kwargs = [put(a) for a in args], {k: put(a) for k, a in kwargs.items()}
            result = function(*device_args, **device_kwargs)
            for host, device in zip(args, device_args, strict=True):
                bring_back(host, device)
            return got(result)
        return called


def put(x):
    """The NumPy arrays in x on the device, with their strides."""
    if isinstance(x, np.ndarray):
        return strict_array.asarray(x)
    return type(x)(map(put, x)) if type(x) in (list, Arrays) else x


def bring_back(host, device):
    """Copy what has changed on the device into the arrays of the host."""
    if isinstance(host, np.ndarray):
        if not np.array_equal(host, device.held, equal_nan=host.dtype.kind == "f"):
            host[...] = device.held
    elif type(host) in (list, Arrays):
        for h, d in zip(host, device, strict=True):
            bring_back(h, d)


def got(x):
    """The arrays in x as NumPy arrays, with their strides."""
    if isinstance(x, strict_array.ndarray):
        return x.held
    return type(x)(map(got, x)) if type(x) in (tuple, list) else x
