"""`minidl summary MODEL --input C,H,W`: the layers of a network, and what each costs."""

import argparse

import zoo
from minidl.flags import image_shape
from minidl.nn import init
from minidl.summary import summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a network of `minidl zoo`, such as lenet5")
    parser.add_argument("--input", type=image_shape, required=True, metavar="C,H,W",
                        help="channels, height and width of an image, such as 1,28,28")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    with init.placeholders():
        model = zoo.create(args.model, in_channels=args.input[0])
    print(summary(model, args.input))
