"""More payments at once than HTLC slots: each has its turn, and none meets a channel of ours without a slot.

us ──10 slots── hub ──── far      the hub takes 0.3 s for an HTLC
"""

from __future__ import annotations

from pathlib import Path

from pay.sim.network.clock import RealClock
from pay.sim.network.faults import Faults
from pay.sim.network.world import World
from pay.units import NodeId
from tests.support.box.host import CAPACITY_MSAT, CHEAP, SAT, hosting

SLOTS, PAYMENTS = 10, 40


def build(clock: RealClock) -> tuple[World, NodeId]:
    """The world of the picture above; there is money for all of them at once."""
    world = World(clock, seed=1, latency_s=0.0)
    us, hub, far = (world.add_node(name).id for name in ("us", "hub", "far"))
    for start, end in ((us, hub), (hub, far)):
        channel = world.add_channel(start, end, CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=CHEAP, policy_ba=CHEAP)
        if start == us:
            channel.htlc_limits[:] = [SLOTS, SLOTS]
    world.set_faults(hub, Faults(delay_s=0.3))
    return world, us


def test_forty_payments_through_ten_slots(tmp_path: Path) -> None:
    with hosting(tmp_path, build=build) as host:
        made = [host.invoice(amount_msat=100_000 * SAT) for _ in range(PAYMENTS)]
        mark = host.mark()
        pending = [host.pay_soon(invoice, retry_for=60) for invoice in made]
        answers = [call.answer() for call in pending]
        assert [answer.code for answer in answers] == [None] * PAYMENTS
        assert len(host.sendpays(mark)) == PAYMENTS, "one part each: none met a channel without a slot"
        assert host.lines("Too many HTLCs") == []


def test_a_slot_that_is_not_freed(tmp_path: Path) -> None:
    """All ten are held by the recipient: the eleventh reads so after retry_for, not that there is no route."""
    with hosting(tmp_path, build=build) as host:
        held = [host.invoice(hold=True) for _ in range(SLOTS)]
        waiting = [host.pay_held(invoice) for invoice in held]
        answer = host.pay(host.invoice(), retry_for=1)
        assert answer.code == 210 and answer.error is not None
        assert answer.error["data"]["reason"] == "busy"
        for invoice, call in zip(held, waiting, strict=True):
            host.release(invoice)
            assert call.answer().ok()
