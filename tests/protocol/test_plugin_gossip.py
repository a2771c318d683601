"""A gossip_store that is missing, broken, cut or appears later: the plugin runs, says so, and pays what it can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.box.host import SAT, Host, hosting


def spoilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any) -> Iterator[Host]:
    """A host whose gossip_store is spoilt before the plugin opens it."""
    import pay.sim.lightningd.daemon as simulated

    class Spoilt(simulated.GossipFile):
        def __init__(self, world: Any, path: Path, release: tuple[int, int]):
            super().__init__(world, path, release)
            spoil(path)

    monkeypatch.setattr(simulated, "GossipFile", Spoilt)
    with hosting(tmp_path) as host:
        yield host


SPOILS = {
    "missing": (lambda path: path.unlink(), "gossip_missing"),
    "empty": (lambda path: path.write_bytes(b""), None),
    "unknown version": (lambda path: path.write_bytes(b"\x81" + path.read_bytes()[1:]), "gossip_unreadable"),
    "garbage": (lambda path: path.write_bytes(path.read_bytes()[:1] + b"\x20\0\0\x10" * 900), "gossip_unreadable"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "gossip_missing"),
}


@pytest.mark.parametrize("how", SPOILS)
def test_without_gossip(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own channels and route hints still work; who is beyond is unknown; the log says so once."""
    spoil, line = SPOILS[how]
    for host in spoilt(tmp_path, monkeypatch, spoil):
        assert host.pay(host.invoice("hub")).ok()["status"] == "complete"
        hint = host.channel("hub", "phone").hint_for(host.id("phone"))
        assert host.pay(host.invoice("phone", hints=[hint])).ok()["status"] == "complete"
        answer = host.pay(host.invoice("far"))
        assert answer.code == 205
        assert answer.error is not None and answer.error["data"]["reason"] == "unknown_node"
        if line is not None:
            assert len(host.lines(line)) == 1


def test_gossip_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the last record is not written yet: all before it counts."""

    def cut(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 7)

    for host in spoilt(tmp_path, monkeypatch, cut):
        assert host.pay(host.invoice()).ok()["amount_sent_msat"] <= 100_053 * SAT


def test_gossip_appears_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was not there at start is found by the next payment."""
    kept: list[tuple[Path, bytes]] = []

    def hide(path: Path) -> None:
        kept.append((path, path.read_bytes()))
        path.unlink()

    for host in spoilt(tmp_path, monkeypatch, hide):
        assert host.pay(host.invoice()).code == 205
        path, data = kept[0]
        path.write_bytes(data)
        assert host.pay(host.invoice()).ok()["status"] == "complete"
