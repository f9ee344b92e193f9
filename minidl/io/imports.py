"""Packages that only some functions need, and that are installed as extras: `pip install minidl[onnx]`."""

import importlib.util

from minidl.errors import for_command


def needed(package: str, extra: str, owner: str) -> None:
    """Raise ImportError, which says what to install, unless a package is there."""
    if importlib.util.find_spec(package) is None:
        remedy = f"pip install 'minidl[{extra}]'"
        error = ImportError(f"{owner}: the package {package} is not installed; {remedy}")
        error.exit_code = 2                      # type: ignore[attr-defined]
        raise for_command(error, f"the package {package} is not installed; {remedy}")
