"""`minidl summary MODEL --input C,H,W`: the layers of a network, and what each costs."""

import argparse

import zoo
from minidl import kernels
from minidl.flags import image_shape
from minidl.summary import summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a network of `minidl zoo`, such as lenet5")
    parser.add_argument("--input", type=image_shape, required=True, metavar="C,H,W",
                        help="channels, height and width of an image, such as 1,28,28")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    model = zoo.create(args.model, in_channels=args.input[0])
    with kernels.using("plain"):                 # one image: array code is quicker than compiling
        print(summary(model, args.input))
