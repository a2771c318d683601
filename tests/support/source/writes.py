"""Who changes a session, or one of its attempts, without asking it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

CHANGES = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
    "reverse", "rotate", "setdefault", "sort", "update", "difference_update", "intersection_update",
    "symmetric_difference_update", "__setitem__", "__delitem__", "__setattr__",
}  # fmt: skip
SETTERS = {"setattr", "delattr", "object.__setattr__", "object.__delattr__"}
READERS = {"values", "items", "get", "copy"}
"""Of a dict: what they give is a session's if the dict is."""


def writes_to_a_session(source: str) -> list[str]:
    """Statements that change what a session or an attempt holds, each with its line."""
    tree = ast.parse(source)
    others = _other_names(tree)
    found = []
    for node in ast.walk(tree):
        for target in _targets(node):
            if isinstance(target, ast.Attribute | ast.Subscript) and _is_sessions(target.value, others):
                found.append(f"line {target.lineno}: {ast.unparse(target)}")
        if isinstance(node, ast.Call) and _changes(node, others):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def _is_sessions(node: ast.AST, others: set[str]) -> bool:
    """A session, an attempt, or what one of them holds, at any depth."""
    match node:
        case ast.Name(id=name):
            return _is_called_so(name) or name in others
        case ast.Attribute(value=inner, attr=name):
            return _is_called_so(name) or _is_sessions(inner, others)
        case ast.Subscript(value=inner):
            return _is_sessions(inner, others)
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in READERS:
            return _is_sessions(inner, others)
        case ast.Call(func=ast.Name(id="vars"), args=[inner]):
            return _is_sessions(inner, others)
    return False


def _is_called_so(name: str) -> bool:
    return name in {"session", "attempt"} or name.endswith(("_session", "_attempt"))


def _other_names(tree: ast.AST) -> set[str]:
    """Other names that a file gives to a session, an attempt or what one of them holds."""
    others: set[str] = set()
    while True:
        before = len(others)
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=targets, value=value):
                    pass
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    targets = [target]
                case ast.NamedExpr(target=target, value=value):
                    targets = [target]
                case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                    targets = [target]
                case _:
                    continue
            if _is_sessions(value, others):
                others |= {each.id for target in targets for each in _flat(target) if isinstance(each, ast.Name)}
        if len(others) == before:
            return others


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            pass
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            targets = [target]
        case ast.For(target=target) | ast.AsyncFor(target=target) | ast.comprehension(target=target):
            targets = [target]
        case ast.withitem(optional_vars=ast.expr() as target):
            targets = [target]
        case _:
            return
    for target in targets:
        yield from _flat(target)


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    """The single targets of `a, (b, *c) = …`."""
    match target:
        case ast.Tuple(elts=inner) | ast.List(elts=inner):
            for each in inner:
                yield from _flat(each)
        case ast.Starred(value=value):
            yield from _flat(value)
        case _:
            yield target


def _changes(call: ast.Call, others: set[str]) -> bool:
    match call.func:
        case ast.Name() | ast.Attribute() as called if ast.unparse(called) in SETTERS:
            return bool(call.args) and _is_sessions(call.args[0], others)
        case ast.Attribute(value=inner, attr=name) if name in CHANGES:
            return _is_sessions(inner, others)
    return False
