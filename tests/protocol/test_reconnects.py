"""Peers that are away are asked back, where only they could make the payment possible: the world of box/host.py.

All of them listen at 127.0.0.1:9735, and announce that but for those that a test calls unlisted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.daemon import Lightningd
from pay.sim.network.clock import RealClock
from pay.sim.network.faults import Faults
from pay.sim.network.world import World
from pay.units import NodeId
from tests.support.box.host import CAPACITY_MSAT, CHEAP, SAT, Host, hosting


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path) as host:
        yield host


def unplug(host: Host, *peers: str) -> None:
    """They are there, but not connected to us."""
    for peer in peers:
        channel = host.channel("us", peer)
        host.world(
            lambda world, channel=channel: world.set_channel_faults(channel, host.id("us"), Faults(offline=True))
        )


def connects(host: Host) -> list[tuple[Any, Any]]:
    """Where the plugin has dialled, in order; nowhere in particular where it named the peer only."""
    dialled = [entry.params for entry in host.recorded() if entry.method == "connect"]
    return [(params.get("host"), params.get("port")) for params in dialled]


def called(host: Host, mark: int = 0) -> list[str]:
    """Whom the plugin asked back, by name."""
    ids = [entry.params["id"] for entry in host.recorded(mark) if entry.method == "connect"]
    names = {peer.id.hex(): peer.name for peer in host.box.world.nodes.values()}
    return sorted(names[found] for found in ids)


def test_no_peer_is_connected(host: Host) -> None:
    unplug(host, "hub", "alt")
    assert host.pay(host.invoice()).ok()["parts"] == 1
    assert called(host) == ["alt", "hub"]


def test_those_that_are_connected_are_not_enough(host: Host) -> None:
    unplug(host, "hub")
    assert host.pay(host.invoice(amount_msat=15_000_000 * SAT)).ok()["parts"] == 2
    assert called(host) == ["hub"]


def test_peers_that_would_not_be_enough(host: Host) -> None:
    """25,000,000 sat over two channels of ten: it is no use."""
    unplug(host, "hub")
    error = host.pay(host.invoice(amount_msat=25_000_000 * SAT)).error
    assert error is not None and error["data"]["reason"] == "insufficient_spendable"
    assert called(host) == []


def test_another_way_is_there(host: Host) -> None:
    """Nobody is asked back, and nothing waits."""
    unplug(host, "hub")
    assert host.pay(host.invoice()).ok()
    assert called(host) == []


def test_they_do_not_come(host: Host) -> None:
    """205 at the deadline; each was asked once, said no at once, and is asked again by the next payment."""
    assert host.pay(host.invoice()).ok(), "the planner is up"
    with host.misbehaving("hub", offline=True), host.misbehaving("alt", offline=True):
        for asked in (["alt", "hub"], ["alt", "alt", "hub", "hub"]):
            error = host.pay(host.invoice(), retry_for=2).error
            assert error is not None
            assert (error["code"], error["data"]["reason"]) == (205, "no_own_channels")
            assert called(host) == asked


def test_no_answer_to_the_question(host: Host) -> None:
    """retry_for ends the waiting; with none at all there is none."""
    unplug(host, "hub", "alt")
    with host.faults(ignore={"connect"}):
        for retry_for in (0, 1):
            assert host.pay(host.invoice(), retry_for=retry_for).code == 205


def test_many_that_wait_for_the_same_peers(host: Host) -> None:
    """Sixty payments, one question a peer: a call of ours takes none of those that other payments need."""
    paid = host.invoice("hub")
    answer = host.pay(paid).ok()
    unplug(host, "hub", "alt")
    with host.faults(ignore={"connect"}):
        waiting = [host.pay_soon(host.invoice(), retry_for=2) for _ in range(60)]
        host.until(lambda: len(host.lines(" AskPeers")) >= 60)
        assert host.pay(paid).ok() == answer
        assert {pending.answer().code for pending in waiting} == {205}
    assert called(host) == ["alt", "hub"]


def test_who_could_not_help_is_left_alone(host: Host) -> None:
    """The hub is excluded, then the other one's channel to the recipient as well: nobody waits for that."""
    unplug(host, "hub", "alt")
    hub, far = host.id("hub").hex(), f"{host.scid('alt', 'far')}"
    assert host.pay(host.invoice(), exclude=[hub, far], retry_for=300).code == 205
    assert called(host) == []
    assert host.pay(host.invoice(), exclude=[hub]).ok()
    assert called(host) == ["alt"]


def private(clock: RealClock) -> tuple[World, NodeId]:
    """hub ── us ···· phone, which has no other channel."""
    world = World(clock, seed=1, latency_s=0.0)
    us, hub, phone = (world.add_node(name).id for name in ("us", "hub", "phone"))
    policies: dict[str, Any] = {"policy_ab": CHEAP, "policy_ba": CHEAP}
    world.add_channel(us, hub, CAPACITY_MSAT, CAPACITY_MSAT, **policies)
    world.add_channel(us, phone, CAPACITY_MSAT, CAPACITY_MSAT, announced=False, **policies)
    return world, us


def test_the_recipient_is_a_peer_that_is_away(tmp_path: Path) -> None:
    with hosting(tmp_path, build=private) as host:
        unplug(host, "phone")
        assert host.pay(host.invoice("phone")).ok()["parts"] == 1
        assert called(host) == ["phone"]


def test_the_recipient_comes_by_itself(tmp_path: Path) -> None:
    """To connect to it fails at once, as to a phone behind a router; a moment later it connects to us."""
    with hosting(tmp_path, build=private) as host:
        mark = host.log_mark()
        with host.misbehaving("phone", offline=True):
            pending = host.pay_soon(host.invoice("phone"))
            host.log("peer_away", mark)
        assert pending.answer().ok()["parts"] == 1
        assert called(host) == ["phone"]


BY_ID, WHERE_IT_WAS = (None, None), ("127.0.0.1", 9735)


def test_a_peer_that_announces_no_address(tmp_path: Path) -> None:
    """We have dialled it before, so the second call finds it."""
    with hosting(tmp_path, build=private) as host:
        host.node.faults.unlisted.add(host.id("phone"))
        unplug(host, "phone")
        assert host.pay(host.invoice("phone")).ok()["parts"] == 1
        assert connects(host) == [BY_ID, WHERE_IT_WAS]


@pytest.mark.parametrize("version", ["v24.11", "v26.06.6"])
def test_a_peer_that_starts_while_it_is_waited_for(tmp_path: Path, version: str) -> None:
    """It cannot be reached at once; two seconds later it is there, and only waits for us."""
    with hosting(tmp_path, build=private, version=version) as host:
        host.node.faults.unlisted.add(host.id("phone"))
        unplug(host, "phone")
        with host.misbehaving("phone", offline=True):
            pending = host.pay_soon(host.invoice("phone"), retry_for=40)
            host.log("peer_away")
        assert pending.answer().ok()["parts"] == 1
        assert connects(host) == [BY_ID, WHERE_IT_WAS] * 2


def test_a_peer_that_announces_its_address_starts_while_it_is_waited_for(host: Host) -> None:
    """The host itself knows what to dial, and that is where it was: nothing is dialled twice at a time."""
    unplug(host, "hub", "alt")
    with host.misbehaving("hub", offline=True):
        pending = host.pay_soon(host.invoice(), exclude=[host.id("alt").hex()], retry_for=40)
        host.log("peer_away")
    assert pending.answer().ok()["parts"] == 1
    assert connects(host) == [BY_ID] * 2 and called(host) == ["hub", "hub"]


def test_a_peer_that_announces_another_address(host: Host) -> None:
    """A port of the same machine that cannot be reached from here."""
    unplug(host, "hub", "alt")
    elsewhere = "All addresses failed: 127.0.0.1:9736: Connection establishment: Connection timed out. "
    with host.faults(errors={"connect": (401, elsewhere)}):
        assert host.pay(host.invoice(), exclude=[host.id("alt").hex()], retry_for=3).code == 205
    # Once or twice, as quick as the machine is.
    assert connects(host)[:2] == [BY_ID, WHERE_IT_WAS]


def dialled_us(node: Lightningd) -> None:
    """Every peer did."""
    node.faults.callers.update(node.world.nodes)
    node.faults.unlisted.update(node.world.nodes)


def test_a_peer_that_has_dialled_us(tmp_path: Path) -> None:
    """The port that it came from is none at which it listens: called once, as no later call could find it."""
    with hosting(tmp_path, build=private, prepare=dialled_us) as host:
        unplug(host, "phone")
        error = host.pay(host.invoice("phone"), retry_for=4).error
        assert error is not None and error["code"] == 205
        assert connects(host) == [BY_ID]


def behind_a_peer(clock: RealClock) -> tuple[World, NodeId]:
    """hub ── us ── lsp ···· phone, which has no other channel."""
    world = World(clock, seed=1, latency_s=0.0)
    us, hub, lsp, phone = (world.add_node(name).id for name in ("us", "hub", "lsp", "phone"))
    policies: dict[str, Any] = {"policy_ab": CHEAP, "policy_ba": CHEAP}
    world.add_channel(us, hub, CAPACITY_MSAT, CAPACITY_MSAT, **policies)
    world.add_channel(us, lsp, CAPACITY_MSAT, CAPACITY_MSAT, **policies)
    world.add_channel(lsp, phone, CAPACITY_MSAT, CAPACITY_MSAT, announced=False, **policies)
    return world, us


def test_the_entry_of_a_hint_is_a_peer_that_is_away(tmp_path: Path) -> None:
    """Another channel of ours is in use, which is no way to the phone: the hub is not what is missed."""
    with hosting(tmp_path, build=behind_a_peer) as host:
        hint = host.channel("lsp", "phone").hint_for(host.id("phone"))
        unplug(host, "lsp")
        assert host.pay(host.invoice("phone", hints=[hint])).ok()["parts"] == 1
        assert called(host) == ["lsp"]


def test_the_peer_goes_before_the_part_is_sent(host: Host) -> None:
    """The other way is taken at once, and the peer asked back for the next payment."""
    made = host.invoice()
    mark = host.log_mark()
    with host.faults(delay_s={"sendpay": 0.3}):
        pending = host.pay_soon(made)
        host.log("SendAttempt partid=1", mark)
        unplug(host, "hub")
        answer = pending.answer().ok()
    assert answer["parts"] == 2
    host.until(lambda: called(host) == ["hub"])
    assert [row["amount_msat"] for row in host.rows(made)] == [made.amount_msat]
