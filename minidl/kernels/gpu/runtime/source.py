"""The CUDA C sources of `kernels/gpu`: their text, and the parameters of their kernels.

Names of files are relative to `kernels/gpu`, also in `#include "..."`.
"""

import functools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)')
DTYPES = {"float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "bool": "bool",
          "int": "int32", "unsigned": "uint32", "long long": "int64", "unsigned long long": "uint64",
          "short": "int16", "unsigned short": "uint16", "signed char": "int8", "unsigned char": "uint8"}


class Parameter(NamedTuple):
    """A parameter of a kernel. `dtype` is what it is, or points to; None for structures and `void`."""

    name: str
    type: str
    dtype: np.dtype | None
    pointer: bool
    constant: bool
    declaration: str


@functools.cache
def source(file):
    """The text of a source, with what it includes in place of each `#include "..."`, once each.

    CuPy's cache of compiled kernels knows a source by its text and not by what that includes: a changed header would
    go unnoticed.
    """
    included = set()

    def text(name):
        found = (ROOT / name).read_text(encoding="utf-8")

        def replace(match):
            if match[1] in included:
                return ""
            included.add(match[1])
            line = found.count("\n", 0, match.start()) + 2
            return f'#line 1 "{match[1]}"\n{text(match[1])}\n#line {line} "{name}"'
        return re.sub(r'^#include "([\w./]+)"$', replace, found, flags=re.MULTILINE)
    return f'#line 1 "{file}"\n{text(file)}'


def signatures(code, options=()):
    """{kernel: (Parameter, ...)} of a source, after the words that `#define` and -D replace."""
    code = re.sub(r"//.*", "", code.replace("\\\n", " "))
    words = dict(re.findall(r"^#define (\w+) +(.+)$", code, re.MULTILINE))
    words |= dict(re.fullmatch(r"-D(\w+)=(.+)", option).groups() for option in options if option.startswith("-D"))
    found = {}
    for name, inside in KERNEL.findall(code):
        found[name] = tuple(map(parameter, filter(str.strip, expanded(inside, words).split(","))))
    return found


def expanded(text, words):
    """A text after all `words` in it are replaced by their meanings, also those within meanings."""
    for _ in range(8):
        before, text = text, re.sub(r"\w+", lambda match: words.get(match[0], match[0]), text)
        if text == before:
            break
    return text


def parameter(text):
    """One parameter, from its declaration: `const float* __restrict__ x`"""
    text = " ".join(re.sub(r"\b__(restrict|grid_constant)__\b", " ", text).replace("*", " * ").split())
    *words, name = (word for word in text.split() if word not in ("const", "*"))
    kind = " ".join(words)
    return Parameter(name, kind, dtype_of(kind), "*" in text, text.startswith("const "), text.rpartition(" ")[0])


def dtype_of(kind):
    """The dtype of a type of C. NumPy knows bfloat16 once ml_dtypes is imported; before, there is no such array."""
    try:
        return np.dtype(DTYPES[kind])
    except (KeyError, TypeError):
        return None
