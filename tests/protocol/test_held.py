"""Recipients that hold what arrives, beyond retry_for, and one that is ahead of us: the waiting for an end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import SAT, UNKNOWN_DETAILS, Host, hosting

AMOUNT_MSAT = 100_000 * SAT


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(
        Path(tmp_path_factory.mktemp("host")), developer=True, options={"pay-dev-reconcile-ms": 300}
    ) as host:
        yield host


def test_held_beyond_retry_for(host: Host) -> None:
    """retry_for ends new attempts, not the waiting: the answer is the outcome."""
    made, refused = host.invoice(hold=True), host.invoice(hold=True)
    mark = host.log_mark()
    pending, other = host.pay_held(made, retry_for=0), host.pay_held(refused, retry_for=0)
    host.until(lambda: len(host.lines("TimerFired", mark)) == 2)
    assert not pending.answered and not other.answered
    (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
    (attempt,) = shown["attempts"]
    assert (shown["session_status"], shown["no_new_parts"]) == ("Inflight", "retry_for is over")
    assert attempt["probably_at"]["reason"].startswith("past our own channel")
    out = host.call("listpeerchannels").ok()["channels"]
    (expiry,) = {h["expiry"] for c in out for h in c["htlcs"] if h["payment_hash"] == made.payment_hash.hex()}
    assert attempt["must_resolve"]["height"] == expiry
    host.release(made)
    assert pending.answer().ok()["status"] == "complete"
    host.cancel(refused)
    assert other.answer().code == 203


def test_where_a_part_is_stuck(host: Host) -> None:
    """Gossip has the second channel as disabled since; without the list of HTLCs nothing is said of it."""
    made = host.invoice(hold=True)
    pending = host.pay_held(made)
    hub = host.id("hub")
    channel = host.channel("hub", "far")
    policy = channel.policies[channel.side(hub)]
    host.world(lambda world: world.set_policy(channel, hub, replace(policy, enabled=False)))
    (attempt,) = host.call("paystatus", [made.bolt11]).ok()["pay"][0]["attempts"]
    place = attempt["probably_at"]
    assert (place["hop"], place["alias"], place["channel"]) == (1, "hub", host.scid("hub", "far"))
    with host.faults(errors={"listpeerchannels": (-1, "no")}):
        (attempt,) = host.call("paystatus", [made.bolt11]).ok()["pay"][0]["attempts"]
    assert "probably_at" not in attempt and attempt["must_resolve"]["blocks_left"] > 0
    host.world(lambda world: world.set_policy(channel, hub, policy))
    host.release(made)
    assert pending.answer().ok()


def test_held_and_failed_beyond_retry_for(host: Host) -> None:
    """After its time no new attempt is made."""
    made = host.invoice(hold=True)
    mark = host.mark()
    pending = host.pay_held(made, retry_for=0)
    host.give_back(made)
    assert pending.answer().code == 210
    assert len(host.sendpays(mark)) == 1


def test_recipient_is_a_block_ahead(host: Host) -> None:
    """It refuses what would expire too soon for it: we wait for its block and try again."""
    made = host.invoice()
    far = host.box.world.nodes[host.id("far")]
    host.world(lambda _: setattr(far, "extra_height", 2))
    mark = host.log_mark()
    # The blocks of a shadow would do as well.
    with host.option("pay-shadow", "off"):
        pending = host.pay_soon(made)
        host.log("waiting for it", mark) if host.lines("waiting for it", mark) else host.log("WaitHeight", mark)
        host.world(lambda _: setattr(far, "extra_height", 0))
        host.world(lambda world: world.mine(2))
        answer = pending.answer().ok()
    assert answer["parts"] == 2
    assert host_failcode(host, made) == UNKNOWN_DETAILS


def test_two_blocks_come_while_a_part_is_under_way(host: Host) -> None:
    """The recipient is two blocks further than we were when we sent, and by the time it says so no further than we
    are: that is no refusal for good. The part is sent again, from there."""
    made = host.invoice()
    with host.option("pay-shadow", "off"), host.misbehaving("hub", delay_s=1.0):
        pending = host.pay_soon(made)
        host.until(lambda: host.box.world.in_flight)
        host.world(lambda world: world.mine(2))
        answer = pending.answer().ok()
    assert answer["parts"] == 2
    assert host_failcode(host, made) == UNKNOWN_DETAILS


def host_failcode(host: Host, made: SimInvoice) -> int:
    """Of the first part, as the host kept it."""
    row = host.rows(made)[0]
    assert row["status"] == "failed"
    error = host.call("waitsendpay", {"payment_hash": row["payment_hash"], "partid": 1, "groupid": 1}).error
    assert error is not None
    return int(error["data"]["failcode"])
