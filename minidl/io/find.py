"""The photographs that a user names: files, folders, and patterns such as "photos/**/*.jpg".

Each photograph is found once, however many links lead to it, and links to folders are not followed except where they
are named. What is hidden, or what systems leave in folders, is left alone. A folder that cannot be read is reported,
and the others are searched.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from minidl.io.image import SUFFIXES

LITTER = {"__MACOSX", "@eaDir", "$RECYCLE.BIN"}  # folders of previews and of deleted files
MAGIC = re.compile(r"[*?\[]")


class Photograph(NamedTuple):
    """The path of a file, or of what cannot be reached, with the reason."""

    path: str
    error: str = ""


def photographs(arguments: Iterable[str]) -> list[Photograph]:
    """The files that the arguments name: a file itself, the images in and below a folder, or the matches of a pattern.

    An argument without any file stays in the list, and fails when it is read.
    """
    return [photograph for argument in arguments for photograph in Search().photographs(argument)]


class Search:
    """The search for one argument; it collects the folders that cannot be read in `unreadable`."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}
        self.folders: dict[str, str] = {}        # the real paths of folders

    def photographs(self, argument: str) -> list[Photograph]:
        """The photographs of one argument, sorted."""
        if argument and os.path.isdir(argument):
            found = self.once(self.below("" if argument == os.curdir else argument))
        elif os.path.lexists(argument) or not MAGIC.search(argument):
            found = [argument]
        else:
            found = self.once(self.matches(argument))
        lost = [Photograph(path, reason) for path, reason in self.unreadable.items()]
        return [*map(Photograph, found), *lost] or [Photograph(argument)]

    def entries(self, folder: str) -> list[os.DirEntry]:
        """What is in a folder; nothing if it cannot be read."""
        try:
            with os.scandir(folder or os.curdir) as entries:
                return list(entries)
        except OSError as error:
            self.unreadable[folder] = error.strerror or str(error)
            return []

    def trees(self, folders: Iterable[str]) -> Iterator[str]:
        """Folders and the visible folders below them, each once, without following links."""
        waiting, seen = list(folders)[::-1], set()
        while waiting:
            folder = waiting.pop()
            if folder in seen:
                continue
            seen.add(folder)
            yield folder
            waiting += [os.path.join(folder, entry.name) for entry in self.entries(folder)
                        if is_visible(entry.name) and entry.is_dir(follow_symlinks=False)]

    def below(self, folder: str) -> Iterator[str]:
        """The images in and below a folder."""
        for inner in self.trees([folder]):
            yield from (os.path.join(inner, entry.name) for entry in self.entries(inner)
                        if entry.name.lower().endswith(SUFFIXES) and is_visible(entry.name) and is_file(entry))

    def matches(self, pattern: str) -> Iterator[str]:
        """The files that match a pattern, in which ** stands for any number of folders."""
        *above, last = re.split(r"[/\\]" if os.sep == "\\" else "/", pattern)
        folders = [""]
        for part in [*above, "**"] if last == "**" else above:
            folders = list(self.trees(folders) if part == "**" else self.step(folders, part))
        for folder in folders:
            if MAGIC.search(last):
                yield from (os.path.join(folder, entry.name) for entry in self.entries(folder)
                            if matches(entry.name, last) and is_file(entry))
            elif last and os.path.lexists(path := os.path.join(folder, last)) and not os.path.isdir(path):
                yield path

    def step(self, folders: Iterable[str], part: str) -> Iterator[str]:
        """The folders that one part of a pattern leads to."""
        for folder in folders:
            if MAGIC.search(part):
                yield from (os.path.join(folder, entry.name) for entry in self.entries(folder)
                            if matches(entry.name, part) and os.path.isdir(entry.path))
            elif os.path.isdir(inner := os.path.join(folder, part) if part else folder + os.sep):
                yield inner

    def once(self, paths: Iterable[str]) -> list[str]:
        """The paths, sorted, with one for each file: the one that leads to it without a link, if there is one."""
        chosen: dict[str, str] = {}
        for path in sorted(set(paths), key=self.detour):
            chosen.setdefault(self.real(path), path)
        return sorted(chosen.values())

    def detour(self, path: str) -> tuple:
        """The order of preference of paths to one file: without links, the file itself no link, short."""
        return self.real(path) != os.path.abspath(path), os.path.islink(path), path.count(os.sep), path

    def real(self, path: str) -> str:
        """The path without links; each folder is looked up once."""
        folder, name = os.path.split(path)
        if os.path.islink(path):
            return os.path.realpath(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return os.path.join(self.folders[folder], name)


def is_visible(name: str) -> bool:
    """Whether a name in a folder is one that its owner sees: not hidden, and not what a system left there."""
    return not name.startswith(".") and name not in LITTER


def matches(name: str, part: str) -> bool:
    """Whether a name matches one part of a pattern; hidden names need a dot in the pattern, as in a shell."""
    return fnmatch.fnmatch(name, part) and (is_visible(name) or part.startswith("."))


def is_file(entry: os.DirEntry) -> bool:
    """Whether something in a folder is a file, or a broken link to one."""
    try:
        return entry.is_file() or (entry.is_symlink() and not entry.is_dir())
    except OSError:                              # a link to itself: reading it will say so
        return True
