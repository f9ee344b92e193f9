"""`minidl look IMAGE --model FILE -o DIR`: the filters of a network, what it makes of an image, and where it looks."""

from pathlib import Path

import numpy as np

from minidl import plot
from minidl.io import load_model
from minidl.io.image import Preprocessing


def run(args):
    """Write filters.png, maps.png and grad_cam.png."""
    model = load_model(args.model)
    try:
        preprocessing = Preprocessing.of(model.about)
    except ValueError as error:
        raise ValueError(f"{args.model}: {error}") from error
    x = preprocessing.read(args.image)
    first, _ = plot.inside.filters_of(model)
    pictures = {
        "filters.png": plot.filters(model),
        "maps.png": plot.feature_maps(model, x, args.layer or first),
        "grad_cam.png": seen(model, x, preprocessing, args.layer, args.target),
    }
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / name)
        print(folder / name)


def seen(model, x, preprocessing, layer, target):
    """Grad-CAM over the image as it was before its mean and deviation were taken out, and the name of the class."""
    mean, std = (np.reshape(numbers, (-1, 1, 1)) for numbers in (preprocessing.mean, preprocessing.std))
    pixels = (x * std + mean).clip(0, 1).transpose(1, 2, 0)
    return plot.grad_cam(model, x, layer, target, image=pixels.squeeze(), classes=model.about.get("classes", ()))
