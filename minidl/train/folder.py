"""The folder that a run writes into, and which folder that is.

Without --output-dir a run takes the first name that is free: `runs/lenet_mnist`, then `runs/lenet_mnist-2` and so on,
so that the same command can be given again and never writes over an earlier run. A folder holds a run as soon as there
is a `last.safetensors` in it.
"""

import itertools
import json
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from minidl.io import replacing
from minidl.io.atomic import sweep
from minidl.version import __version__

LAST, BEST = "last.safetensors", "best.safetensors"


class RunError(ValueError):
    """A run cannot be started or resumed as it was asked for; the message says what to do instead."""


@dataclass(frozen=True)
class RunFolder:
    """A folder and the names of what is in it."""

    path: Path

    last = property(lambda self: self.path / LAST)
    best = property(lambda self: self.path / BEST)
    log = property(lambda self: self.path / "log.csv")
    curves = property(lambda self: self.path / "curves.png")
    report = property(lambda self: self.path / "report.txt")
    confusion = property(lambda self: self.path / "confusion.png")
    holds_run = property(lambda self: self.last.is_file())

    def prepare(self, recipe):
        """Make the folder if need be, prove that it can be written to, and note in `args.json` what was asked for."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(error.errno, f"cannot make the output folder {self.path}: {error.strerror}") from error
        sweep(self.path)
        if not self.holds_run:
            self.write_json("args.json", {
                "recipe": recipe,
                "command": sys.argv,
                "date": datetime.now().astimezone().isoformat(timespec="seconds"),
                "versions": {"minidl": __version__, "numpy": np.__version__, "python": sys.version.split()[0]},
            })

    def write_json(self, name, value):
        """Write `value` as a JSON file of that name; what JSON does not know, such as a Path, as a string."""
        with replacing(self.path / name) as file:
            file.write(json.dumps(value, indent=1, default=str).encode() + b"\n")


def choose_folder(name, output_dir=None, resume=None):
    """Where a command shall write, and whether it goes on with the run there.   ->  (Path, bool)

    output_dir  a folder of the user's choice, or None for runs/<name>, runs/<name>-2, ...
    resume      None starts a run; a run's folder, or its last.safetensors, goes on with that; "auto" goes on with the
                run in `output_dir`, or the newest of this name, and starts one if there is none
    """
    if resume not in (None, "auto"):
        folder = run_folder_at(Path(resume))
        if output_dir is not None and Path(output_dir).resolve() != folder.resolve():
            raise RunError(f"--resume {resume} goes on in {folder}; leave out --output-dir {output_dir}")
        return folder, True
    if output_dir is not None:
        folder = RunFolder(Path(output_dir))
        if folder.holds_run and resume is None:
            raise RunError(f"{folder.path} holds a run already; go on with it by --resume auto, "
                           "or name another --output-dir")
        return folder.path, folder.holds_run
    newest = newest_run(name) if resume == "auto" else None
    return (newest, True) if newest else (next(path for path in numbered(name) if not path.exists()), False)


def run_folder_at(path):
    """The folder of the run that `--resume path` means."""
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not RunFolder(path).holds_run:
        raise RunError(f"--resume {path}: there is no {LAST} in this folder")
    if not path.exists():
        raise RunError(f"--resume {path}: there is no such file or folder")
    if path.is_file() and path.name != LAST:
        raise RunError(f"--resume {path}: only a {LAST}, or its folder, holds all that going on takes")
    return folder


def newest_run(name):
    """The folder runs/<name>[-N] of the largest N that holds a run; None if there is none."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = [(int(match[1] or 1), path) for path in Path("runs").glob(f"{name}*")
             if (match := pattern.fullmatch(path.name)) and RunFolder(path).holds_run]
    return max(found)[1] if found else None


def numbered(name):
    """runs/<name>, runs/<name>-2, runs/<name>-3, ..."""
    yield Path("runs", name)
    yield from (Path("runs", f"{name}-{number}") for number in itertools.count(2))
