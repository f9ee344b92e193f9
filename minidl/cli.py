"""The command `minidl`: a table of its subcommands, each a file in `commands/`.

Only the file of the chosen command is imported, so that `minidl --help` answers quickly. `errors.py` lists the exit
codes.
"""

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence

from minidl import errors
from minidl.version import __version__

PRINTING = {"info", "zoo", "summary", "data", "evaluate", "compare", "predict"}   # commands that print their results
COMMANDS = {
    "info": "print versions, the processor and the GPU",
    "zoo": "list all networks with their parameters and multiply-adds",
    "summary": "list the layers of a network and what each costs",
    "draw": "draw a network as a picture (SVG)",
    "look": "show a network's filters, its feature maps of an image, and Grad-CAM",
    "data": "count, measure and show the images of a data set, and find duplicates",
    "train": "train a network on a data set, or on folders of photographs",
    "evaluate": "measure how good a model is on images with known classes",
    "compare": "compare finished or running runs: table, settings, curves",
    "predict": "classify images with a model file",
    "serve": "answer requests over HTTP, with a page to try a network in a browser",
    "convert": "make a model file from published weights",
    "export": "write a trained network as a file of ONNX",
    "compile": "compile the CPU kernels of networks ahead of time",
    "tour": "write the chapters of the tour as notebooks",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    name = next((word for word in argv if word in COMMANDS), "")
    args = parser(name).parse_args(argv)
    return errors.run(lambda: run(args), f"minidl {args.command}") or 0


def run(args: argparse.Namespace) -> int | None:
    """Run the chosen command, unless nobody could see what it prints."""
    if sys.stdout is None and args.command in PRINTING:
        raise OSError(errno.EBADF, "stdout is closed, so the result cannot be printed")
    return command(args.command).run(args)


def parser(chosen: str = "") -> argparse.ArgumentParser:
    """The parser of all commands; only the chosen one has its own arguments."""
    top = argparse.ArgumentParser(prog="minidl", description="A small deep-learning engine.",
                                  epilog="`minidl COMMAND --help` lists a command's arguments. "
                                         "Example: minidl summary lenet5 --input 1,28,28")
    top.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == chosen:
            command(name).add_arguments(sub)
    return top


def command(name: str):
    """The module of a command, with its `add_arguments(parser)` and `run(args)`."""
    return importlib.import_module(f"minidl.commands.{name}")
