"""What a name in a file stands for: `np.random` is `numpy.random`, whatever the import called it."""

from __future__ import annotations

import ast


def known_as(tree: ast.AST) -> dict[str, str]:
    """What each import of a file binds, in full; relative imports are left out."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def in_full(node: ast.expr, names: dict[str, str]) -> str | None:
    """`numpy.random.default_rng` for `np.random.default_rng`, `open` for the builtin; None for what is no name."""
    match node:
        case ast.Name(id=name):
            return names.get(name, name).removeprefix("builtins.")
        case ast.Attribute(value=inner, attr=name):
            base = in_full(inner, names)
            return None if base is None else f"{base}.{name}".removeprefix("builtins.")
    return None
