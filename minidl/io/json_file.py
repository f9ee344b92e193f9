"""JSON files of plain facts, which hold what JSON itself has no form for."""

import json
import math
from pathlib import Path
from typing import Any

from minidl.io.atomic import replacing
from minidl.scalars import plain


def write_json(path: str | Path, value: Any) -> None:
    """Write `value`, made plain by `for_json`, as a file."""
    with replacing(path) as file:
        file.write(json_text(value).encode() + b"\n")


def json_text(value: Any) -> str:
    """`value`, made plain by `for_json`, as JSON in lines; a list of single values, such as a matrix's row, is one."""
    return indented(for_json(value), "\n")


def indented(value: Any, start: str) -> str:
    """Plain `value` as JSON; each line after the first begins with `start`."""
    inner = f"{start} "
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(key)}: {indented(item, inner)}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{start}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return f"[{inner}{f',{inner}'.join(indented(item, inner) for item in value)}{start}]"
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def for_json(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity become null, and what JSON lacks, such as a Path, becomes text."""
    value = plain(value)
    if isinstance(value, dict):
        return {str(key): for_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [for_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
