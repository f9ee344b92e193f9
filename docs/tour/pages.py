"""Run the chapters of the tour: hold what their code prints to the page, and draw their pictures anew.

    python docs/tour/pages.py                   # run all chapters; report where a page shows something else
    python docs/tour/pages.py 3 4               # two of them
    python docs/tour/pages.py --write 3         # write into the page what its code prints, and draw its pictures
    python docs/tour/pages.py docs/networks/*.md      # any other pages of this kind

The blocks of Python code on a page are one program. A block `text` after one of them shows what it prints. In a block
`text measured` numbers depend on the machine, and may differ. Code saves its pictures in `pictures/`.
"""

import argparse
import contextlib
import io
import linecache
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CHAPTERS = sorted(HERE.glob("[0-9][0-9]_*.md"))
REFERENCE = sorted(HERE.parent.glob("reference/[a-z]*.md"))
CODE = re.compile(r"^```python\n(.*?)^```\n(?:\n```(text|text measured)\n(.*?)^```\n)?", re.M | re.S)
PICTURE = re.compile(r"!\[[^\]]*\]\((pictures/[^)]+)\)")
NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


@dataclass
class Block:
    """A block of code: the line it starts on, and what the page says that it prints."""
    line: int
    code: str
    kind: str                                        # "text", "text measured", or "" if the page shows no output
    shown: str


def blocks(text: str) -> list[Block]:
    """The blocks of Python code of a page, in order."""
    return [Block(text.count("\n", 0, match.start(1)) + 1, match[1], match[2] or "", match[3] or "")
            for match in CODE.finditer(text)]


def pictures(text: str) -> set[str]:
    """The pictures that a page shows."""
    return set(PICTURE.findall(text))


def run(page: Path, folder: Path) -> list[str]:
    """What each block of a page prints. Pictures go to `folder`/pictures."""
    import matplotlib as mpl
    import numpy as np

    (folder / "pictures").mkdir(exist_ok=True)
    names, printed = {"__name__": "tour"}, []
    with contextlib.chdir(folder), mpl.rc_context(fname=HERE / "tour.mplstyle"), np.printoptions():
        for number, block in enumerate(blocks(page.read_text(encoding="utf-8")), 1):
            file = f"<{page.stem}, block {number}>"            # known to `linecache`: tracebacks and Numba read it
            linecache.cache[file] = (len(block.code), None, block.code.splitlines(keepends=True), file)
            output = io.StringIO()
            try:
                with contextlib.redirect_stdout(output):
                    exec(compile(block.code, file, "exec"), names)
            except Exception as error:
                error.add_note(f"in {page.name}, block {number}, which starts on line {block.line}")
                raise
            printed.append(output.getvalue())
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
    return printed


def same(block: Block, printed: str) -> bool:
    """Whether a page shows what its code prints."""
    if block.kind == "text measured":
        return plain(block.shown) == plain(printed)
    return block.shown.rstrip() == "\n".join(line.rstrip() for line in printed.splitlines()).rstrip()


def plain(text: str) -> list[str]:
    """A text without its numbers and the spaces around them."""
    return NUMBER.sub("#", text).split()


def written(text: str, printed: list[str]) -> str:
    """A page with what its code prints."""
    outputs = iter(printed)

    def block(match: re.Match[str]) -> str:
        output = "\n".join(line.rstrip() for line in next(outputs).splitlines()).rstrip()
        shown = f"\n```{match[2] or 'text'}\n{output}\n```\n" if output else ""
        return f"```python\n{match[1]}```\n{shown}"
    return CODE.sub(block, text)


def chosen(words: list[str]) -> list[Path]:
    """The pages that the command line names: chapters by their numbers, others by their files."""
    numbers = {int(word) for word in words if word.isdigit()}
    files = [Path(word).resolve() for word in words if not word.isdigit()]
    return [page for page in CHAPTERS if int(page.name[:2]) in numbers or not words] + files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="numbers of chapters, or files (default: chapters)")
    parser.add_argument("--write", action="store_true", help="write outputs and pictures into the pages")
    args = parser.parse_args()
    os.environ.update(MPLBACKEND="agg", SOURCE_DATE_EPOCH="0")          # pictures carry no date
    sys.path.insert(0, str(HERE.parents[1]))
    failed = 0
    for page in chosen(args.pages):
        text, start = page.read_text(encoding="utf-8"), time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            printed = run(page, Path(folder))
            if args.write:
                page.write_text(written(text, printed), encoding="utf-8")
                for name in pictures(text):
                    (page.parent / "pictures").mkdir(exist_ok=True)
                    shutil.copy(Path(folder) / name, page.parent / name)
        wrong = [(block, output) for block, output in zip(blocks(text), printed, strict=True)
                 if not same(block, output) and not args.write]
        for block, output in wrong:
            print(f"{page.name}, line {block.line}: the page shows\n{block.shown}but the code prints\n{output}")
        print(f"{page.name}: {len(printed)} blocks, {time.perf_counter() - start:.1f} s")
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
