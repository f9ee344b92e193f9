"""Writes minidl/tensor.pyi: the signatures in tensor.py, and the methods that functional/methods.py adds to Tensor.

    python tests/tensor_stub.py
"""

import ast
import builtins
import inspect
import textwrap
from pathlib import Path

from minidl.functional.methods import METHODS

SOURCE = Path(__file__).parents[1] / "minidl" / "tensor.py"
STUB = SOURCE.with_suffix(".pyi")
HEADER = """# Written by tests/tensor_stub.py: change tensor.py or functional/methods.py, and run that file.
import builtins
from collections.abc import Sequence
from typing import NoReturn
from minidl.functional.checks import Axis
from minidl.functional.selection import Chosen"""


def stub() -> str:
    """What the file must contain."""
    lines = [HEADER]
    for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            lines += ["", class_line(node), *indented(members(node))]
            if node.name == "Tensor":
                lines += indented(line for name, method in METHODS.items() for line in method_lines(name, method))
        else:
            lines += statement(node)
    return "\n".join(lines) + "\n"


def class_line(node: ast.ClassDef) -> str:
    """`class Node(Base):`"""
    bases = ", ".join(map(ast.unparse, node.bases))
    return f"class {node.name}({bases}):" if bases else f"class {node.name}:"


def members(node: ast.ClassDef) -> list[str]:
    """What a class defines; slots without an annotation may hold anything."""
    lines = [line for child in node.body for line in statement(Builtins().visit(child))]
    annotated = {child.target.id for child in node.body if isinstance(child, ast.AnnAssign)}
    for child in node.body:
        if isinstance(child, ast.Assign) and child.targets[0].id == "__slots__":
            slots = set(ast.literal_eval(child.value)) - annotated - {"__weakref__"}
            lines += [f"{name}: Any" for name in sorted(slots)]
    return lines


class Builtins(ast.NodeTransformer):
    """Hints with `builtins.float` for `float` and the like, which are methods of Tensor as well."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        hidden = node.id in METHODS and node.id in vars(builtins)
        return ast.Attribute(ast.Name("builtins"), node.id) if hidden else node


def statement(node: ast.stmt) -> list[str]:
    """A statement of a module or class without its value or body."""
    if isinstance(node, ast.FunctionDef):
        decorators = [f"@{ast.unparse(decorator)}" for decorator in node.decorator_list]
        return [*decorators, f"def {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns or NONE)}: ..."]
    if isinstance(node, ast.AnnAssign):
        is_alias = ast.unparse(node.annotation) == "TypeAlias"
        return [ast.unparse(node) if is_alias else f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"]
    if isinstance(node, ast.Assign):
        name, value = node.targets[0].id, ast.unparse(node.value)
        as_it_is = value == "None" or value.startswith(("ParamSpec", "object."))
        return [] if name == "__slots__" else [f"{name} = {value}" if as_it_is else f"{name}: Any"]
    return [ast.unparse(node)] if isinstance(node, ast.Import | ast.ImportFrom) else []


NONE = ast.Constant(None)


def method_lines(name: str, method: object) -> list[str]:
    """A method of Tensor, from the source of its function, whose first parameter becomes `self`."""
    function = inspect.unwrap(method.fget if isinstance(method, property) else method)
    node = next(n for n in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function))))
                if isinstance(n, ast.FunctionDef))
    first = (node.args.posonlyargs + node.args.args)[0]
    first.arg, first.annotation = "self", None
    node = Builtins().visit(node)
    returned = ast.unparse(node.returns) if node.returns else "Tensor"
    ignored = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""     # object's return bool
    decorator = ["@property"] if isinstance(method, property) else []
    summary = inspect.getdoc(function).splitlines()[0]
    return [*decorator, f"def {name}({ast.unparse(node.args)}) -> {returned}:{ignored}", f'    """{summary}"""']


def indented(lines: object) -> list[str]:
    """The lines, one level deeper."""
    return ["    " + line for line in lines]


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
