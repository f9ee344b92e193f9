"""The command line: what can be typed after `minidl`. What each command does is told in its file in `commands/`.

A mistake of the user's ends in one sentence on stderr and the exit code 2, Ctrl-C in 130. MINIDL_TRACEBACK=1 lets every
error through, for whoever looks for a bug. The file of a command is imported when it runs, so that `minidl --help` is
quick.
"""

import argparse
import importlib
import json
import os
import signal
import sys

from minidl.device import DeviceError
from minidl.errors import sentence
from minidl.version import __version__


def main(argv=None):
    """Run one command; the exit code is the command's, or 2 after a mistake that can be told in a sentence."""
    args = parser().parse_args(argv)
    try:
        return importlib.import_module(f"minidl.commands.{args.command}").run(args) or 0
    except BrokenPipeError:                      # whoever read along has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (ValueError, DeviceError, OSError, MemoryError, KeyboardInterrupt) as error:
        if os.environ.get("MINIDL_TRACEBACK") == "1":
            raise
        stopped = isinstance(error, KeyboardInterrupt)
        print(f"minidl {args.command}: {'stopped' if stopped else sentence(error)}", file=sys.stderr)
        return 128 + signal.SIGINT if stopped else 2


def parser():
    """What can be typed."""
    top = argparse.ArgumentParser(prog="minidl", description="A small deep-learning engine.")
    top.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="versions, the processor and the GPU")
    add_summary(commands.add_parser("summary", help="the layers of a network and what they cost"))
    add_zoo(commands.add_parser("zoo", help="all networks: parameters, multiply-adds, images per second"))
    add_draw(commands.add_parser("draw", help="draw a network as a picture for the browser (SVG)"))
    add_look(commands.add_parser("look", help="a network's filters, what it makes of an image, and where it looks"))
    add_predict(commands.add_parser("predict", help="tell what is in images, with a model file"))
    add_convert(commands.add_parser("convert", help="make a model file of weights that others have published"))
    return top


def add_summary(command):
    command.add_argument("model", metavar="MODEL", help="such as lenet5")
    command.add_argument("--input", type=lengths, required=True, metavar="C,H,W",
                         help="channels, height and width of an image, such as 1,28,28")


def add_zoo(command):
    command.add_argument("names", nargs="*", metavar="NAME", help="these networks only")
    command.add_argument("--measure", action="store_true", help="also how many images per second they take in, here")
    command.add_argument("--device", default="cpu", help="where to measure: cpu, gpu or gpu:1 (cpu)")


def add_draw(command):
    command.add_argument("model", metavar="MODEL", help="such as resnet18, or a model file")
    command.add_argument("--input", type=lengths, metavar="C,H,W", help="the images; those it was made for by default")
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="such as resnet18.svg")
    command.add_argument("--unfold", action="store_true", help="draw blocks that are alike one by one")
    command.add_argument("--depth", type=int, metavar="N", help="how many levels of modules to open (all)")


def add_look(command):
    command.add_argument("image", metavar="IMAGE", help="a photograph")
    command.add_argument("--model", required=True, metavar="FILE", help="as for `minidl predict`")
    command.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder for the pictures")
    command.add_argument("--layer", metavar="NAME", help="the layer whose maps are shown and weighed "
                         "(the first for the maps, the last for Grad-CAM)")
    command.add_argument("--target", type=int, metavar="N", help="the number of the class to look for (the likeliest)")


def add_predict(command):
    command.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders, or patterns such as 'a/**/*.jpg'")
    command.add_argument("--model", required=True, metavar="FILE",
                         help="best.safetensors of a training run, or what `minidl convert` has made")
    command.add_argument("--top", type=whole, default=5, metavar="N", help="how many classes to tell (5)")
    command.add_argument("--device", default="cpu", help="cpu, gpu or gpu:1 (cpu)")
    command.add_argument("-b", "--batch-size", type=whole, default=32, metavar="N", help="images at once (32)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a list in JSON")
    form.add_argument("--csv", action="store_true", help="print a row for each class told")


def add_convert(command):
    command.add_argument("weights", metavar="WEIGHTS", help="a .pth, .pt, .npz or .safetensors file, or a published "
                         "name such as resnet50")
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file")
    command.add_argument("--model", metavar="NAME", help="the network, if the weights do not say: see `minidl zoo`")
    command.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", dest="settings",
                         help="a setting of the network, such as width=0.5")
    command.add_argument("--classes", metavar="FILE", help="the names of the classes, one in a line")
    command.add_argument("--input", type=lengths, metavar="C,H,W", help="the images that the network is for")
    command.add_argument("--resize", type=whole, metavar="N", help="of the shorter side, before the middle is cut out")
    command.add_argument("--mean", type=numbers, metavar="X,...", help="of each channel of pixels from 0 to 1")
    command.add_argument("--std", type=numbers, metavar="X,...", help="their standard deviations")


def lengths(text):
    """(1, 28, 28) from "1,28,28"."""
    try:
        shape = tuple(map(int, text.split(",")))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not three whole numbers of at least 1, such as 1,28,28")
    return shape


def numbers(text):
    """(0.5, 0.25) from "0.5,0.25"."""
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas between them") from None


def whole(text):
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def setting(text):
    """("width", 0.5) from "width=0.5"."""
    name, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as width=0.5 or tf_padding=true") from None
