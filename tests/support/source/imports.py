"""Who imports whom: by a statement, for type checkers, in a function, or by a name in a string."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.checkout import ROOT
from tests.support.source.names import in_full, known_as

UNKNOWN = "?"
"""A module that only a run can name."""

LOADERS = {"importlib.import_module", "importlib.__import__", "__import__", "runpy.run_module"}


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """
    (line, module) of every import of a file that stands in `package`; `from pay import x` counts as `pay.x`.

    A string that is a module's name counts as well, and of a name that is put together what is written of it.
    """
    tree = ast.parse(source)
    names = known_as(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
                module = ".".join(filter(None, [base, node.module]))
                for alias in node.names:
                    # The name may be a module of the package: then that one is imported.
                    inner = f"{module}.{alias.name}"
                    yield node.lineno, inner if is_module(inner) else module
            case ast.Constant(value=str(text)):
                yield from ((node.lineno, module) for module in _named(text))
            case ast.Call(func=called) if in_full(called, names) in LOADERS:
                yield node.lineno, _loaded(node)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def _named(text: str) -> Iterator[str]:
    """The module of ours that a string is, or the package in front of what a run adds."""
    if not re.fullmatch(r"pay\.[\w.]*([%{].*)?", text):
        return
    written = re.split(r"[%{]", text)[0]
    if written == text and is_module(text.rstrip(".")) and not text.endswith("."):
        yield text
    elif written != text or text.endswith("."):
        package = written.rpartition(".")[0]
        yield package if package != "pay" else f"pay.{UNKNOWN}"


def _loaded(call: ast.Call) -> str:
    """What is loaded by its name."""
    named = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    match named[0] if named else None:
        case ast.Constant(value=str(text)) if not text.startswith("."):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if text.count("."):
            return text.rpartition(".")[0]
    return UNKNOWN
