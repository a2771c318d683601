"""Waits of tests that have no end, and sleep, which waits for nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.source.names import in_full, known_as

PROGRAMS = {f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output")}
ENDLESS = {"join", "communicate"}
"""Of threads and processes, without an argument: that of a text always has one."""


def endless(source: str) -> Iterator[str]:
    """Each with its line."""
    tree = ast.parse(source)
    names = known_as(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = in_full(node.func, names)
        given = {keyword.arg for keyword in node.keywords}
        if name == "time.sleep":
            yield f"line {node.lineno}: sleep"
        elif name in PROGRAMS and not given & {"timeout", None}:
            yield f"line {node.lineno}: {name} without a timeout"
        elif isinstance(node.func, ast.Attribute) and node.func.attr in ENDLESS and not node.args and not given:
            yield f"line {node.lineno}: {node.func.attr}() without an end"
