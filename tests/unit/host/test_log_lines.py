"""What our log lines look like on the wire: levels and characters that arrive as they were meant."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from pyln.client.plugin import PluginLogHandler

from pay.app import application as app
from pay.host.host_plugin import HostPlugin


class Told:
    """What a plugin has written to the host."""

    def __init__(self, written: io.BytesIO):
        self._written = written

    def read(self) -> list[tuple[str, str]]:
        """Level and text of the lines for its log."""
        messages = [json.loads(text) for text in self._written.getvalue().split(b"\n\n") if text]
        return [(message["params"]["level"], message["params"]["message"]) for message in messages]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    # Each plugin of other tests has left one, and some a level of theirs.
    root.handlers[:] = [handler for handler in kept if not isinstance(handler, PluginLogHandler)]
    plugin, written = HostPlugin(), io.BytesIO()
    monkeypatch.setattr(plugin, "stdout", io.TextIOWrapper(written, write_through=True))
    monkeypatch.setattr(app.logging, "_srcfile", logging._srcfile)
    levels, disabled = (root.level, logging.getLogger("pay").level), root.manager.disable
    # What the demo has disabled in this process would be disabled here.
    logging.disable(logging.NOTSET)
    try:
        app._set_logging()
        yield Told(written)
    finally:
        logging.disable(disabled)
        root.handlers[:] = kept
        root.setLevel(levels[0])
        logging.getLogger("pay").setLevel(levels[1])
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = True


@pytest.mark.parametrize(
    ("level", "arrives"),
    [
        (logging.DEBUG, "debug"), (logging.INFO, "info"), (logging.WARNING, "unusual"), (logging.ERROR, "error"),
    ],
)  # fmt: skip
def test_levels(level: int, arrives: str, lines: Told) -> None:
    """What we call a warning is what lightningd shows as UNUSUAL; an error is its BROKEN."""
    logging.getLogger("pay").log(level, "something_happened n=%d", 3)
    assert lines.read() == [(arrives, "something_happened n=3")]


@pytest.mark.parametrize(
    ("said", "arrives"),
    [
        ("plain words", "plain words"),
        ("cut off…", "cut off..."),
        ("caf\u00e9 \u2013 \u20bf", r"caf\xe9 - \u20bf"),
        ("a\ttab and a bell\x07", r"a\ttab and a bell\x07"),
        ("half a pair \ud800", r"half a pair \ud800"),
    ],
)
def test_characters(said: str, arrives: str, lines: Told) -> None:
    """lightningd makes a question mark of each byte that is not printable ASCII."""
    # pytest keeps what it hears for its report, which half a pair cannot be sent in.
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if isinstance(handler, PluginLogHandler)]
    logging.getLogger("pay").info("%s", said)
    assert lines.read() == [("info", arrives)]
    assert arrives.isascii() and arrives.isprintable()


def test_an_exception_is_several_lines(lines: Told) -> None:
    try:
        raise ValueError("no…")
    except ValueError:
        logging.getLogger("pay").exception("session_crashed")
    told = lines.read()
    assert told[0] == ("error", "session_crashed") and told[-1] == ("error", "ValueError: no...")
