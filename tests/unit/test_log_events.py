"""The events of the log: each line begins with one, and the table says of it what the lines themselves show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pay.commands.pages.log_events import as_markdown
from pay.log_events import EventLog, Level, LogEvent

ROOT = Path(__file__).parents[2]
SOURCES = [path for path in sorted((ROOT / "pay").rglob("*.py")) if "sim" not in path.relative_to(ROOT).parts]
LEVELS = {method: {Level(method)} for method in ("debug", "info", "unusual", "broken")}
LEVELS |= {"write": {Level.INFO, Level.UNUSUAL}, "_trouble": {Level.BROKEN}}
"""What the methods of an `EventLog` are called; and two names that stand for some of them."""

ANYTHING = {"event", "action", "pay_refused", "xpay_answers_pay"}
"""Of these not all fields can be read off the text."""


class Line(NamedTuple):
    where: str
    event: LogEvent
    levels: set[Level]
    text: str


def lines(source: str, where: str) -> Iterator[Line]:
    """All lines that a file writes by an `EventLog`. Fails where one has no event of the table."""
    for call in ast.walk(ast.parse(source)):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method), args=[event, *rest]):
                if method == "is_enabled":
                    continue
            case ast.Call(func=ast.Name(id="write"), args=[ast.Attribute() as event, *rest]):
                method = "write"
            case ast.Call(func=ast.Attribute(attr="_trouble" as method), args=[event, *rest]):
                pass
            case ast.Call(func=ast.Name(id="Command"), keywords=named):
                # What `serve` writes where an answer of this command ends in an exception.
                (event,) = (keyword.value for keyword in named if keyword.arg == "bug")
                method, rest = "broken", []
            case _:
                continue
        if isinstance(event, ast.Name) and event.id == "event":
            continue  # handed in by one that is found above
        for one in (event.body, event.orelse) if isinstance(event, ast.IfExp) else (event,):
            assert isinstance(one, ast.Attribute) and ast.unparse(one.value) == "LogEvent", f"{where}: {method}"
            text = rest[0].value if rest and isinstance(rest[0], ast.Constant) else ""
            yield Line(where, LogEvent[one.attr], LEVELS[method], str(text))


ALL = [line for path in SOURCES for line in lines(path.read_text(), f"{path.relative_to(ROOT)}")]


def fields(text: str) -> list[str]:
    """Names of the values in a text; the first `%s` is how a payment is named, where it has no key."""
    named = re.findall(r"([a-z_]+)=(?:%|false)", text.split("; remove")[0])
    return ["payment_hash", "groupid", *named] if text.startswith("%s") else named


def test_every_line_is_of_a_level_that_the_table_has() -> None:
    assert len(ALL) > 60
    for line in ALL:
        assert line.levels <= set(line.event.about.levels), line


def test_every_level_of_the_table_is_of_some_line() -> None:
    """Of all events but those that do not go through an `EventLog`."""
    for event in set(LogEvent) - {LogEvent.OPTION_SET, LogEvent.HOST_MESSAGE_UNREADABLE, LogEvent.RPC_MALFORMED}:
        written = {level for line in ALL if line.event is event for level in line.levels}
        assert written == set(event.about.levels), event


def test_the_table_has_the_fields_of_every_line() -> None:
    for line in ALL:
        if str(line.event) in ANYTHING:
            continue
        listed = line.event.about.fields.replace("[", "").replace("]", "").split()
        always = [name for name in line.event.about.fields.split() if not name.startswith("[")]
        found = fields(line.text)
        assert [name for name in listed if name in found] == found, line
        assert set(always) <= set(found), line


def test_nobody_writes_beside_it() -> None:
    """No logger of its own in any file, and no name of an event as text."""
    loggers = [path.name for path in SOURCES if "logging.getLogger(" in path.read_text()]
    assert sorted(loggers) == ["application.py", "log_events.py", "service.py"], "two that set levels, and ours"
    names = re.compile("|".join(f"[\"']{event}[ :]" for event in LogEvent if "_" in str(event)))
    found = [(path.name, names.findall(path.read_text())) for path in SOURCES if path.name != "log_events.py"]
    assert [each for each in found if each[1]] == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ('log.info(LogEvent.STARTED, "id=%s", us)', True), ('log.info("started id=%s", us)', False),
        ("log.broken(LogEvent.TASK_FAILED if one else LogEvent.HOOK_FAILED)", True),
        ('log.broken(LogEvent.TASK_FAILED if one else "hook_failed")', False),
    ],
)  # fmt: skip
def test_the_test_sees_a_line_without_an_event(source: str, seen: bool) -> None:
    if seen:
        assert list(lines(source, "here"))
    else:
        with pytest.raises(AssertionError):
            list(lines(source, "here"))


def test_what_a_line_reads(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog("pay.some")
    caplog.set_level("DEBUG", "pay.some")
    log.info(LogEvent.GOSSIP_LOADED, "channels=%d nodes=%d seconds=%.2f", 3, 2, 0.123)
    log.unusual(LogEvent.LIQUIDITY_UNWRITTEN, "error=%r: it is tried again, payments go on", "no %s")
    try:
        raise KeyError("a bug")
    except KeyError:
        log.broken(LogEvent.PLAN_BROKEN, ": planned again")
    log.broken(LogEvent.TASK_FAILED, trace=False)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "gossip_loaded channels=3 nodes=2 seconds=0.12"),
        ("WARNING", "liquidity_unwritten error='no %s': it is tried again, payments go on"),
        ("ERROR", "plan_broken: planned again"),
        ("ERROR", "task_failed"),
    ]
    assert [bool(record.exc_info) for record in caplog.records] == [False, False, True, False]


def test_a_line_that_nobody_reads_is_not_made(caplog: pytest.LogCaptureFixture) -> None:
    class Words:
        def __str__(self) -> str:
            raise AssertionError("made")

    caplog.set_level("INFO", "pay.some")
    log = EventLog("pay.some")
    log.debug(LogEvent.EVENT, "%s", Words())
    assert caplog.records == [] and not log.is_enabled(Level.DEBUG) and log.is_enabled(Level.INFO)


def test_the_page_is_what_the_table_makes() -> None:
    """After a change of the table: `make docs`."""
    assert (ROOT / "docs" / "log-events.md").read_text() == as_markdown()
