"""Payments in several parts: what is sent, what is answered, and what happens when only some of it goes wrong.

us ══ hub ── far     two channels of 300,000 sat to the hub and one to alt, so that one part is too little
 └─── alt ──┘
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.payments.database import Status
from pay.sim.network.clock import RealClock
from pay.sim.network.encoding.failures import FailCode, failure
from pay.sim.network.faults import Faults
from pay.sim.network.recipient import fail_parts
from pay.sim.network.world import World
from pay.units import NodeId
from tests.support.box.host import CAPACITY_MSAT, CHEAP, SAT, TEMPORARY_CHANNEL_FAILURE, Host, hosting
from tests.support.box.narrow import THIRD_MSAT as SMALL_MSAT
from tests.support.box.narrow import THIRDS_MSAT as AMOUNT_MSAT
from tests.support.box.narrow import thirds as build


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Money is used up by what is tested here: a node for each test."""
    options = {"pay-dev-reconcile-ms": 300}
    with hosting(tmp_path, build=build, developer=True, options=options) as host:
        yield host


def delivered(parts: list[dict[str, Any]]) -> int:
    return sum(part["route"][-1]["amount_msat"] for part in parts)


def test_three_parts(host: Host) -> None:
    """More than any channel holds: parts that together are the amount, numbered, each with its total."""
    made = host.invoice(amount_msat=AMOUNT_MSAT)
    before = spendable(host)
    answer = host.pay(made).ok()
    sent = host.sendpays()
    assert len(sent) == answer["parts"] == 3
    assert delivered(sent) == AMOUNT_MSAT == made.received_msat == answer["amount_msat"]
    assert [part["partid"] for part in sent] == [1, 2, 3]
    orders = {(part["groupid"], part["amount_msat"], part["bolt11"]) for part in sent}
    assert orders == {(1, AMOUNT_MSAT, made.bolt11)}
    assert answer["amount_sent_msat"] == before - spendable(host)
    assert "warning_partial_completion" not in answer, "it waited for the last of them"
    assert host.pay(made).ok() == answer


def spendable(host: Host) -> int:
    us = host.id("us")
    return host.world(lambda world: sum(channel.spendable_msat(us) for channel in world.nodes[us].channels))


def test_one_part_fails_while_others_are_held(host: Host) -> None:
    """Only its amount is sent anew; never more than the whole is out."""
    made = host.invoice(amount_msat=400_000 * SAT, hold=True)
    with host.misbehaving("alt", fail_code=TEMPORARY_CHANNEL_FAILURE):
        pending = host.pay_soon(made)
        host.until(lambda: sum(part.amount_msat for part in made.parts) == made.amount_msat)
    rows = host.rows(made)
    out = sum(row["amount_msat"] for row in rows if row["status"] == "pending")
    assert out == made.amount_msat
    host.release(made)
    answer = pending.answer().ok()
    complete = [row for row in host.rows(made) if row["status"] == "complete"]
    assert answer["amount_sent_msat"] == sum(row["amount_sent_msat"] for row in complete)
    assert answer["parts"] == len(rows)


def test_rest_cannot_be_sent(host: Host) -> None:
    """A part is held while no way is left for the rest: no error until it is back. Of 890,000 sat alt is needed
    for nearly all it has, so that no other division would do with what is held free again."""
    made = host.invoice(amount_msat=890_000 * SAT, hold=True)
    with host.misbehaving("alt", fail_code=TEMPORARY_CHANNEL_FAILURE):
        pending = host.pay_soon(made)
        host.until(lambda: len(made.parts) == 2)
        host.log("No new parts are sent")
        assert not pending.answered
        message = failure(FailCode.MPP_TIMEOUT)
        host.world(lambda _: fail_parts(made, lambda _: message))
        answer = pending.answer()
    assert answer.code in (205, 210)
    assert answer.error is not None
    assert not [row for row in host.rows(made) if row["status"] == "pending"]


def test_refused_while_parts_are_held(host: Host) -> None:
    """The recipient refuses for good: everything comes back, and the answer is 203."""
    made = host.invoice(amount_msat=AMOUNT_MSAT, hold=True)
    pending = host.pay_soon(made)
    host.until(lambda: len(made.parts) == 3)
    host.cancel(made)
    answer = pending.answer()
    assert answer.code == 203
    assert answer.error is not None
    assert len(answer.error["data"]["failures"]) == 3
    assert {row["status"] for row in host.rows(made)} == {"failed"}


@pytest.mark.parametrize("fault", ["hang_up", "garbage"])
def test_answers_of_some_parts_are_lost(host: Host, fault: str) -> None:
    """All are repeated to the letter until answered, and the amount arrives once."""
    made = host.invoice(amount_msat=AMOUNT_MSAT, hold=True)
    with host.faults(**{fault: {"sendpay"}}):
        pending = host.pay_soon(made)
        host.until(lambda: len(made.parts) == 3)
    host.release(made)
    assert pending.answer().ok()["parts"] == 3
    by_part: dict[int, set[str]] = {}
    for part in host.sendpays():
        by_part.setdefault(part["partid"], set()).add(json.dumps(part, sort_keys=True))
    assert all(len(calls) == 1 for calls in by_part.values())
    assert made.received_msat == AMOUNT_MSAT


def test_killed_with_parts_out(host: Host) -> None:
    """After the restart the parts are found, nothing is sent twice, and the figures are those of the table."""
    made = host.invoice(amount_msat=AMOUNT_MSAT, hold=True)
    host.pay_soon(made)
    host.until(lambda: len(made.parts) == 3)
    host.box.kill()
    mark, calls = host.log_mark(), host.mark()
    host.box.restart()
    host.log("started version=", mark)
    pending = host.pay_soon(made)
    host.log("payment_attached", mark)
    assert not pending.answered
    host.release(made)
    answer = pending.answer().ok()
    answer.pop("warning_partial_completion", None)
    assert host.pay(made).ok() == answer
    assert answer["parts"] == 3
    assert host.sendpays(calls) == []
    assert made.received_msat == AMOUNT_MSAT


def test_joins_after_the_first_preimage(host: Host) -> None:
    """One part is settled and told, the others are not: after a second its callers are answered all the same, and
    who comes later is at once."""
    made = host.invoice(amount_msat=AMOUNT_MSAT, hold=True)
    pending = host.pay_soon(made)
    host.until(lambda: len(made.parts) == 3)
    last = made.parts[-1]
    made.parts.remove(last)
    held = made.parts[:]

    def settle_one(_: World) -> None:
        made.parts[:] = []
        last.settle(made.preimage)

    settled_s = time.monotonic()
    host.world(settle_one)
    soon = host.pay_soon(made)
    answer = pending.answer().ok()
    assert time.monotonic() - settled_s > 0.9
    assert "not yet completed" in answer["warning_partial_completion"]
    assert soon.answer().ok() == host.pay(made).ok() == answer
    assert answer["amount_sent_msat"] == sum(row["amount_sent_msat"] for row in host.rows(made))

    def settle_rest(_: World) -> None:
        for part in held:
            part.settle(made.preimage)

    host.world(settle_rest)
    host.until(lambda: host.box.world.in_flight == 0)
    host.settled(made)
    del answer["warning_partial_completion"]
    assert host.pay(made).ok() == answer


def test_recipient_takes_one_part_only(host: Host) -> None:
    """Without basic_mpp in the invoice a larger amount is 205, not two parts."""
    made = host.invoice(amount_msat=400_000 * SAT, features=1 << 8 | 1 << 14)
    answer = host.pay(made)
    assert answer.code == 205
    assert host.sendpays() == []


def test_disable_mpp(tmp_path: Path) -> None:
    with hosting(tmp_path, build=build, options={"disable-mpp": True}) as host:
        assert host.pay(host.invoice(amount_msat=400_000 * SAT)).code == 205
        assert host.sendpays() == []


def test_a_part_failed_after_the_preimage(host: Host) -> None:
    """The recipient gave the preimage and less is settled: it is paid all the same, and never 201."""
    made = host.invoice(amount_msat=AMOUNT_MSAT)
    first = host.pay(made).ok()
    table = host.node.db
    rows = host.until(lambda: [r for r in table.payments() if r.status is Status.COMPLETE][2:])
    host.world(lambda _: table.fail(rows[-1], None, None, rows[-1].created_at))
    again = host.pay(made).ok()
    assert "warning_partial_completion" in again
    assert again["amount_msat"] == AMOUNT_MSAT
    assert again["amount_sent_msat"] == first["amount_sent_msat"] - rows[-1].amount_sent_msat
    assert again["payment_preimage"] == first["payment_preimage"]
    assert host.pay(made, partial_msat=SMALL_MSAT).code == 201


def build_small(clock: RealClock) -> tuple[World, NodeId]:
    """us ── hub ══ far: the hub's channels take HTLCs of 1,980 sat."""
    world = World(clock, seed=1, latency_s=0.0)
    ids = {name: world.add_node(name).id for name in ("us", "hub", "far")}
    small = replace(CHEAP, htlc_max_msat=1_980 * SAT)
    for start, end, policy in (("us", "hub", CHEAP), ("hub", "far", small), ("hub", "far", small)):
        world.add_channel(
            ids[start], ids[end], CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=policy, policy_ba=policy
        ).htlc_limits[:] = [483, 483]
    return world, ids["us"]


def test_more_parts_than_usual_up_to_the_options_figure(tmp_path: Path) -> None:
    """100,000 sat in HTLCs of 1,980 sat: with 50 parts it is said what stands in the way; with 100, 51 pay."""
    with hosting(tmp_path, build=build_small, options={"pay-max-parts": 50}) as host:
        made = host.invoice(amount_msat=100_000 * SAT)
        error = host.pay(made).error
        assert error is not None
        assert (error["code"], error["data"]["reason"]) == (205, "insufficient_capacity")
        assert "99,000 sat that the open channels of the recipient can take in 50 parts" in error["message"]
        assert "pay-max-parts" in error["message"]
        assert host.sendpays() == []
        with host.option("pay-max-parts", 100):
            assert host.pay(made).ok()["parts"] == 51
            error = host.pay(host.invoice(amount_msat=198_001 * SAT)).error
            assert error is not None and error["message"].endswith("can take in 100 parts")
        assert delivered(host.sendpays()) == 100_000 * SAT


def test_of_fifty_parts_over_one_node_five_go_first(tmp_path: Path) -> None:
    """51 parts by way of the hub. It refuses all that it is given: that is five, and five more if what is planned
    after the first refusal still counts on the others. It forwards: the others follow half a second later.
    """
    with hosting(tmp_path, build=build_small) as host:
        hub = host.id("hub")
        host.world(lambda world: world.set_faults(hub, Faults(fail_code=TEMPORARY_CHANNEL_FAILURE)))
        error = host.pay(host.invoice(amount_msat=100_000 * SAT)).error
        assert error is not None and error["code"] == 205
        assert len(host.sendpays()) in (5, 10)
        host.world(lambda world: world.set_faults(hub, None))
        answer = host.pay(host.invoice(amount_msat=100_000 * SAT)).ok()
        assert answer["parts"] == 51


def test_disable_mpp_is_no_wish(tmp_path: Path) -> None:
    """In one part there is no way, and none is made in more."""
    with hosting(tmp_path, build=build_small, options={"disable-mpp": True}) as host:
        error = host.pay(host.invoice(amount_msat=100_000 * SAT)).error
        assert error is not None
        assert (error["code"], host.sendpays()) == (205, [])
        assert "too much in one part" in error["message"]
        assert error["message"].endswith("; disable-mpp allows no more parts")
