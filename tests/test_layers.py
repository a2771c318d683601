"""The rooms of the house and who may import whom, read from the source: an arrow that is not drawn fails.

Imports for type checkers count as well: what a room may not know it may not name.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
SOURCES = sorted([ROOT / "clnpay.py", ROOT / "plugin.py", *(ROOT / "pay").rglob("*.py")])

STDLIB = set(sys.stdlib_module_names)
VALUE_TYPES = {"pay.network.policy", "pay.network.hints", "pay.routing.query", "pay.routing.preferences"}
"""All that decisions may know of the network and of routing; plain values without numpy."""

# room: what of ours it may import (a package with all in it, or a module), and which other packages
BASE = {"pay.units", "pay.errors"}
LOG = {"pay.log_events"}
DECISIONS = {*BASE, "pay.invoice", "pay.feedback", "pay.payment", "pay.routing", "pay.liquidity", "pay.network"}
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "clnpay": (set(), {"plugin"}),
    "plugin": ({"pay.app"}, set()),
    "pay.app": ({*DECISIONS, *LOG, "pay.commands", "pay.engine", "pay.router", "pay.host"}, {"pyln"}),
    "pay.commands": ({*DECISIONS, *LOG, "pay.engine", "pay.router", "pay.host"}, set()),
    "pay.engine": ({*DECISIONS, *LOG, "pay.engine.live", "pay.engine.records", "pay.router", "pay.host"}, set()),
    "pay.engine.live": ({*DECISIONS, *LOG, "pay.engine.records", "pay.router", "pay.host"}, set()),
    "pay.engine.records": ({*BASE, *LOG, "pay.payment", "pay.host"}, set()),
    "pay.router": (
        {*BASE, *LOG, "pay.invoice", "pay.feedback", "pay.routing", "pay.liquidity", "pay.network", "pay.host"},
        {"numpy"},
    ),
    "pay.host": ({*BASE, *LOG, "pay.invoice", "pay.feedback.failure", *VALUE_TYPES}, {"pyln"}),
    "pay.payment": ({*BASE, "pay.invoice", "pay.feedback", *VALUE_TYPES}, set()),
    "pay.feedback": ({*BASE, *VALUE_TYPES, "pay.liquidity.observation", "pay.liquidity.in_flight"}, set()),
    "pay.routing": ({*BASE, "pay.network", "pay.liquidity"}, {"numpy", "scipy"}),
    "pay.liquidity": ({"pay.units"}, {"numpy"}),
    "pay.network": ({"pay.units"}, {"numpy"}),
    "pay.invoice": ({*BASE, "pay.network.hints"}, set()),
    "pay.sim": ({*BASE, "pay.network", "pay.sim.network", "pay.sim.lightningd"}, set()),
    "pay.sim.lightningd": ({*BASE, "pay.network", "pay.sim.network"}, {"pyln", "coincurve"}),
    "pay.sim.network": ({"pay.units", "pay.network"}, {"numpy", "networkx", "pyln", "coincurve"}),
    "pay.units": (set(), set()),
    "pay.errors": (set(), set()),
    "pay.log_events": (set(), set()),
}

IMPURE = {
    "time", "random", "socket", "threading", "asyncio", "os",
    "concurrent", "multiprocessing", "secrets", "select", "selectors", "signal", "subprocess", "uuid",
}  # fmt: skip
"""Clocks, chance, the outside world, and threads: only at the edges."""

EDGES = {
    "clnpay", "plugin", "pay.app", "pay.commands", "pay.engine", "pay.engine.live", "pay.engine.records",
    "pay.router", "pay.host", "pay.sim", "pay.sim.network", "pay.sim.lightningd",
}  # fmt: skip
ENTRY_MODULES = {"os", "sys", "json", "pwd", "subprocess"}
SAYS_THE_VERSION = {"plugin", "pay.app"}
"""It stands in `pay` itself."""


def room_of(path: Path) -> str:
    """The innermost room that a file stands in."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in MAY_IMPORT), ".".join(parts[:2]))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import, relative ones resolved; `from pay import x` counts as `pay.x`."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                # The name may be a module of the package: then that one is imported.
                inner = ROOT.joinpath(*module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield node.lineno, f"{module}.{alias.name}" if is_module else module


def forbidden(room: str, module: str) -> bool:
    ours, packages = MAY_IMPORT[room]
    top = module.split(".")[0]
    if module == "pay":
        return room not in SAYS_THE_VERSION
    if top != "pay":
        if top in STDLIB:
            entry = room in {"clnpay", "plugin"}
            return (top in IMPURE and room not in EDGES) or (entry and top not in ENTRY_MODULES)
        return top not in packages
    known = {room, *ours}
    within = [other for other in MAY_IMPORT if other.startswith(f"{room}.")]
    if any(f"{module}.".startswith(f"{other}.") for other in within):
        known.discard(room)
    return not any(module == each or module.startswith(f"{each}.") for each in known)


def test_the_rooms_are_those_of_the_design() -> None:
    rooms = {room_of(path) for path in SOURCES} - {"pay.__init__"}
    assert rooms <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_arrow(path: Path) -> None:
    room = room_of(path)
    if room == "pay.__init__":
        assert not list(imports(path)), "importing any room imports this file"
        return
    bad = [f"line {line}: {module}" for line, module in imports(path) if forbidden(room, module)]
    assert not bad, f"{room} may not import {bad}"


@pytest.mark.parametrize(
    ("room", "module"),
    [
        ("pay.feedback", "pay.payment.attempt"), ("pay.feedback", "pay.liquidity.beliefs"),
        ("pay.feedback", "pay.network"), ("pay.feedback", "numpy"), ("pay.feedback", "time"),
        ("pay.routing", "pay.feedback.blame"), ("pay.liquidity", "pay.feedback"), ("pay.sim", "pay.feedback"),
        ("pay.routing", "pay.payment.session"), ("pay.routing", "pay.engine"), ("pay.liquidity", "pay.payment"),
        ("pay.payment", "pay.network"), ("pay.payment", "pay.network.graph"), ("pay.payment", "pay.routing"),
        ("pay.payment", "pay.routing.planner"), ("pay.payment", "numpy"), ("pay.payment", "time"),
        ("pay.routing", "random"), ("pay.network", "os.path"), ("pay.invoice", "pay.network.graph"),
        ("pay.sim", "pay.routing.query"), ("pay.sim", "pay.liquidity"), ("pay.app", "pay.sim"),
        ("pay.engine", "pay.commands"), ("pay.host", "pay.payment"), ("pay.host", "pay.router"),
        ("pay.router", "pay.payment"), ("pay.router", "pay.engine"), ("pay.commands", "pay.app"),
        ("pay.engine", "pyln.client"), ("pay.commands", "pyln.client"), ("pay.app", "numpy"),
        ("pay.engine.live", "pay.engine"), ("pay.engine.live", "pay.engine.paying"),
        ("pay.engine.records", "pay.engine.live"), ("pay.engine.records", "pay.routing.query"),
        ("pay.sim.network", "pay.sim.lightningd"),
        ("pay.sim.network", "pay.sim"), ("pay.sim.lightningd", "pay.sim.cli"), ("pay.sim.lightningd", "networkx"),
        ("pay.sim", "pyln"),
        ("pay.payment", "pay.log_events"), ("pay.log_events", "pay.units"),
        ("plugin", "numpy"), ("clnpay", "pay.app"), ("clnpay", "asyncio"), ("pay.payment", "pay"),
        ("plugin", "pay.payment"), ("plugin", "asyncio"), ("pay.liquidity", "pay.sim"), ("pay.network", "scipy"),
        ("pay.routing", "networkx"), ("pay.units", "pay.errors"), ("pay.network", "pay.networking"),
    ],
)  # fmt: skip
def test_the_test_sees_a_wrong_arrow(room: str, module: str) -> None:
    assert forbidden(room, module)


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of more than one module of which each reaches each (strongly connected components, Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        path.append(module)
        for other in sorted(arrows[module]):
            if other not in order:
                visit(other)
            if other in path:
                low[module] = min(low[module], low[other])
        if low[module] == order[module]:
            start = path.index(module)
            found.append(set(path[start:]))
            del path[start:]

    for module in sorted(arrows):
        if module not in order:
            visit(module)
    return [group for group in found if len(group) > 1]


def test_no_circle() -> None:
    """Not in a function, not for type checkers either: who cannot be read without each other are one thing."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES
    }
    arrows = {
        name: {module for _, module in imports(path) if module in modules} - {name}
        for name, path in modules.items()
    }
    assert not circles(arrows)


def test_the_test_sees_a_circle() -> None:
    drawn = {"a": {"b", "d"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": set(), "f": {"a", "f2"}, "f2": {"f"}}
    assert circles(drawn) == [{"b", "c"}, {"f", "f2"}]
    assert not circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_rooms_open_no_files_and_draw_no_numbers(path: Path) -> None:
    """What an import does not show: the builtin `open`, numbers without a seed, a module by its name."""
    if room_of(path) in EDGES:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seeded = {
        call.func
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "np.random.default_rng" and call.args
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="open" | "input" | "print" | "exec" | "eval" | "__import__" as name)):
                raise AssertionError(f"line {node.lineno}: {name}()")
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="np"), attr="random")) if node not in seeded:
                raise AssertionError(f"line {node.lineno}: numpy.random without a seed")
            case ast.Call(func=ast.Name(id="import_module"), args=[ast.JoinedStr([ast.Constant(value), *_])]):
                # The lazy doors of two packages: only into the package itself.
                assert str(value).startswith(f"{room_of(path)}."), f"line {node.lineno}: import_module({value!r}…)"
            case ast.Call(func=ast.Name(id="import_module")):
                raise AssertionError(f"line {node.lineno}: a module by its name")


def writes_to_a_session(source: str) -> list[str]:
    """Assignments to a field of a session, or to one of its attempts."""

    def is_sessions(node: ast.expr) -> bool:
        match node:
            case ast.Name(id="session") | ast.Attribute(attr="session"):
                return True
            case ast.Attribute(value=inner, attr="attempts") | ast.Subscript(value=inner):
                return is_sessions(inner)
        return False

    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=targets):
                pass
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                targets = [target]
            case ast.Delete(targets=targets):
                pass
            case _:
                continue
        for target in targets:
            if isinstance(target, ast.Attribute | ast.Subscript) and is_sessions(target.value):
                found.append(f"line {target.lineno}: {ast.unparse(target)}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_session_writes_what_is_its_own(path: Path) -> None:
    if room_of(path) != "pay.payment":
        assert not writes_to_a_session(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("running.session.state = State.DONE", True), ("session.result = None", True),
        ("session.attempts[partid] = attempt", True), ("del running.session.attempts[1]", True),
        ("session.queries += 1", True), ("running.session = session", False), ("session = new()", False),
        ("times[session.queries] = 1", False),
    ],
)  # fmt: skip
def test_the_test_sees_who_writes(source: str, seen: bool) -> None:
    assert bool(writes_to_a_session(source)) is seen


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_can_be_read_in_one_go(path: Path) -> None:
    most = 150 if path.name == "plugin.py" else 400
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


def test_the_entry_point_is_readable_by_old_pythons() -> None:
    """It must get as far as saying that the Python is too old."""
    ast.parse((ROOT / "plugin.py").read_text(encoding="utf-8"), feature_version=(3, 8))


LIGHT = [
    "pay.units", "pay.errors", "pay.invoice", "pay.network", "pay.network.policy", "pay.network.hints",
    "pay.routing", "pay.routing.preferences", "pay.routing.query",
    *(
        f"pay.{room}.{path.stem}"
        for room in ("feedback", "payment") for path in sorted((ROOT / "pay" / room).glob("[a-z]*.py"))
    ),
]  # fmt: skip


def test_decisions_and_value_types_come_without_numpy() -> None:
    """The host wants our manifest long before numpy could be there."""
    code = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module(name)
print(sorted({{"numpy", "scipy", "networkx", "asyncio", "pyln", "coincurve"}} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"
