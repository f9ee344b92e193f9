"""`minidl draw MODEL -o FILE`: a network as a picture for the browser."""

import argparse
from pathlib import Path

import zoo
from minidl.flags import image_shape
from minidl.io import replacing
from minidl.nn import init
from minidl.plot import network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a network of `minidl zoo`, such as resnet18, or a model file")
    parser.add_argument("--input", type=image_shape, metavar="C,H,W",
                        help="the shape of an image (default: the one that the network was designed for)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the picture, such as resnet18.svg")
    parser.add_argument("--unfold", action="store_true", help="draw each of several identical blocks")
    parser.add_argument("--depth", type=int, metavar="N", help="open N levels of nested modules (default: all)")


def run(args: argparse.Namespace) -> None:
    """Write the file."""
    shape = args.input
    if Path(args.model).is_file():
        model = zoo.load(args.model)
        shape = shape or model.about.get("input")
    else:
        size = zoo.image_size(args.model)
        with init.placeholders():
            model = zoo.create(args.model, **({"in_channels": shape[0]} if shape else {}))
        shape = shape or (model.architecture["settings"]["in_channels"], size, size)
    if shape is None:
        raise ValueError(f"{args.model}: the file does not say what images the network takes; add --input C,H,W")
    text = network(model, shape, fold=not args.unfold, depth=args.depth)
    with replacing(args.output) as file:
        file.write(text.encode())
    print(args.output)
