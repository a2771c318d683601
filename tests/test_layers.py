"""The rooms of the house and who may import whom, read from the source: an arrow that is not drawn fails.

Imports for type checkers count as well: what a room may not know it may not name.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.source.imports import UNKNOWN, imports
from tests.support.source.purity import impurities
from tests.support.source.writes import writes_to_a_session
from tests.support.waiting import PATIENCE_S

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
    "pay.commands": ({*DECISIONS, *LOG, "pay.commands.form", "pay.engine", "pay.router", "pay.host"}, set()),
    "pay.commands.form": ({*DECISIONS, *LOG, "pay.engine", "pay.router", "pay.host"}, set()),
    "pay.commands.pages": ({*LOG, "pay.commands.form", "pay.commands.table"}, set()),
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
    "pay.routing": ({*BASE, "pay.network", "pay.liquidity"}, {"numpy", "scipy.optimize", "scipy.sparse"}),
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

PURE = {
    "__future__", "collections", "dataclasses", "decimal", "enum", "functools", "hashlib", "heapq", "itertools",
    "json", "math", "operator", "re", "struct", "typing", "weakref",
}  # fmt: skip
"""All that a pure room may import of the standard library: no clock, chance, outside world, threads, or log."""

BESIDES = {
    # The lazy doors of two packages: what they load by its name is seen as an import.
    "pay.network": {"importlib"},
    "pay.routing": {"importlib", "sys"},
    # It is what the edges log with.
    "pay.log_events": {"logging"},
    # It names the type of a task.
    "pay.commands.form": {"asyncio"},
}
LOADS_BY_NAME = {"pay/app/application.py"}
"""It tries the packages that are imported after the manifest."""

EDGES = {
    "clnpay", "plugin", "pay.app", "pay.commands", "pay.commands.pages", "pay.engine", "pay.engine.live",
    "pay.engine.records", "pay.router", "pay.host", "pay.sim", "pay.sim.network", "pay.sim.lightningd",
}  # fmt: skip
ENTRY_MODULES = {"os", "sys", "json", "pwd", "subprocess"}
SAYS_THE_VERSION = {"plugin", "pay.app"}
"""It stands in `pay` itself."""


def room_of(path: Path) -> str:
    """The innermost room that a file stands in."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in MAY_IMPORT), ".".join(parts[:2]))


def arrows_of(path: Path) -> list[tuple[int, str]]:
    """(line, module) of all that a file imports, or names as what is to be imported."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    return list(imports(path.read_text(encoding="utf-8"), package))


def forbidden(room: str, module: str) -> bool:
    ours, packages = MAY_IMPORT[room]
    top = module.split(".")[0]
    if module == "pay":
        return room not in SAYS_THE_VERSION
    if top != "pay":
        if top in STDLIB:
            if room in {"clnpay", "plugin"}:
                return top not in ENTRY_MODULES
            return room not in EDGES and top not in PURE | BESIDES.get(room, set())
        return not any(f"{module}.".startswith(f"{package}.") for package in packages)
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
        assert not arrows_of(path), "importing any room imports this file"
        return
    bad = [f"line {line}: {module}" for line, module in arrows_of(path) if forbidden(room, module)]
    if str(path.relative_to(ROOT)) in LOADS_BY_NAME:
        bad = [each for each in bad if not each.endswith(f" {UNKNOWN}")]
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
        ("pay.routing", "scipy.io"), ("pay.routing", "scipy"), ("pay.commands.form", "pay.commands.pay"),
        ("pay.commands.form", "pay.commands.table"), ("pay.commands.pages", "pay.commands.pay"),
        ("pay.commands.pages", "pay.engine"), ("pay.commands", "pay.commands.pages.page"),
        ("pay.commands.form", "time"), ("pay.engine", "pay.?"), ("pay.engine", UNKNOWN),
        *(
            ("pay.payment", module)
            for module in (
                "datetime", "pathlib", "io", "tempfile", "sqlite3", "urllib.request", "http.client", "queue",
                "logging", "importlib", "builtins", "contextvars", "sys", "codecs",
            )
        ),
    ],
)  # fmt: skip
def test_the_test_sees_a_wrong_arrow(room: str, module: str) -> None:
    assert forbidden(room, module)


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import a.b, c", {"a.b", "c"}), ("from pay.units import Msat", {"pay.units"}),
        ("from pay import units", {"pay.units"}), ("from . import register", {"pay.engine.live.register"}),
        ("from ..paying import x", {"pay.engine.paying"}), ("if TYPE_CHECKING:\n    import pay.sim", {"pay.sim"}),
        ("def late():\n    import pay.commands.pay", {"pay.commands.pay"}),
        ("load('pay.commands.table')", {"pay.commands.table"}), ("NAME = 'pay.commands'", {"pay.commands"}),
        ("f'pay.commands.{name}'", {"pay.commands"}), ("'pay.commands.' + name", {"pay.commands"}),
        ("'pay.commands.%s' % name", {"pay.commands"}), ("'pay.{}'.format(name)", {"pay.?"}),
        ("f'pay.{name}'", {"pay.?"}),
        ("import importlib\nimportlib.import_module('numpy')", {"importlib", "numpy"}),
        ("from importlib import import_module as load\nload(name)", {"importlib", UNKNOWN}),
        ("__import__('numpy')", {"numpy"}), ("__import__(name)", {UNKNOWN}),
        ("__import__(name='numpy')", {"numpy"}),
        ("__import__(f'{name}')", {UNKNOWN}),
        (
            "import importlib as i\ni.import_module('.table', 'pay.commands')",
            {"importlib", UNKNOWN, "pay.commands"},
        ),
        ("log = EventLog('pay.gossip')", set()), ('"""Runs pay.commands.table."""', set()),
    ],
)  # fmt: skip
def test_the_test_sees_an_import(source: str, modules: set[str]) -> None:
    assert {module for _, module in imports(source, ("pay", "engine", "live"))} == modules


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
        name: {module for _, module in arrows_of(path) if module in modules} - {name}
        for name, path in modules.items()
    }
    assert not circles(arrows)


def test_the_test_sees_a_circle() -> None:
    drawn = {"a": {"b", "d"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": set(), "f": {"a", "f2"}, "f2": {"f"}}
    assert circles(drawn) == [{"b", "c"}, {"f", "f2"}]
    assert not circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_rooms_open_no_files_and_draw_no_numbers(path: Path) -> None:
    """What an import does not show: the builtin `open`, numbers without a seed."""
    if room_of(path) not in EDGES:
        assert not list(impurities(path.read_text(encoding="utf-8")))


NUMPY = "import numpy as np\n"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("open('x')", True), ("import builtins\nbuiltins.open('x')", True), ("read = open", True),
        ("path.read_text()", True), ("array.tofile(file)", True), ("print(1)", True), ("hash(text)", True),
        (NUMPY + "np.load('x')", True), ("from numpy import memmap\nmemmap('x')", True),
        ("from numpy import *", True),
        ("import numpy\nnumpy.random.random()", True), (NUMPY + "np.random.random()", True),
        (NUMPY + "np.random.default_rng()", True), ("from numpy.random import default_rng\ndefault_rng()", True),
        ("from numpy.random import default_rng as rng\nrng(None)", True),
        ("from numpy.random import default_rng\ndefault_rng(seed=None)", True),
        (NUMPY + "draw = np.random.default_rng", True), (NUMPY + "r = np.random", True),
        ("import numpy.random as r\nr.seed(1)", True), ("from numpy import random\nrandom.shuffle(a)", True),
        (NUMPY + "getattr(np, 'random')", True), (NUMPY + "np.random.Generator(np.random.PCG64())", True),
        ("from scipy.optimize import dual_annealing\ndual_annealing(f)", True),
        ("import sys\nsys.modules['time']", True), ("from sys import stdin\nstdin.read()", True),
        ("import sys\nsys.stdout.write('x')", True),
        ("import sys\nsys.float_info.min", False), (NUMPY + "np.random.default_rng(seed).integers(3)", False),
        (NUMPY + "np.random.default_rng(seed=(1, 2))", False), ("import re\nre.compile('a')", False),
        (NUMPY + "def f(rng: np.random.Generator): np.zeros(3)", False), ("self.open = hash_", False),
    ],
)  # fmt: skip
def test_the_test_sees_files_and_chance(source: str, seen: bool) -> None:
    assert bool(list(impurities(source))) is seen


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
        ("session.result, x = None, 1", True), ("x, (y, *session.parts) = z", True), ("[session.a] = z", True),
        ("self._session.result = None", True), ("the_session.result = None", True),
        ("session.attempts.clear()", True), ("session.attempts.pop(1).close()", True),
        ("session.waits.x = 1", True),
        ("setattr(session, 'result', 1)", True), ("object.__setattr__(running.session, 'result', 1)", True),
        ("delattr(attempt, 'blame')", True), ("session.__dict__['result'] = 1", True),
        ("vars(session)['result'] = 1", True), ("attempt.blame = None", True),
        ("session.attempts[1].blame = x", True),
        ("for a in session.attempts.values():\n    a.blame = None", True), ("for session.x in y: pass", True),
        ("with a as session.x: pass", True), ("mine = running.session\nmine.result = 1", True),
        ("parts = session.attempts\nparts.update(x)", True), ("if s := session:\n    s.result = 1", True),
        ("session.handle(event, 1.0)", False), ("seen.add(session.state)", False),
        ("for a in session.attempts.values():\n    n += a.amount", False), ("self._sessions.pop(1)", False),
    ],
)  # fmt: skip
def test_the_test_sees_who_writes(source: str, seen: bool) -> None:
    assert bool(writes_to_a_session(source)) is seen


WITHOUT_JSON = {"pay.payment", "pay.feedback"}
HANDS_ON_WHAT_THE_HOST_SAID = {"pay.errors", "pay.host", "pay.commands", "pay.commands.form"}


def callers_json(room: str, source: str) -> list[str]:
    """Names by which what callers read could be made below the commands: an error has its facts as values."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                if (name in {"Any", "json"} and room in WITHOUT_JSON) or (
                    name == "HostsOwn" and room not in HANDS_ON_WHAT_THE_HOST_SAID
                ):
                    found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_callers_read_is_written_where_the_commands_are(path: Path) -> None:
    assert not callers_json(room_of(path), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("room", "source", "seen"),
    [
        ("pay.payment", "def f() -> dict[str, Any]: ...", True), ("pay.payment", "import json", True),
        ("pay.feedback", "def f(x: typing.Any): ...", True), ("pay.host", "def f() -> dict[str, Any]: ...", False),
        ("pay.engine", "raise PayError(1, '', HostsOwn({'a': 1}))", True), ("pay.host", "HostsOwn(data)", False),
        ("pay.engine.live", "errors.HostsOwn(data)", True),
        ("pay.payment", "from pay.errors import HostsOwn as H", True),
        ("pay.payment", "PayError(1, '', Expired(2, 3))", False),
    ],
)  # fmt: skip
def test_the_test_sees_callers_json(room: str, source: str, seen: bool) -> None:
    assert bool(callers_json(room, source)) is seen


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_can_be_read_in_one_go(path: Path) -> None:
    most = 150 if path.name == "plugin.py" else 400
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


def is_readable_by_old_pythons(source: str) -> bool:
    try:
        ast.parse(source, feature_version=(3, 8))
    except SyntaxError:
        return False
    return True


OLD_PYTHONS = [
    "clnpay.py", "plugin.py", "pay/__init__.py", "pay/app/__init__.py",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "pay/app/stand_in").glob("*.py"))),
]  # fmt: skip
"""What runs before it is known that the Python is new enough, and programs that the host starts by any Python."""


@pytest.mark.parametrize("name", OLD_PYTHONS)
def test_entry_points_are_readable_by_old_pythons(name: str) -> None:
    """They must get as far as saying that the Python is too old."""
    assert is_readable_by_old_pythons((ROOT / name).read_text(encoding="utf-8"))


def test_the_test_sees_new_syntax() -> None:
    assert is_readable_by_old_pythons("if (x := 1): pass")
    for new in (
        "match x:\n    case 1: pass",
        "try: pass\nexcept* ValueError: pass",
        "with (a as b, c as d): pass",
    ):
        assert not is_readable_by_old_pythons(new), new


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
