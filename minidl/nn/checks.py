"""What a network says about images that it cannot take, before a layer deep inside would say it less clearly."""


def check_input(model, x, channels, smallest=1, exactly=None):
    """Raise ValueError unless x is a batch of images (N, channels, H, W) of a size that `model` takes.

    smallest  the least height and width, in pixels
    exactly   the only height and width, for a network whose last layers know how many pixels are left
    """
    name = type(model).__name__
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"{name}: x must be images (N, {channels}, H, W), not {x.shape}; "
                         f"the number of channels is a setting: in_channels={channels}")
    h, w = x.shape[2:]
    if exactly is not None and (h, w) != (exactly, exactly):
        raise ValueError(f"{name}: images must be {exactly} x {exactly} pixels, not {h} x {w}")
    if min(h, w) < smallest:
        raise ValueError(f"{name}: images must be at least {smallest} x {smallest} pixels, not {h} x {w}")
