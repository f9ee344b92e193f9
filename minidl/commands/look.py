"""`minidl look IMAGE --model FILE -o DIR`: a network's filters, its feature maps of an image, and Grad-CAM."""

import argparse
import errno
import os

import numpy as np

import zoo
from minidl import plot
from minidl.commands.networks import add_from
from minidl.flags import whole
from minidl.io.checks import as_path
from minidl.io.image import Preprocessing
from minidl.text import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a photograph")
    parser.add_argument("--model", required=True, metavar="FILE", help="a model file, as for `minidl predict`")
    add_from(parser)
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder for the pictures")
    parser.add_argument("--layer", metavar="NAME", help="the layer to show (default: the first convolution for the "
                        "feature maps, the last for Grad-CAM)")
    parser.add_argument("--target", type=whole(0), metavar="N",
                        help="the index of the class to explain (default: the predicted class)")


def run(args: argparse.Namespace) -> None:
    """Write filters.png, maps.png and grad_cam.png."""
    model = zoo.load(args.model, create=args.create)
    preprocessing = Preprocessing.of_model(args.model, model)
    if os.path.isdir(args.image):
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a photograph", args.image)
    x = preprocessing.read(args.image)
    first, _ = plot.inside.filters_of(model)
    pictures = {
        "filters.png": plot.filters(model),
        "maps.png": plot.feature_maps(model, x, args.layer or first),
        "grad_cam.png": grad_cam(model, x, preprocessing, args.layer, args.target),
    }
    folder = as_path("look", args.output)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(errno.EEXIST, "this is a file, not a folder for pictures", args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / name)
        write(str(folder / name))


def grad_cam(model, x, preprocessing, layer, target):
    """Grad-CAM over the image with its original colours, titled with the name of the class."""
    mean, std = (np.reshape(values, (-1, 1, 1)) for values in (preprocessing.mean, preprocessing.std))
    pixels = (x * std + mean).clip(0, 1).transpose(1, 2, 0)
    return plot.grad_cam(model, x, layer, target, image=pixels.squeeze(), classes=model.about.get("classes", ()))
