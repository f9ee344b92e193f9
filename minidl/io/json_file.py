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
        file.write(json.dumps(for_json(value), indent=1, allow_nan=False).encode() + b"\n")


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
