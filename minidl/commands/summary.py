"""`minidl summary MODEL --input C,H,W`: the layers of a network, and what each costs."""

import argparse

from minidl.commands.networks import add_from, model_and_input
from minidl.flags import image_shape
from minidl.summary import summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a network of `minidl zoo`, such as lenet5, or a "
                        "model file")
    add_from(parser)
    parser.add_argument("--input", type=image_shape, metavar="C,H,W", help="channels, height and width of an image, "
                        "such as 1,28,28 (default: those that the network was designed for, or that the file names)")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    model, shape = model_and_input(args.model, args.input, args.create)
    if shape is None:
        raise ValueError(f"{args.model or args.create}: it does not say what images the network takes; add --input "
                         "C,H,W")
    print(summary(model, shape))
