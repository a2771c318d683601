"""What `pay` waits for, on real nodes: peers that are stopped and started, a hub in trouble, phones.

        ╭══ lsp ──╮           lsp: eight channels of 200,000 sat; it can be told to refuse
payer ──┼── hub ──┴ far       phone: behind lsp, not announced, takes six HTLCs
 ┆      lsp ┄┄ phone
 ╰┄┄ friend                   friend: our peer, not announced
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.real.support.network import Node, Regtest
from tests.real.support.paying import begin, invoice, received, rows, wait_until
from tests.real.support.road import OPTIONS
from tests.support.plugins import LIAR
from tests.support.rawrpc import Answer
from tests.support.waiting import result_of

SAT = 1_000
AMOUNT_MSAT = 100_000 * SAT
RETRY_FOR = 40
SLOTS = 6
TEMPORARY_NODE_FAILURE = "2002"


@dataclass(frozen=True, slots=True)
class Town:
    payer: Node
    lsp: Node
    hub: Node
    far: Node
    phone: Node
    friend: Node

    def pays(self, made: dict[str, Any], **more: Any) -> Future[Answer]:
        """A payment that is under way."""
        return begin(self.payer, bolt11=made["bolt11"], retry_for=RETRY_FOR, **more)

    def status(self, made: dict[str, Any]) -> dict[str, Any]:
        """What `paystatus` shows of it; empty before there is any."""
        shown = self.payer.call("paystatus", made["bolt11"])["pay"]
        return shown[0] if shown else {}

    def pauses(self, made: dict[str, Any]) -> None:
        """Wait until it does."""
        wait_until(lambda: self.status(made).get("waiting_for") == "pausing")

    @contextmanager
    def stopped(self, node: Node) -> Iterator[None]:
        """It does not run, and our node has seen that it is gone."""
        node.peer.stop()
        try:
            if node is not self.phone:
                wait_until(lambda: not self.connected(node))
            yield
        finally:
            node.peer.start()

    def connected(self, node: Node) -> bool:
        return any(channel["peer_connected"] for channel in self.channels(self.payer, node))

    def channels(self, source: Node, target: Node) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = source.call("listpeerchannels", id=target.id)["channels"]
        return found

    def up(self) -> None:
        """Everybody is connected again, with channels in use."""
        pairs = [(self.payer, n) for n in (self.lsp, self.hub, self.friend)] + [(self.lsp, self.phone)]
        pairs += [(self.lsp, self.far), (self.hub, self.far)]
        for source, target in pairs:
            wait_until(lambda s=source, t=target: all(c["peer_connected"] for c in self.channels(s, t)))


@pytest.fixture(scope="module")
def whole_town(regtest: Regtest) -> Town:
    few = {"max-concurrent-htlcs": SLOTS}
    payer, lsp, hub, far, phone, friend = regtest.start(OPTIONS, {"plugin": str(LIAR)}, {}, {}, few, {})
    regtest.open_channels(*[(payer, lsp)] * 8, capacity_sat=200_000)
    regtest.open_channels((payer, hub), (lsp, far), (hub, far))
    regtest.open_channels((payer, friend), announce=False)
    regtest.open_channels((lsp, phone), announce=False, capacity_sat=2_000_000)
    regtest.wait_for_channels(payer, 11)
    return Town(payer, lsp, hub, far, phone, friend)


@pytest.fixture
def town(whole_town: Town) -> Town:
    whole_town.up()
    return whole_town


def failed(town: Town, made: dict[str, Any]) -> int:
    return sum(row["status"] == "failed" for row in rows(town.payer, made))


def test_the_payee_is_a_peer_that_was_stopped(town: Town) -> None:
    """It has no other channel, and ours are many."""
    made = invoice(town.friend, AMOUNT_MSAT)
    with town.stopped(town.friend):
        pending = town.pays(made)
        town.pauses(made)
    assert result_of(pending).ok()["parts"] == 1
    assert received(town.friend, made) == AMOUNT_MSAT and failed(town, made) == 0


def test_the_payee_was_away_for_half_a_minute(town: Town) -> None:
    """Our host would dial it in another half, later than anybody waits; and it announces no address. It is started
    once it was called in vain."""
    made = invoice(town.friend, AMOUNT_MSAT)
    log = town.payer.peer.daemon
    log.logsearch_start = len(log.logs)
    with town.stopped(town.friend):
        log.wait_for_log(rf"{town.friend.id}.*Will try reconnect in (32|64|128|256|300) seconds")
        pending = town.pays(made)
        log.wait_for_log(rf"peer_away .*{made['payment_hash']}.*Connection refused")
    assert result_of(pending).ok()["parts"] == 1
    assert received(town.friend, made) == AMOUNT_MSAT and failed(town, made) == 0


def test_the_entry_of_a_hint_was_stopped(town: Town) -> None:
    """lsp is our peer; it comes back, and then the phone to it."""
    made = invoice(town.phone, AMOUNT_MSAT)
    with town.stopped(town.lsp):
        pending = town.pays(made)
        town.pauses(made)
    assert result_of(pending).ok()["status"] == "complete"
    assert received(town.phone, made) == AMOUNT_MSAT


def test_the_phone_was_stopped(town: Town) -> None:
    """lsp says that it cannot be carried: so it is tried in halves and quarters, as there may be several channels
    behind a hint, and then as a whole until the phone is there."""
    made = invoice(town.phone, AMOUNT_MSAT)
    with town.stopped(town.phone):
        pending = town.pays(made)
        wait_until(lambda: failed(town, made) >= 1)
    answer = result_of(pending).ok()
    assert answer["status"] == "complete" and received(town.phone, made) == AMOUNT_MSAT
    assert 1 <= failed(town, made) <= 12


def test_the_only_hub_is_in_trouble_for_a_while(town: Town) -> None:
    """Twice it says temporary_node_failure; there is no other way, as hub is not to be used."""
    made = invoice(town.far, AMOUNT_MSAT)
    town.lsp.call("lie", [TEMPORARY_NODE_FAILURE])
    pending = town.pays(made, exclude=[town.hub.id])
    wait_until(lambda: town.lsp.call("lied", made["payment_hash"])["htlcs"] >= 2)
    town.lsp.call("honest")
    assert result_of(pending).ok()["status"] == "complete" and received(town.far, made) == AMOUNT_MSAT
    assert town.lsp.call("lied", made["payment_hash"])["htlcs"] in (2, 3)


def test_a_phone_that_takes_six_htlcs(town: Town) -> None:
    """Eight channels of 200,000 sat: six parts carry 1,000,000, and none is refused."""
    made = invoice(town.phone, 1_000_000 * SAT)
    assert result_of(town.pays(made)).ok()["parts"] == SLOTS
    assert received(town.phone, made) == 1_000_000 * SAT and failed(town, made) == 0


def test_the_money_of_a_peer_that_was_stopped(town: Town) -> None:
    """1,000,000 sat: hub has less than that by its reserve, and of lsp's channels most was spent above."""
    made = invoice(town.far, 1_000_000 * SAT)
    with town.stopped(town.hub):
        pending = town.pays(made)
        town.pauses(made)
    assert result_of(pending).ok()["parts"] > 1
    assert received(town.far, made) == 1_000_000 * SAT
