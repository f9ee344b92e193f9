"""The house stands on its floors: imports go down only, as the files themselves say.

A file or folder of minidl is a room. A room imports from its own and from lower floors, never from a neighbour or from
above; imports inside functions count like any others. A new room needs a floor in FLOORS.
"""

import ast
import os
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [                                            # lowest first
    {"version", "device", "errors", "flags"},
    {"kernels", "tensor"},
    {"functional"},
    {"nn", "optim", "profiling", "testing"},
    {"io", "summary"},
    {"data", "plot"},
    {"train"},
    {"minidl"},                                       # minidl/__init__.py: what a user imports
    {"zoo"},
    {"examples", "commands"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
HOUSES = ("minidl", "zoo", "examples")
FILES = sorted(path.relative_to(ROOT) for house in HOUSES for path in (ROOT / house).rglob("*.py"))
HEAVY = {"cupy", "hypothesis", "matplotlib", "numba", "PIL", "pooch", "safetensors", "torch", "tqdm"}
every_file = pytest.mark.parametrize("path", FILES, ids=str)


def imports(path):
    """The dotted names that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), ".".join(path.parent.parts))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(dotted):
    """The room that a name of ours lies in: `minidl.nn.Linear` is in nn, `minidl.Tensor` in minidl; None for others."""
    house, *rest = dotted.split(".")
    if house != "minidl":
        return house if house in LEVEL else None
    inside = rest and ((ROOT / house / rest[0]).is_dir() or (ROOT / house / f"{rest[0]}.py").is_file())
    return rest[0] if inside else house


def room_of_file(path):
    """The room that a file lies in."""
    return room(".".join(part for part in path.with_suffix("").parts if part != "__init__"))


@every_file
def test_imports_go_down(path):
    own = room_of_file(path)
    assert own in LEVEL, f"{own} has no floor; give it one in FLOORS"
    for name in imports(path):
        other = room(name)
        assert other in (None, own) or LEVEL[other] < LEVEL[own], f"{path} imports {name}, which is not below it"


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] == "zoo" and p.name != "__init__.py"], ids=str)
def test_a_zoo_file_uses_layers_and_functions_alone(path):
    for name in imports(path):
        allowed = room(name) in ("nn", "functional") or name.split(".")[0] in sys.stdlib_module_names
        assert allowed, f"{path} imports {name}; a network needs minidl.nn and minidl.functional, and no other network"


def test_every_floor_is_inhabited():
    """So that a room that was renamed does not leave its rule behind."""
    rooms = {room_of_file(path) for path in FILES}
    assert set(LEVEL) <= rooms


@pytest.mark.parametrize("name", ["minidl", "minidl.nn", "minidl.testing"])
def test_importing_takes_nothing_heavy_along(name):
    code = f"import sys, {name}; print(*{HEAVY} & {{module.partition('.')[0] for module in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
                            capture_output=True, text=True)
    assert result.stdout.split() == []
