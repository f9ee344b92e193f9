"""`minidl summary MODEL --input C,H,W`: the layers of a network, and what each costs."""

import argparse

from minidl.commands.draw import model_and_input
from minidl.flags import image_shape
from minidl.summary import summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a network of `minidl zoo`, such as lenet5, or a model "
                        "file")
    parser.add_argument("--input", type=image_shape, required=True, metavar="C,H,W",
                        help="channels, height and width of an image, such as 1,28,28")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    model, shape = model_and_input(args.model, args.input)
    print(summary(model, shape))
