"""`minidl draw MODEL -o FILE`: a network as a picture for the browser."""

import argparse
from pathlib import Path

from minidl.commands.networks import add_from, model_and_input
from minidl.flags import image_shape, whole
from minidl.io import replacing
from minidl.plot import network
from minidl.text import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?",
                        help="a network of `minidl zoo`, such as resnet18, or a model file")
    add_from(parser)
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
    model, shape = model_and_input(args.model, args.input, args.create)
    if shape is None:
        raise ValueError(f"{args.model or args.create}: it does not say what images the network takes; add --input "
                         "C,H,W")
    text = network(model, shape, fold=not args.unfold, depth=args.depth)
    with replacing(args.output) as file:
        file.write(text.encode())
    write(args.output)
