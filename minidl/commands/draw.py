"""`minidl draw MODEL --input C,H,W -o x.svg`: a network as a picture for the browser."""

from pathlib import Path

import zoo
from minidl.io import load_model, replacing
from minidl.plot import network


def run(args):
    """Write the file."""
    shape = args.input
    if Path(args.model).is_file():
        model = load_model(args.model)
        shape = shape or model.about.get("input")
    else:
        size = zoo.image_size(args.model)
        model = zoo.create(args.model, **({"in_channels": shape[0]} if shape else {}))
        shape = shape or (model.architecture["settings"]["in_channels"], size, size)
    if shape is None:
        raise ValueError(f"{args.model}: it does not say which images it is for; --input C,H,W does")
    text = network(model, shape, fold=not args.unfold, depth=args.depth)
    with replacing(args.output) as file:
        file.write(text.encode())
    print(args.output)
