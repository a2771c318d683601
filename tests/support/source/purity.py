"""What an import does not show: files, chance and the process, reached from what a pure room may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.source.names import in_full, known_as

BUILTINS = {"open", "input", "print", "exec", "eval", "compile", "breakpoint", "hash"}
"""`hash` of a text differs from process to process."""

FILES = {
    *(
        f"numpy.{name}"
        for name in (
            "load", "save", "savez", "savez_compressed", "loadtxt", "savetxt", "genfromtxt", "fromfile",
            "fromregex", "memmap", "ctypeslib", "f2py",
        )
    ),
    "scipy.sparse.load_npz", "scipy.sparse.save_npz",
}  # fmt: skip
CHANCE = {
    *(f"scipy.optimize.{name}" for name in ("differential_evolution", "dual_annealing", "basinhopping")),
    "scipy.sparse.random", "scipy.sparse.rand", "scipy.sparse.random_array",
}  # fmt: skip
METHODS = {"tofile", "read_text", "write_text", "read_bytes", "write_bytes"}
"""Files, whoever made the object."""

CONSTANTS_OF_SYS = ("sys.float_info", "sys.maxsize")
TYPES_OF_CHANCE = {"numpy.random.Generator"}
DRAWS = "numpy.random.default_rng"


def impurities(source: str) -> Iterator[str]:
    """What a pure room must not do, each with its line."""
    tree = ast.parse(source)
    names = known_as(tree)
    seeded = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and in_full(node.func, names) == DRAWS and _has_seed(node)
    }
    inner = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"line {node.lineno}: import *"
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        name = in_full(node, names)
        whole = node not in inner
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield f"line {node.lineno}: .{node.attr}"
        elif name is None:
            continue
        elif name in BUILTINS | FILES | CHANCE:
            yield f"line {node.lineno}: {name}"
        elif name in {"numpy", "numpy.lib"} and whole:
            yield f"line {node.lineno}: {name} handed on, nobody sees what is taken out of it"
        elif f"{name}.".startswith("numpy.random.") and node not in seeded and name not in TYPES_OF_CHANCE:
            if whole:
                yield f"line {node.lineno}: {name} without a seed"
        elif f"{name}.".startswith("sys.") and whole and not name.startswith(CONSTANTS_OF_SYS):
            yield f"line {node.lineno}: {name}"


def _has_seed(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "seed")]
    return bool(given) and not (isinstance(given[0], ast.Constant) and given[0].value is None)
