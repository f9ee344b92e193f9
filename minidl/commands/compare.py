"""`minidl compare RUN...`: several runs in one table, the settings in which they differ, and their curves as a PNG.

Folders without a run, or whose files are damaged, are named on stderr and left out; the exit code is then 1.
"""

import argparse
import sys

import zoo
from minidl.io.json_file import json_text
from minidl.report.compare import as_json, as_text, compare, draw_comparison
from minidl.text import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the folders of runs, finished or not, such as runs/*")
    parser.add_argument("-o", "--output", metavar="PNG", help="draw the curves over one another")
    parser.add_argument("--json", action="store_true", help="print a document in JSON, with all logs")


def run(args: argparse.Namespace) -> int:
    """Print the table; the exit code is 1 if a folder was left out."""
    if args.output is not None and not args.output.lower().endswith(".png"):
        raise ValueError(f"-o {args.output}: the picture is a PNG; give it a name that ends with .png")
    comparison = compare(args.runs, zoo.build)
    for reason in comparison.left_out:
        write(f"minidl compare: left out: {reason}", sys.stderr)
    if not comparison.runs:
        raise ValueError("there is no run to compare")
    write(json_text(as_json(comparison)) if args.json else as_text(comparison))
    if args.output is not None:
        draw_comparison(args.output, comparison.runs)
    return 1 if comparison.left_out else 0
