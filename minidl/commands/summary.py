"""`minidl summary MODEL --input C,H,W`: the layers of a network and what they cost."""

import zoo
from minidl.summary import summary


def run(args):
    """Print the table."""
    print(summary(zoo.create(args.model, in_channels=args.input[0]), args.input))
