"""The folder of a run: what it contains, and how it is chosen.

Without --output-dir a run takes the first free name: `runs/lenet_mnist`, then `runs/lenet_mnist-2` and so on, so that
repeating a command never overwrites an earlier run. A folder holds a run as soon as it contains `last.safetensors`.
"""

import itertools
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from minidl.io.atomic import sweep
from minidl.io.json_file import write_json
from minidl.version import __version__

LAST, BEST = "last.safetensors", "best.safetensors"
FILES = ("args.json", "log.csv", "curves.png", "report.html", "report.txt", "metrics.json", "confusion.png")


class RunError(ValueError):
    """A run cannot be started or resumed as requested; the message says what to do instead."""


@dataclass(frozen=True)
class RunFolder:
    """A folder and the names of the files in it."""

    path: Path

    last = property(lambda self: self.path / LAST)
    best = property(lambda self: self.path / BEST)
    holds_run = property(lambda self: self.last.is_file())

    def prepare(self, recipe: dict[str, Any], data: dict[str, Any]) -> None:
        """Create the folder if necessary, check that it is writable, and record the command in `args.json`.

        data   facts about the training images
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(error.errno, f"cannot make the output folder {self.path}: {error.strerror}") from error
        sweep(self.path)
        if not self.holds_run:
            self.describe(recipe, data)

    def describe(self, recipe: dict[str, Any], data: dict[str, Any]) -> None:
        """Write `args.json`."""
        write_json(self.path / "args.json", {
            "recipe": recipe,
            "data": data,
            "command": sys.argv,
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            "versions": {"minidl": __version__, "numpy": np.__version__, "python": sys.version.split()[0]},
        })

    def clear(self) -> None:
        """Delete the files of the run in the folder, and nothing else. The checkpoint goes last."""
        if self.holds_run:
            for name in (*FILES, BEST, LAST):
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.path / "tensorboard", ignore_errors=True)


def choose_folder(name: str, output_dir: str | Path | None = None,
                  resume: str | Path | None = None, overwrite: bool = False) -> tuple[Path, bool]:
    """The folder for a command, and whether the command resumes the run in it.   ->  (Path, bool)

    output_dir  a folder chosen by the user, or None for runs/<name>, runs/<name>-2, ...
    resume      None starts a run; the folder of a run, or its last.safetensors, resumes that run; "auto" resumes the
                run in `output_dir`, or the newest one of this name, and starts a run if there is none
    overwrite   whether a run in `output_dir` may be replaced
    """
    if overwrite and (resume is not None or output_dir is None):
        raise RunError("--overwrite replaces the run in the folder that --output-dir names"
                       + (", and --resume continues it; leave out one of them" if resume is not None else ""))
    if resume not in (None, "auto"):
        folder = run_folder_at(Path(resume))
        if output_dir is not None and Path(output_dir).resolve() != folder.resolve():
            raise RunError(f"--resume {resume} continues in {folder}; leave out --output-dir {output_dir}")
        return folder, True
    if output_dir is not None:
        chosen = RunFolder(Path(output_dir))
        if chosen.holds_run and resume is None and not overwrite:
            raise RunError(f"{chosen.path} already holds a run; resume it with --resume auto, replace it with "
                           "--overwrite, or name another --output-dir")
        return chosen.path, chosen.holds_run and not overwrite
    newest = newest_run(name) if resume == "auto" else None
    return (newest, True) if newest else (next(path for path in numbered(name) if not path.exists()), False)


def run_folder_at(path: Path) -> Path:
    """The folder of the run that `--resume path` refers to."""
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not RunFolder(path).holds_run:
        raise RunError(f"--resume {path}: there is no {LAST} in this folder")
    if not path.exists():
        raise RunError(f"--resume {path}: there is no such file or folder")
    if path.is_file() and path.name != LAST:
        raise RunError(f"--resume {path}: a run is resumed from its folder or its {LAST} only")
    return folder


def newest_run(name: str) -> Path | None:
    """The folder runs/<name>[-N] with the largest N that holds a run; None if there is none."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = [(int(match[1] or 1), path) for path in Path("runs").glob(f"{name}*")
             if (match := pattern.fullmatch(path.name)) and RunFolder(path).holds_run]
    return max(found)[1] if found else None


def numbered(name: str) -> Iterator[Path]:
    """runs/<name>, runs/<name>-2, runs/<name>-3, ..."""
    yield Path("runs", name)
    yield from (Path("runs", f"{name}-{number}") for number in itertools.count(2))
