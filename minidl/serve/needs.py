"""The packages of the extra `serve`."""

import importlib.util

NEEDS = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart",
         "prometheus_client": "prometheus-client"}                   # module: package


class NeedsError(ImportError):
    """A package of the extra `serve` is not installed."""

    exit_code = 2                                # of a command that ends with it, see `errors.py`


def check_needs() -> None:
    """Raise NeedsError, which says what to install, unless all packages of the extra are there."""
    missing = [package for module, package in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise NeedsError(f"serving needs {', '.join(missing)}: pip install 'minidl[serve]'")
