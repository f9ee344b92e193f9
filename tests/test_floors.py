"""Imports go one way: each package of minidl imports only from itself and from packages on lower floors.

Imports inside functions count like any others, and so does `importlib.import_module` with a literal name; imports for
type checkers do not. The folders of `kernels` are packages of their own here. A new package needs a floor in FLOORS and
a line in BUDGET. `python tests/test_floors.py` prints how many lines each package has.
"""

import ast
import functools
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

pytestmark = pytest.mark.tiny

ROOT = Path(__file__).parent.parent
KERNELS = Path("minidl/kernels")
FLOORS = [                                            # lowest first
    {"cores", "version", "flags", "missing", "scalars", "scope", "spelling", "text"},
    {"described"},
    {"device"},
    {"memory", "traced"},
    {"arrays", "errors", "faults", "modes", "writes"},
    {"capture", "precision"},
    {"slips"},
    {"kernels.*"},                                    # the files beside kernels/__init__.py
    {"kernels.plain"},
    {"kernels.cpu.runtime", "kernels.gpu.runtime"},
    {"kernels.cpu.llvm"},
    {"kernels.cpu.layout"},
    {"kernels.cpu.gemm"},
    {"kernels.cpu.convolution", "kernels.cpu.normalization", "kernels.cpu.softmax"},
    {"kernels.cpu", "kernels.gpu"},                   # all other files of these folders
    {"kernels", "tensor"},                            # the tape needs no kernels
    {"functional"},
    {"host_graph", "nn", "optim", "profiling", "testing"},
    {"graphs"},
    {"distributed", "onnx", "summary"},
    {"augment", "io"},
    {"data", "demo", "plot"},
    {"evaluation"},
    {"report"},
    {"train"},
    {"minidl"},                                       # minidl/__init__.py: what a user imports
    {"zoo"},
    {"serve"},
    {"torch"},                                        # PyTorch's spellings, which nothing else imports
    {"examples", "commands"},
    {"cli"},
    {"__main__"},
]
BUDGET = {                                            # lines of Python; raise one in the commit that needs it
    "version": 10, "device": 220, "scalars": 80, "text": 80, "described": 45, "errors": 100, "flags": 80,
    "arrays": 125, "modes": 75, "writes": 100, "faults": 50, "precision": 90, "capture": 125, "memory": 50,
    "graphs": 255, "host_graph": 160, "traced": 145, "scope": 90, "kernels": 75, "kernels.*": 290,
    "kernels.plain": 1310, "kernels.cpu": 1740, "kernels.cpu.runtime": 1580, "kernels.cpu.llvm": 1600,
    "kernels.cpu.layout": 210, "kernels.cpu.gemm": 550, "kernels.cpu.convolution": 1475,
    "kernels.cpu.normalization": 850, "kernels.cpu.softmax": 550, "kernels.gpu": 1820, "kernels.gpu.runtime": 250,
    "tensor": 495, "functional": 3080, "nn": 2470, "onnx": 2600, "optim": 1810, "profiling": 386, "testing": 590,
    "io": 2960, "summary": 120, "data": 3360, "plot": 2000, "train": 3700, "minidl": 40, "zoo": 1810,
    "examples": 820, "commands": 1760, "demo": 200, "evaluation": 790, "report": 1780, "cli": 70, "serve": 1600,
    "__main__": 10, "augment": 1130, "missing": 390, "spelling": 80, "slips": 90, "torch": 1480, "distributed": 800,
    "cores": 45,
}
LEVEL = {package: level for level, packages in enumerate(FLOORS) for package in packages}
FILES = sorted(path.relative_to(ROOT) for folder in ("minidl", "zoo", "examples")
               for path in (ROOT / folder).rglob("*.py"))
HEAVY = {"cupy", "hypothesis", "matplotlib", "mpi4py", "numba", "onnx", "PIL", "pooch", "safetensors", "torch", "tqdm",
         "prometheus_client", "python_multipart", "starlette", "uvicorn"}
every_file = pytest.mark.parametrize("path", FILES, ids=str)


def tree(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def dotted_name(path):
    """minidl/nn/__init__.py -> minidl.nn"""
    return ".".join(part for part in path.with_suffix("").parts if part != "__init__")


def executed(node):
    """The nodes of a tree, without what only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from executed(child)


@functools.cache
def imports(path):
    """The dotted names that a file imports, wherever in the file the import is."""
    names = []
    for node in executed(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), ".".join(path.parent.parts))
            names += [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names += [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
    return names


@functools.cache
def file_of(dotted):
    """The file of ours that a dotted name comes from: `minidl.nn.Linear` from minidl/nn/__init__.py; else None."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = Path(*parts[:length])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if (ROOT / file).is_file():
                return file
    return None


def package(path):
    """The package that a file belongs to, as FLOORS names it: the longest name that fits, else the first part."""
    top, *rest = dotted_name(path).split(".")
    if top != "minidl":
        return top
    if path.parent == KERNELS and path.stem != "__init__":
        return "kernels.*"
    names = [".".join(rest[:length]) for length in range(len(rest), 0, -1)]
    return next((name for name in names if name in LEVEL), rest[0] if rest else top)


@every_file
def test_imports_go_down(path):
    own = package(path)
    assert own in LEVEL, f"{own} has no floor; give it one in FLOORS"
    for name in imports(path):
        file = file_of(name)
        if file is not None and package(file) != own:
            assert LEVEL[package(file)] < LEVEL[own], f"{path} imports {name}, which is not below it"


def test_no_file_imports_itself_through_others():
    """TopologicalSorter raises CycleError, which names the files."""
    TopologicalSorter({path: {file_of(name) for name in imports(path)} - {None, path}
                       for path in FILES}).prepare()


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[0] == "zoo" and p.name != "__init__.py"], ids=str)
def test_a_zoo_file_uses_layers_and_functions_alone(path):
    for name in imports(path):
        file = file_of(name)
        allowed = package(file) in ("nn", "functional") if file else name.split(".")[0] in sys.stdlib_module_names
        assert allowed, f"{path} imports {name}; a network needs minidl.nn and minidl.functional, and no other network"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES if path.parts[0] != "examples"}), ids=str)
def test_every_folder_is_a_package(folder):
    """So that setuptools finds it; without __init__.py a folder is missing from what `pip install .` installs."""
    assert (ROOT / folder / "__init__.py").is_file()


def test_test_files_have_names_of_their_own():
    """pytest imports them by their bare names, and refuses the second of a name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_every_floor_has_files():
    """A package that was renamed must not leave its rule behind."""
    assert set(LEVEL) <= {package(path) for path in FILES}


def lines():
    """{package: lines of Python}"""
    count = dict.fromkeys(LEVEL, 0)
    for path in FILES:
        count[package(path)] += len((ROOT / path).read_text(encoding="utf-8").splitlines())
    return count


def table(count):
    rows = [f"{name:26}{count[name]:7,} / {BUDGET[name]:6,}" for name in BUDGET]
    return "\n".join([*rows, f"{'all':26}{sum(count.values()):7,} / {sum(BUDGET.values()):6,}"])


def test_no_package_exceeds_its_budget():
    assert set(BUDGET) == set(LEVEL)
    print(table(lines()))
    assert {name: count for name, count in lines().items() if count > BUDGET[name]} == {}


@pytest.mark.parametrize("name", ["minidl", "minidl.nn", "minidl.testing"])
def test_importing_loads_nothing_heavy(name):
    code = f"import sys, {name}; print(*{HEAVY} & {{module.partition('.')[0] for module in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
                            capture_output=True, text=True)
    assert result.stdout.split() == []


def origins(backend):
    """{public function: where it is defined, as in `cpu.softmax.cross_entropy`} of a backend, by what it imports."""
    found, above = {}, ("minidl.kernels.plain.", f"minidl.kernels.{backend}.")
    for node in tree(KERNELS / backend / "__init__.py").body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith(above):
            found |= {alias.name: node.module.removeprefix("minidl.kernels.") for alias in node.names}
    return found


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_kernel_is_where_its_plain_twin_is(backend):
    """`plain/softmax.py` has its twins in cpu/softmax.py, or in the files of cpu/softmax/; or it has none."""
    plain, ours = origins("plain"), origins(backend)
    assert set(plain) == set(ours)
    assert {name: (module, ours[name]) for name, module in plain.items()
            if module.removeprefix("plain.") not in ours[name].split(".")} == {}


if __name__ == "__main__":
    print(table(lines()))
