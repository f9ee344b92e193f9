"""`minidl export MODEL -o FILE`: a trained network as a file of ONNX, or, with --html, as a page for a browser."""

import argparse

import zoo
from minidl.commands.networks import add_from, model_and_input
from minidl.demo import page
from minidl.flags import whole
from minidl.io import export_onnx, replacing
from minidl.text import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, such as best.safetensors of a training run")
    add_from(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="the file of ONNX, such as model.onnx")
    parser.add_argument("--html", metavar="FILE", help="a page, such as demo.html, with a small network inside, which "
                        "runs in a browser without a connection")
    parser.add_argument("--opset", type=whole(), metavar="N",
                        help="the version of ONNX's operators (default: 17, which most programs understand)")
    parser.add_argument("--fold", action="store_true", help="fold batch norms into the convolutions before them")
    parser.add_argument("--input-size", type=height_and_width, metavar="HxW",
                        help="the size of an image, if it is to be another than the file says")
    parser.add_argument("--uint8", action="store_true",
                        help="take raw pixels, uint8 (N, H, W, C), and normalize them in the graph")


def run(args: argparse.Namespace) -> None:
    """Write the files."""
    if args.output is None and args.html is None:
        raise ValueError("give a file to write: -o model.onnx, or --html demo.html")
    model, shape = model_and_input(args.model, None, args.create)
    if args.model in zoo.names() and args.create is None:
        raise ValueError(f"{args.model}: a network of the zoo has no trained weights; give a model file")
    if args.input_size:
        channels = shape[0] if shape else channels_of(args.model, model)
        shape = (channels, *args.input_size)
    if shape is None:
        raise ValueError(f"{args.model}: the file does not say what images the network takes; add --input-size HxW")
    if args.output is not None:
        export_onnx(model, args.output, shape, opset=args.opset, fold=args.fold, uint8=args.uint8)
        write(args.output)
    if args.html is not None:
        text = page(model, {"input": shape})
        with replacing(args.html) as file:
            file.write(text.encode())
        write(args.html)


def channels_of(path: str, model) -> int:
    """The number of channels of a network's images."""
    settings = getattr(model, "architecture", {}).get("settings", {})
    if "in_channels" not in settings:
        raise ValueError(f"{path}: the file does not say how many channels an image has")
    return settings["in_channels"]


def height_and_width(text: str) -> tuple[int, int]:
    """(224, 224) from "224x224"."""
    height, times, width = text.partition("x")
    if not times:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a height and a width, such as 224x224")
    return whole()(height), whole()(width)
