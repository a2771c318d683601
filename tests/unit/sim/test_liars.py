"""Nodes that lie, at every place of a route, and what the sender hears.

A ── B ── C ── D        A pays D
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.network import Policy, parse_channel_update
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.faults import Faults
from pay.sim.network.htlc import Failed, Settled, Unparsable
from pay.sim.network.liars import UNREADABLE, Claim, Liar, Lie, Role
from pay.sim.network.oracle import audit
from pay.units import ScidDir
from tests.support.worlds.line import PLAIN, SAT, Line

AMOUNT = 100_000 * SAT
DEAR = FailCode.FEE_INSUFFICIENT


def line_with(name: str, liar: Liar) -> Line:
    line = Line("ABCD")
    line.world.set_faults(line.nodes[name].id, Faults(liar=liar))
    return line


def answers(line: Line, count: int) -> list[Failed]:
    """Of so many HTLCs from A to D, one after the other."""
    invoice = line.world.create_invoice(line.nodes["D"].id, AMOUNT, "")
    return [line.pay("ABCD", invoice) for _ in range(count)]


def update_of(outcome: Failed) -> tuple[ScidDir, Policy]:
    """The channel_update at the end of fee_insufficient: 2 bytes code, 8 amount, 2 length."""
    return parse_channel_update(outcome.message[12:])


@pytest.mark.parametrize(("name", "index"), [("B", 1), ("C", 2), ("D", 3)])
@pytest.mark.parametrize("code", [*FailCode, 0x4063])
def test_any_node_answers_any_code_from_its_own_place(name: str, index: int, code: int):
    line = line_with(name, Liar([Lie(code)]))
    (outcome,) = answers(line, 1)
    assert (outcome.erring_index, outcome.failcode) == (index, code)
    assert int.from_bytes(outcome.message[:2], "big") == code
    audit(line.world)


@pytest.mark.parametrize("name", ["B", "C", "D"])
def test_noise_comes_from_nowhere(name: str):
    (outcome,) = answers(line_with(name, Liar([Lie(UNREADABLE)])), 1)
    assert isinstance(outcome, Unparsable) and len(outcome.onionreply) == 292


def test_lies_change_with_every_htlc_and_come_around_again():
    liar = Liar([Lie(FailCode.MPP_TIMEOUT), Lie(DEAR), Lie(UNREADABLE)])
    said = [getattr(outcome, "failcode", None) for outcome in answers(line_with("B", liar), 4)]
    assert said == [FailCode.MPP_TIMEOUT, DEAR, None, FailCode.MPP_TIMEOUT]
    assert liar.told == 4


def test_an_honest_answer_between_two_lies_pays():
    line = line_with("B", Liar([Lie(DEAR), None]))
    invoice = line.world.create_invoice(line.nodes["D"].id, AMOUNT, "")
    assert line.pay("ABCD", invoice).failcode == DEAR
    assert line.pay("ABCD", invoice) == Settled(invoice.preimage)


def test_it_asks_one_msat_more_each_time_in_its_own_name():
    """The update is of the channel that the onion named, signed by its node, newer than the one before."""
    line = line_with("B", Liar([Lie(DEAR, Claim.DEARER)]))
    heard = [update_of(outcome) for outcome in answers(line, 3)]
    channel, b = line.channels["BC"], line.nodes["B"].id
    assert [direction for direction, _ in heard] == [ScidDir(channel.scid, channel.side(b))] * 3
    assert [policy.fee_base_msat - PLAIN.fee_base_msat for _, policy in heard] == [1, 2, 3]
    assert heard[0][1].timestamp < heard[1][1].timestamp < heard[2][1].timestamp
    assert all(replace(policy, fee_base_msat=PLAIN.fee_base_msat, timestamp=0) == PLAIN for _, policy in heard)


def test_it_asks_a_block_more_each_time():
    line = line_with("B", Liar([Lie(FailCode.INCORRECT_CLTV_EXPIRY, Claim.SLOWER)]))
    said = [parse_channel_update(outcome.message[8:])[1].cltv_delta for outcome in answers(line, 3)]
    assert said == [PLAIN.cltv_delta + more for more in (1, 2, 3)]


def test_it_sends_the_update_of_a_channel_that_is_not_its_own():
    """B's lie is about CD, the only channel that it is no end of."""
    line = line_with("B", Liar([Lie(DEAR, Claim.FOREIGN)]))
    (outcome,) = answers(line, 1)
    direction, policy = update_of(outcome)
    assert direction.scid == line.channels["CD"].scid
    assert replace(policy, timestamp=0) == PLAIN


def test_it_sends_any_policy_or_none():
    given = Policy(fee_base_msat=7, fee_ppm=8, cltv_delta=9, htlc_min_msat=10, htlc_max_msat=11, enabled=False)
    line = line_with("B", Liar([Lie(DEAR, Claim.GIVEN, given), Lie(DEAR, Claim.ABSENT), Lie(DEAR, Claim.TRUE)]))
    first, second, third = answers(line, 3)
    direction, policy = update_of(first)
    assert direction.scid == line.channels["BC"].scid
    assert replace(policy, timestamp=0) == given
    assert second.message[10:] == bytes(2)
    assert replace(update_of(third)[1], timestamp=0) == PLAIN


@pytest.mark.parametrize("height", [0, 2_000_000, (1 << 32) - 1])
def test_a_recipient_claims_any_height(height: int):
    code = FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS
    (outcome,) = answers(line_with("D", Liar([Lie(code, height=height)])), 1)
    assert outcome.message == code.to_bytes(2, "big") + AMOUNT.to_bytes(8, "big") + height.to_bytes(4, "big")


@pytest.mark.parametrize(("role", "lies"), [(Role.FORWARDER, [1]), (Role.LAST_BUT_ONE, [2]), (Role.RECIPIENT, [])])
def test_it_lies_only_in_its_roles(role: Role, lies: list[int]):
    """B is a forwarder on ABCD and last but one on ABC; what it hands on as neither is treated well."""
    liar = Liar([Lie(FailCode.MPP_TIMEOUT)], roles=[role])
    line = line_with("B", liar)
    paid: list[int] = []
    for number, path in ((1, "ABCD"), (2, "ABC")):
        invoice = line.world.create_invoice(line.nodes[path[-1]].id, AMOUNT, "")
        if isinstance(line.pay(path, invoice), Settled):
            paid.append(number)
    assert sorted([1, 2]) == sorted(paid + lies)
    assert liar.told == len(lies)


def test_a_drawn_liar_is_the_same_for_a_seed_and_another_for_another():
    def told(seed: int) -> list[Lie | None]:
        liar = Liar.drawn(seed, honest=0.2)
        return [liar.next(Role.FORWARDER) for _ in range(300)]

    assert told(1) == told(1) != told(2)
    codes = {lie.code for lie in told(1) if lie is not None}
    assert codes >= set(FailCode) | {UNREADABLE}
    assert {lie.claim for lie in told(1) if lie is not None} == set(Claim)
    assert None in told(1)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_it_says_is_a_failure_and_no_money_is_lost(seed: int):
    """Ten HTLCs to a liar at each place; every one comes back, and the channels add up."""
    for name in "BCD":
        line = line_with(name, Liar.drawn(f"{seed} {name}"))
        assert all(isinstance(outcome, Failed | Unparsable) for outcome in answers(line, 10))
        assert line.world.in_flight == 0 and line.balance("AB") == 500_000 * SAT
        audit(line.world)


def test_one_that_refuses_on_all_its_channels_and_one_that_holds():
    """The plain faults beside: every HTLC the same answer, on every channel; or none at all until it is let go."""
    line = Line("ABCD")
    b = line.nodes["B"].id
    line.join("A", "B")
    line.join("B", "C")
    line.world.set_faults(b, Faults(liar=Liar([Lie(FailCode.TEMPORARY_CHANNEL_FAILURE)])))
    scids = [(line.channels[f].scid, line.channels[s].scid) for f in ("AB", "AB'") for s in ("BC", "BC'")]
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    for pair in scids:
        assert line.pay(line.hops("ABC", AMOUNT, scids=pair), invoice).erring_scid == pair[1]
    line.world.set_faults(b, Faults(silent=True))
    stuck = line.launch("ABC", invoice)
    line.clock.run_until_idle()
    assert stuck == []
    line.world.set_faults(b, None)
    line.clock.run_until_idle()
    assert stuck == [Settled(invoice.preimage)]
