"""Nodes and channels that misbehave on request, and what the sender sees of it."""

from __future__ import annotations

import struct

import pytest

from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.faults import Faults
from pay.sim.network.htlc import Settled, Unparsable
from pay.sim.network.oracle import audit
from tests.support.worlds.line import PLAIN, SAT, Line

AMOUNT = 100_000 * SAT


def line_and_invoice(names: str = "ABCD"):
    line = Line(names)
    return line, line.world.create_invoice(line.nodes[names[-1]].id, AMOUNT, "")


def test_a_silent_node_keeps_the_htlc_until_it_behaves_again():
    line, invoice = line_and_invoice()
    line.world.set_faults(line.nodes["C"].id, Faults(silent=True))
    outcome = line.launch("ABCD", invoice)
    line.clock.run_until_idle()
    assert outcome == [] and line.world.in_flight == 1
    assert line.balance("AB") < 400_000 * SAT, "and the money of everybody before it is locked"
    line.world.set_faults(line.nodes["C"].id, None)
    line.clock.run_until_idle()
    assert outcome == [Settled(invoice.preimage)]


def test_a_node_that_falls_silent_holds_answers_up_as_well():
    line, invoice = line_and_invoice()
    invoice.hold = True
    outcome = line.launch("ABCD", invoice)
    line.clock.run_until_idle()
    line.world.set_faults(line.nodes["B"].id, Faults(silent=True))
    line.world.release_invoice(invoice)
    line.clock.run_until_idle()
    assert outcome == [] and invoice.paid_at is not None
    line.world.set_faults(line.nodes["B"].id, None)
    line.clock.run_until_idle()
    assert outcome == [Settled(invoice.preimage)]
    audit(line.world)


def test_an_htlc_that_runs_out_at_a_silent_node_comes_back_and_costs_the_channel():
    """C sits on it; 1,050 is where the HTLC from B to C times out: B closes BC and answers for it."""
    line, invoice = line_and_invoice()
    line.world.set_faults(line.nodes["C"].id, Faults(silent=True))
    outcome = line.launch("ABCD", invoice)
    line.clock.run_until_idle()
    line.world.mine(49)
    line.clock.run_until_idle()
    assert outcome == []
    line.world.mine()
    line.clock.run_until_idle()
    assert (outcome[0].erring_index, outcome[0].erring_node) == (1, line.nodes["B"].id)
    assert (outcome[0].failcode, outcome[0].message) == (FailCode.PERMANENT_CHANNEL_FAILURE, b"\x40\x08")
    assert line.channels["BC"].closed and line.balance("AB") == 500_000 * SAT
    line.world.set_faults(line.nodes["C"].id, None)
    assert line.pay("ABCD", invoice).failcode == FailCode.UNKNOWN_NEXT_PEER
    audit(line.world)


def test_a_silent_first_peer_ends_as_a_failure_of_our_own_channel():
    line, invoice = line_and_invoice("AB")
    line.world.set_faults(line.nodes["B"].id, Faults(silent=True))
    outcome = line.launch("AB", invoice)
    line.clock.run_until_idle()
    line.world.mine(10)
    line.clock.run_until_idle()
    assert (outcome[0].erring_index, outcome[0].failcode) == (0, FailCode.PERMANENT_CHANNEL_FAILURE)
    assert outcome[0].local_reason == "timed out"


def test_a_preimage_that_is_held_up_shows_on_the_chain_when_the_htlc_runs_out():
    line, invoice = line_and_invoice("ABC")
    invoice.hold = True
    outcome = line.launch("ABC", invoice)
    line.clock.run_until_idle()
    line.world.set_faults(line.nodes["B"].id, Faults(silent=True))
    line.world.release_invoice(invoice)
    line.clock.run_until_idle()
    line.world.mine(10)
    line.world.set_faults(line.nodes["B"].id, None)
    line.clock.run_until_idle()
    assert outcome == [Settled(invoice.preimage)]
    assert line.channels["BC"].closed
    audit(line.world)


def test_an_offline_node_is_reported_by_its_neighbour():
    line, invoice = line_and_invoice()
    line.world.set_faults(line.nodes["C"].id, Faults(offline=True))
    outcome = line.pay("ABCD", invoice)
    assert (outcome.erring_index, outcome.failcode) == (1, FailCode.TEMPORARY_CHANNEL_FAILURE)
    line.world.set_faults(line.nodes["C"].id, None)
    assert line.pay("ABCD", invoice) == Settled(invoice.preimage)


def test_a_code_is_given_as_often_as_asked_and_then_no_more():
    line, invoice = line_and_invoice()
    line.world.set_faults(line.nodes["B"].id, Faults(fail_code=FailCode.TEMPORARY_NODE_FAILURE, fail_times=2))
    assert [line.pay("ABCD", invoice).failcode for _ in range(2)] == [FailCode.TEMPORARY_NODE_FAILURE] * 2
    assert line.pay("ABCD", invoice) == Settled(invoice.preimage)


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (FailCode.PERMANENT_NODE_FAILURE, b""),
        (FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS, struct.pack(">QI", AMOUNT, 1000)),
        (FailCode.MPP_TIMEOUT, b""),
    ],
)
def test_a_recipient_answers_any_code_with_its_data(code: FailCode, data: bytes):
    line, invoice = line_and_invoice()
    line.world.set_faults(line.nodes["D"].id, Faults(fail_code=code))
    outcome = line.pay("ABCD", invoice)
    assert (outcome.erring_index, outcome.failcode) == (3, code)
    assert outcome.message == struct.pack(">H", code) + data


def test_a_fault_of_one_direction_leaves_the_other_alone():
    line, invoice = line_and_invoice("ABC")
    b, c = line.nodes["B"].id, line.nodes["C"].id
    line.world.set_channel_faults(line.channels["BC"], c, Faults(fail_code=FailCode.PERMANENT_CHANNEL_FAILURE))
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)
    line.world.set_channel_faults(line.channels["BC"], b, Faults(fail_code=FailCode.PERMANENT_CHANNEL_FAILURE))
    other = line.world.create_invoice(c, AMOUNT, "")
    assert line.pay("ABC", other).failcode == FailCode.PERMANENT_CHANNEL_FAILURE


def test_a_silent_direction_keeps_what_is_forwarded_over_it():
    line, invoice = line_and_invoice("ABC")
    line.world.set_channel_faults(line.channels["BC"], line.nodes["B"].id, Faults(silent=True))
    outcome = line.launch("ABC", invoice)
    line.clock.run_until_idle()
    assert outcome == []
    line.world.set_channel_faults(line.channels["BC"], line.nodes["B"].id, None)
    line.clock.run_until_idle()
    assert outcome == [Settled(invoice.preimage)]


def test_a_disconnected_channel_is_a_temporary_failure_of_its_start():
    line, invoice = line_and_invoice("ABC")
    line.world.set_channel_faults(line.channels["BC"], line.nodes["B"].id, Faults(offline=True))
    assert line.pay("ABC", invoice).failcode == FailCode.TEMPORARY_CHANNEL_FAILURE


def test_errors_through_a_node_that_garbles_them_are_noise_and_preimages_are_not():
    """D refuses, B garbles what it hands on: 292 bytes that tell nothing; a success passes."""
    line, invoice = line_and_invoice()
    line.world.set_faults(line.nodes["B"].id, Faults(unparsable=True))
    line.world.set_faults(line.nodes["D"].id, Faults(fail_code=FailCode.TEMPORARY_NODE_FAILURE, fail_times=2))
    first, second = line.pay("ABCD", invoice), line.pay("ABCD", invoice)
    assert isinstance(first, Unparsable) and first.text == "Malformed error reply"
    assert len(first.onionreply) == 292 and first != second
    assert line.pay("ABCD", invoice) == Settled(invoice.preimage)


def test_a_node_that_hides_its_updates_sends_none():
    line, invoice = line_and_invoice("ABC")
    line.world.set_faults(line.nodes["B"].id, Faults(hides_updates=True))
    outcome = line.pay(line.hops("ABC", AMOUNT, fee_msat=-1), invoice)
    assert outcome.failcode == FailCode.FEE_INSUFFICIENT
    assert len(outcome.message) == 2 + 8 + 2 and outcome.message[-2:] == bytes(2)


def test_a_slow_node_is_slow_and_nothing_else():
    line, invoice = line_and_invoice("ABC")
    line.nodes["B"].faults = Faults(delay_s=30.0)
    outcome = line.launch("ABC", invoice)
    line.clock.advance(29.9)
    assert outcome == []
    line.clock.advance(1.0)
    assert outcome == [Settled(invoice.preimage)]


def test_gossip_is_told_of_what_it_may_know():
    """A listener hears of announced channels, of policies that are told, and of closings; not of the rest."""
    line = Line("AB")
    heard: list[tuple[int, int | None]] = []
    line.world.gossip_listeners.append(lambda channel, direction: heard.append((channel.scid, direction)))
    a, channel = line.nodes["A"].id, line.channels["AB"]
    line.join("A", "B", announced=False)
    opened = line.join("A", "B")
    line.world.set_policy(channel, a, PLAIN, gossip=False)
    line.world.set_policy(channel, a, PLAIN)
    line.world.close_channel(channel)
    assert heard == [(opened.scid, None), (channel.scid, channel.side(a)), (channel.scid, None)]
    heights: list[int] = []
    line.world.block_listeners.append(heights.append)
    line.world.mine(3)
    assert heights == [1003]
