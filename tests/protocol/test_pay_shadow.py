"""Shadow routes end to end: what the nodes on the way see, what callers read, and what a restart keeps.

The world is that of box/host.py: far has channels with hub and alt, so a walk from it leads on over one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.engine.records.entry import decode
from pay.network import Policy
from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from pay.units import NodeId, direction_of
from tests.support.box.host import CAPACITY_MSAT, CHEAP, SAT, UNKNOWN_DETAILS, Host, hosting
from tests.support.box.narrow import SPLIT_MSAT, narrow

AMOUNT_MSAT = 100_000 * SAT
FEE_MSAT = 11 * SAT
"""Of the hub for it."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory = Path(tmp_path_factory.mktemp("host"))
    with hosting(directory, developer=True, options={"xpay-handle-pay": False}) as host:
        yield host


def sent(host: Host, mark: int) -> tuple[list[tuple[int, int]], int]:
    """Amount and delay of each hop of the one part that was sent, and the total that it announced."""
    (part,) = host.sendpays(mark)
    return [(hop["amount_msat"], hop["delay"]) for hop in part["route"]], part["amount_msat"]


def test_by_default_a_route_is_longer_and_costs_the_same(host: Host) -> None:
    """far asks for 10 blocks, the hub for 40: both HTLCs have 40 to 200 more, and so it settles."""
    made, mark = host.invoice(), host.mark()
    answer = host.pay(made).ok()
    (first, last), total = sent(host, mark)
    assert 50 <= last[1] <= 10 + 2 * 80 + 40 and first[1] - last[1] == 40
    assert (first[0], last[0], total) == (AMOUNT_MSAT + FEE_MSAT, AMOUNT_MSAT, AMOUNT_MSAT)
    (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
    assert (shown["shadow_delay"], shown["shadow_fee_msat"]) == (last[1] - 10, 0)
    assert answer["amount_sent_msat"] == AMOUNT_MSAT + FEE_MSAT


def test_payments_differ(host: Host) -> None:
    mark = host.mark()
    for _ in range(12):
        host.pay(host.invoice()).ok()
    assert len({part["route"][-1]["delay"] for part in host.sendpays(mark)}) > 1


def test_the_same_invoice_is_tried_again_with_the_same_shadow(host: Host) -> None:
    """The hub knows the tries by their payment_hash, and learns nothing from the second."""
    for kind in ("delay", "full"):
        made, mark = host.invoice(), host.mark()
        with host.option("pay-shadow", kind), host.misbehaving("far", fail_code=UNKNOWN_DETAILS):
            for _ in range(6):
                assert host.pay(made).code == 203
        tries = [(part["route"][-1]["delay"], part["amount_msat"]) for part in host.sendpays(mark)]
        assert len(tries) == 6 and len(set(tries)) == 1


@pytest.mark.parametrize("how", ["option", "parameter"])
def test_off(host: Host, how: str) -> None:
    """For everybody, or for one payment of a developer."""
    mark = host.mark()
    if how == "option":
        with host.option("pay-shadow", "off"):
            host.pay(host.invoice()).ok()
    else:
        host.pay(host.invoice(), dev_use_shadow=False).ok()
    assert sent(host, mark)[0][-1][1] == 10


def test_full_sends_a_little_more(host: Host) -> None:
    """At most a tenth of the hub's fee beyond the invoice, announced as the total; callers see it as a fee, also
    when they ask again."""
    made, mark = host.invoice(), host.mark()
    with host.option("pay-shadow", "full"):
        answer = host.pay(made).ok()
        again = host.pay(made).ok()
    (first, last), total = sent(host, mark)
    extra = total - AMOUNT_MSAT
    assert FEE_MSAT // 20 <= extra <= FEE_MSAT // 10
    assert last[0] == total
    assert answer["amount_msat"] == AMOUNT_MSAT and answer["amount_sent_msat"] == first[0]
    assert again == answer
    # Our share is all of it: no other payment than the one that was made.
    assert host.pay(made, partial_msat=AMOUNT_MSAT).ok() == answer
    assert host.pay(made, partial_msat=AMOUNT_MSAT - SAT).code == 201
    (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
    assert (shown["amount_msat"], shown["shadow_fee_msat"]) == (AMOUNT_MSAT, extra)


def test_full_stays_within_the_limit(host: Host) -> None:
    """With 40 msat above the cheapest route 10 of them, with 3 none: it is never the shadow that is too dear."""
    with host.option("pay-shadow", "full"):
        for more, most in ((40, 10), (3, 0), (0, 0)):
            mark = host.mark()
            answer = host.pay(host.invoice(), maxfee=FEE_MSAT + more).ok()
            _, total = sent(host, mark)
            assert total - AMOUNT_MSAT <= most
            assert answer["amount_sent_msat"] - answer["amount_msat"] <= FEE_MSAT + more


def test_no_fee_where_the_amount_is_not_the_invoices(host: Host) -> None:
    """Amountless, or only our share of it: delay alone."""
    with host.option("pay-shadow", "full"):
        mark = host.mark()
        host.pay(host.invoice(amount_msat=None), amount_msat=AMOUNT_MSAT).ok()
        (_, last), total = sent(host, mark)
        assert (last[0], total) == (AMOUNT_MSAT, AMOUNT_MSAT) and last[1] > 10
        mark = host.mark()
        made = host.invoice()
        pending = host.pay_soon(made, partial_msat=40_000 * SAT)
        host.until(lambda: host.sendpays(mark))
        (_, last), total = sent(host, mark)
        assert (last[0], total) == (40_000 * SAT, AMOUNT_MSAT)
        host.cancel(made)
        assert pending.answer().code is not None


def test_no_shadow_for_a_neighbour_nor_for_ourselves(host: Host) -> None:
    with host.option("pay-shadow", "full"):
        mark = host.mark()
        host.pay(host.invoice("hub")).ok()
        assert sent(host, mark) == ([(AMOUNT_MSAT, 10)], AMOUNT_MSAT)
        mark = host.mark()
        host.pay(host.invoice("us")).ok()
        assert sent(host, mark) == ([], AMOUNT_MSAT)


def test_a_payee_that_gossip_does_not_know(host: Host) -> None:
    """The phone behind the hub: a delay of channels elsewhere."""
    mark = host.mark()
    hint = host.channel("hub", "phone").hint_for(host.id("phone"))
    host.pay(host.invoice("phone", hints=[hint])).ok()
    (_, last), _ = sent(host, mark)
    assert last[1] > 10


def test_maxdelay_holds(host: Host) -> None:
    """50 blocks are what the way needs; with 200 a walk may take 47 of the 190 that are left to it."""
    for maxdelay, most in ((50, 50), (60, 60), (200, 50 + 47)):
        mark = host.mark()
        host.pay(host.invoice(), maxdelay=maxdelay).ok()
        assert sent(host, mark)[0][0][1] <= most


def test_errors_count_it_as_a_fee(host: Host) -> None:
    """The hub wants 30 sat, as we learn from its refusal, and 20 are allowed: 206 tells what the new route and the
    shadow cost together."""
    made = host.invoice()
    channel = host.channel("hub", "far")
    side = direction_of(host.id("hub"), host.id("far"))
    dearer = Policy(30 * SAT, 0, 40, 1000, CHEAP.htlc_max_msat)
    with host.option("pay-shadow", "full"):
        host.world(lambda _: channel.policies.__setitem__(side, dearer))
        mark = host.mark()
        error = host.pay(made, maxfee=20 * SAT).error
        host.world(lambda _: channel.policies.__setitem__(side, CHEAP))
    assert error is not None and error["code"] == 206
    extra = host.sendpays(mark)[0]["amount_msat"] - AMOUNT_MSAT
    assert extra > 0
    assert error["data"]["fee"] == 30 * SAT + extra
    assert error["data"]["amount_msat"] == AMOUNT_MSAT and "for the shadow route" in error["message"]


def test_setconfig(host: Host) -> None:
    """A word that is none is refused in words; `check` asks only."""
    for bad in ("yes", "Delay", "", "1"):
        answer = host.call("setconfig", {"config": "pay-shadow", "val": bad})
        assert answer.code == -32602 and answer.error is not None
        assert "off, delay, full" in answer.error["message"]
    assert host.call("check", {"command_to_check": "setconfig", "config": "pay-shadow", "val": "full"}).ok()
    assert host.call("listconfigs", {"config": "pay-shadow"}).ok()["configs"]["pay-shadow"]["value_str"] == "delay"


def test_all_parts_announce_the_same(tmp_path: Path) -> None:
    """4,000,000 sat in two parts: one shadow fee for both, in the total of each, and the same blocks more."""
    options: dict[str, Any] = {"pay-shadow": "full", "xpay-handle-pay": False}
    with hosting(tmp_path, build=narrow, options=options) as host:
        made, mark = host.invoice(amount_msat=SPLIT_MSAT), host.mark()
        answer = host.pay(made).ok()
        parts = host.sendpays(mark)
        assert len(parts) == 2 and answer["amount_msat"] == SPLIT_MSAT
        (total,) = {part["amount_msat"] for part in parts}
        assert total == sum(part["route"][-1]["amount_msat"] for part in parts) > SPLIT_MSAT
        assert len({part["route"][-1]["delay"] for part in parts}) == 1
        assert answer["amount_sent_msat"] == sum(part["route"][0]["amount_msat"] for part in parts)


def test_a_word_that_is_none_in_the_configuration(tmp_path: Path) -> None:
    """The node starts, says so in its log, and the default holds."""
    with hosting(tmp_path, options={"pay-shadow": "maybe", "xpay-handle-pay": False}) as host:
        assert "used=delay" in host.log("option_refused name=pay-shadow")
        mark = host.mark()
        host.pay(host.invoice()).ok()
        assert sent(host, mark)[0][-1][1] > 10


def test_a_restart_keeps_it(tmp_path: Path) -> None:
    """The node dies with a part of a full shadow out: the answer after it has the invoice's amount, and the
    journal had what is more."""
    options: dict[str, Any] = {"pay-shadow": "full", "xpay-handle-pay": False}
    with hosting(tmp_path, developer=True, options=options) as host:
        made, mark = host.invoice(hold=True), host.mark()
        host.pay_held(made)
        extra = sent(host, mark)[1] - AMOUNT_MSAT
        (entry,) = host.call("listdatastore", {"key": ["pay", "session"]}).ok()["datastore"]
        assert json.loads(entry["string"])["terms"]["shadow_fee_msat"] == extra > 0
        host.box.kill()
        lines = host.log_mark()
        host.box.restart()
        host.log("started version=", lines)
        pending = host.pay_soon(made)
        host.log("payment_attached", lines)
        host.release(made)
        answer = pending.answer().ok()
        assert (answer["amount_msat"], answer["parts"]) == (AMOUNT_MSAT, 1)
        assert answer["amount_sent_msat"] >= AMOUNT_MSAT + FEE_MSAT + extra
        assert host.pay(made).ok() == answer


def test_an_entry_of_before_there_were_shadows(tmp_path: Path) -> None:
    """It is read as one without; one whose shadow cannot be is as good as none."""
    with hosting(tmp_path, developer=True, options={"pay-shadow": "off", "xpay-handle-pay": False}) as host:
        made = host.invoice(hold=True)
        pending = host.pay_held(made)
        (entry,) = host.call("listdatastore", {"key": ["pay", "session"]}).ok()["datastore"]
        old = json.loads(entry["string"])
        del old["terms"]["shadow_fee_msat"], old["terms"]["shadow_blocks"]
        read = decode(made.payment_hash.hex(), json.dumps(old), host.id("us"))
        assert (read.terms.shadow_fee_msat, read.terms.shadow_blocks) == (0, 0)
        for field, bad in (("shadow_fee_msat", -1), ("shadow_fee_msat", AMOUNT_MSAT), ("shadow_blocks", "1")):
            old["terms"][field] = bad
            with pytest.raises((ValueError, TypeError)):
                decode(made.payment_hash.hex(), json.dumps(old), host.id("us"))
            del old["terms"][field]
        host.release(made)
        assert pending.answer().ok()


def tiny(clock: RealClock) -> tuple[World, NodeId]:
    """us ── hub ── far ── beyond, which forward 1 msat for 1,000."""
    world = World(clock, seed=1, latency_s=0.0)
    us, hub, far, beyond = (world.add_node(name).id for name in ("us", "hub", "far", "beyond"))
    policy = Policy(1_000, 100, 40, 1, CHEAP.htlc_max_msat)
    for start, end in ((us, hub), (hub, far), (far, beyond)):
        world.add_channel(start, end, CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=policy, policy_ba=policy)
    return world, us


def test_a_few_msat_are_not_more_than_doubled(tmp_path: Path) -> None:
    """Recipients refuse more than twice what they asked for, and that would be the end of the payment."""
    options: dict[str, Any] = {"pay-shadow": "full", "xpay-handle-pay": False}
    with hosting(tmp_path, build=tiny, options=options) as host:
        for amount_msat in (1, 2, 60):
            mark = host.mark()
            host.pay(host.invoice(amount_msat=amount_msat)).ok()
            assert sent(host, mark)[1] > amount_msat
