"""`minidl draw MODEL -o FILE`: a network as a picture for the browser."""

import argparse
import os
from pathlib import Path

import zoo
from minidl.flags import image_shape, whole
from minidl.io import replacing
from minidl.io.checkpoint import existing
from minidl.nn import init
from minidl.plot import network
from minidl.text import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a network of `minidl zoo`, such as resnet18, or a model file")
    parser.add_argument("--input", type=image_shape, metavar="C,H,W",
                        help="the shape of an image (default: the one that the network was designed for)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the picture, such as resnet18.svg")
    parser.add_argument("--unfold", action="store_true", help="draw each of several identical blocks")
    parser.add_argument("--depth", type=whole(0), metavar="N", help="open N levels of nested modules (default: all)")


def run(args: argparse.Namespace) -> None:
    """Write the file."""
    path = Path(args.output)
    if path.suffix.lower() not in ("", ".svg", ".xml"):
        raise ValueError(f"{path}: drawings are SVG files; name it {path.with_suffix('.svg').name}")
    model, shape = model_and_input(args.model, args.input)
    if shape is None:
        raise ValueError(f"{args.model}: the file does not say what images the network takes; add --input C,H,W")
    text = network(model, shape, fold=not args.unfold, depth=args.depth)
    with replacing(args.output) as file:
        file.write(text.encode())
    write(args.output)


def model_and_input(name: str, shape: tuple[int, ...] | None):
    """A network of the zoo, or the model in a file, and the shape of its images, which may be None."""
    is_path = os.path.exists(name) or os.path.splitext(name)[1] or os.path.basename(name) != name
    if name not in zoo.names() and is_path:
        model = zoo.load(existing(name))
        return model, shape or model.about.get("input")
    size = zoo.image_size(name)
    with init.placeholders():
        model = zoo.build(name, {"in_channels": shape[0]} if shape else {})
    return model, shape or (model.architecture["settings"]["in_channels"], size, size)
