"""What forwarding nodes do with an HTLC: pass it on, or refuse it with error and data as BOLT 4 prescribes."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import sha256

import coincurve
import pytest

from pay.network import Policy, parse_channel_update
from pay.sim.network.encoding.failures import CHAIN_HASHES, FailCode, failure, wire_name
from pay.sim.network.faults import Faults
from pay.sim.network.htlc import Failed, LocalFailure, Settled, WireHop
from pay.sim.network.oracle import audit
from pay.units import Scid, ScidDir, direction_of
from tests.support.worlds.line import FINAL_CLTV, PLAIN, SAT, Line

AMOUNT = 100_000 * SAT
FEE = 1000 + AMOUNT // 10_000
"""What B or C asks for forwarding AMOUNT."""


def update_in(outcome: Failed) -> tuple[ScidDir, Policy, bytes]:
    """The channel_update at the end of a failure message, and its bytes."""
    raw = outcome.message[-138:]
    assert struct.unpack(">H", outcome.message[-140:-138]) == (138,)
    return *parse_channel_update(raw), raw


def test_a_payment_moves_every_balance_by_what_was_forwarded_and_takes_its_time():
    """A ── B ── C ── D: D gets 100,000 sat, C and B keep their fees, 20 ms a hop and direction."""
    line = Line()
    invoice = line.world.create_invoice(line.nodes["D"].id, AMOUNT, "coffee")
    started = line.clock.now()
    outcome = line.pay("ABCD", invoice)
    assert outcome == Settled(invoice.preimage)
    assert sha256(outcome.preimage).digest() == invoice.payment_hash
    assert line.balance("CD") == 500_000 * SAT - AMOUNT
    assert line.balance("BC") == 500_000 * SAT - AMOUNT - FEE
    fee_b = 1000 + (AMOUNT + FEE) // 10_000
    assert line.balance("AB") == 500_000 * SAT - AMOUNT - FEE - fee_b
    assert line.clock.now() - started == pytest.approx(6 * 0.02)
    assert line.world.in_flight == 0
    audit(line.world)


@pytest.mark.parametrize(
    ("fee_msat", "blocks", "code", "data"),
    [
        (-1, 0, FailCode.FEE_INSUFFICIENT, struct.pack(">Q", AMOUNT + FEE - 1)),
        (0, -1, FailCode.INCORRECT_CLTV_EXPIRY, struct.pack(">I", 1000 + FINAL_CLTV)),
    ],
)
def test_one_msat_or_one_block_too_little_is_refused_by_the_node_that_is_short_changed(
    fee_msat: int, blocks: int, code: FailCode, data: bytes
):
    """A ── B ── C: B gets one too little; it says what it asks, and the same with one more arrives."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    outcome = line.pay(line.hops("ABC", AMOUNT, fee_msat=fee_msat, blocks=blocks), invoice)
    channel = line.channels["BC"]
    b, c = line.nodes["B"].id, line.nodes["C"].id
    assert (outcome.erring_index, outcome.erring_node) == (1, b)
    assert (outcome.erring_scid, outcome.direction) == (channel.scid, direction_of(b, c))
    assert outcome.failcode == code
    assert outcome.message[:-140] == struct.pack(">H", code) + data
    scid_dir, policy, _ = update_in(outcome)
    assert (scid_dir, policy) == (ScidDir(channel.scid, direction_of(b, c)), PLAIN)
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_the_update_in_an_error_is_signed_by_the_node_that_sends_it():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    _, _, raw = update_in(line.pay(line.hops("ABC", AMOUNT, fee_msat=-1), invoice))
    assert raw[66:98] == CHAIN_HASHES["regtest"]
    digest = sha256(sha256(raw[66:]).digest()).digest()
    der = coincurve.ecdsa.cdata_to_der(coincurve.ecdsa.deserialize_compact(raw[2:66]))
    assert coincurve.PublicKey(line.nodes["B"].id).verify(der, digest, hasher=None)


def test_stale_gossip_is_found_out_by_paying_and_the_error_tells_the_truth():
    """B raised its fee, gossip does not know: fee_insufficient with the policy that holds."""
    line = Line("ABC")
    channel, b = line.channels["BC"], line.nodes["B"].id
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    hops = line.hops("ABC", AMOUNT)
    line.world.set_policy(channel, b, replace(PLAIN, fee_ppm=5000), gossip=False)
    assert channel.gossiped[channel.side(b)] == PLAIN
    outcome = line.pay(hops, invoice)
    assert outcome.failcode == FailCode.FEE_INSUFFICIENT
    _, policy, _ = update_in(outcome)
    assert (policy.fee_ppm, policy.timestamp > PLAIN.timestamp) == (5000, True)
    assert line.pay(line.hops("ABC", AMOUNT), invoice) == Settled(invoice.preimage)


@pytest.mark.parametrize(
    ("policy", "code", "data"),
    [
        (replace(PLAIN, htlc_min_msat=AMOUNT + 1), FailCode.AMOUNT_BELOW_MINIMUM, struct.pack(">Q", AMOUNT)),
        (replace(PLAIN, htlc_max_msat=AMOUNT - 1), FailCode.TEMPORARY_CHANNEL_FAILURE, b""),
        (replace(PLAIN, enabled=False), FailCode.CHANNEL_DISABLED, bytes(2)),
    ],
)
def test_limits_of_the_channel_that_follows(policy: Policy, code: FailCode, data: bytes):
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    line.world.set_policy(line.channels["BC"], line.nodes["B"].id, policy)
    outcome = line.pay("ABC", invoice)
    assert (outcome.erring_index, outcome.failcode) == (1, code)
    assert outcome.message[:-140] == struct.pack(">H", code) + data
    assert update_in(outcome)[1].enabled == policy.enabled


def test_expiries_too_near_and_too_far_and_the_first_that_is_not():
    """B looks at the outgoing expiry: at the height it is too soon, 2,016 blocks on it still goes, 2,017 not."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    b, c = line.nodes["B"].id, line.nodes["C"].id

    def pay(expiry: int):
        hops = [
            WireHop(line.channels["AB"].scid, b, AMOUNT + FEE, expiry + 40),
            WireHop(line.channels["BC"].scid, c, AMOUNT, expiry),
        ]
        return line.pay(hops, invoice)

    assert pay(1000).failcode == FailCode.EXPIRY_TOO_SOON
    outcome = pay(1000 + 2017)
    assert (outcome.failcode, outcome.message) == (FailCode.EXPIRY_TOO_FAR, b"\x00\x15")
    assert pay(1000 + 2016) == Settled(invoice.preimage)


def test_a_channel_that_does_not_start_at_the_node_is_unknown_to_it():
    line = Line("ABCD")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    hops = line.hops("ABC", AMOUNT)
    for wrong in (Scid(99 << 40), line.channels["CD"].scid):
        outcome = line.pay([hops[0], replace(hops[1], scid=wrong)], invoice)
        assert outcome == Failed(
            1, line.nodes["B"].id, wrong, direction_of(line.nodes["B"].id, line.nodes["C"].id),
            FailCode.UNKNOWN_NEXT_PEER, b"\x40\x0a",
        )  # fmt: skip


def test_an_onion_for_another_node_is_reported_by_the_node_before_it():
    """The route says that B's channel leads to D; it leads to C, who cannot read the onion: "D" is blamed."""
    line = Line("ABCD")
    invoice = line.world.create_invoice(line.nodes["D"].id, AMOUNT, "")
    hops = line.hops("ABC", AMOUNT)
    outcome = line.pay([hops[0], replace(hops[1], node=line.nodes["D"].id)], invoice)
    assert (outcome.erring_index, outcome.failcode) == (1, FailCode.INVALID_ONION_HMAC)
    assert outcome.erring_node == line.nodes["D"].id
    assert len(outcome.message) == 2 + 32
    assert line.world.in_flight == 0
    audit(line.world)


def test_features_that_senders_lack():
    """An even feature bit that nobody knows, of the node or of the channel, stops an HTLC; an odd one does not."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    line.nodes["B"].features |= 1 << 200
    assert line.pay("ABC", invoice).failcode == FailCode.REQUIRED_NODE_FEATURE_MISSING
    line.nodes["B"].features ^= 1 << 200 | 1 << 201
    line.channels["BC"].features = 1 << 100
    assert line.pay("ABC", invoice).failcode == FailCode.REQUIRED_CHANNEL_FEATURE_MISSING
    line.channels["BC"].features = 1 << 101
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_amounts_at_the_limits_pass():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    exact = replace(PLAIN, htlc_min_msat=AMOUNT, htlc_max_msat=AMOUNT)
    line.world.set_policy(line.channels["BC"], line.nodes["B"].id, exact)
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_the_reserve_stays_and_the_last_msat_above_it_goes():
    """B has 500,000 sat of 1,000,000 towards C and keeps 10,000: 490,000 go, one msat more does not."""
    line = Line("ABC", capacity_msat=1_000_000 * SAT)
    line.channels["AB"].balances_msat[:] = [500_000 * SAT] * 2
    line.join("A", "B", 2_000_000 * SAT, balance_a_msat=1_500_000 * SAT)
    most = 490_000 * SAT
    b = line.nodes["B"].id
    assert line.channels["BC"].spendable_msat(b) == most
    for amount, code in ((most + 1, FailCode.TEMPORARY_CHANNEL_FAILURE), (most, None)):
        invoice = line.world.create_invoice(line.nodes["C"].id, amount, "")
        scids = (line.channels["AB'"].scid, line.channels["BC"].scid)
        outcome = line.pay(line.hops("ABC", amount, scids=scids), invoice)
        assert getattr(outcome, "failcode", None) == code
    assert line.channels["BC"].spendable_msat(b) == 0


def test_htlcs_that_are_out_compete_and_what_fails_comes_back():
    """Two of 300,000 sat over B's 490,000: the second fails while the first is out, and goes after it."""
    line = Line("ABC")
    line.join("A", "B", balance_a_msat=1_000_000 * SAT)
    amount = 300_000 * SAT
    first, second = (line.world.create_invoice(line.nodes["C"].id, amount, "", hold=n == 0) for n in (0, 1))
    hops = line.hops("ABC", amount)
    other = [replace(hops[0], scid=line.channels["AB'"].scid), hops[1]]
    waiting = line.launch(hops, first)
    line.clock.advance(1.0)
    assert waiting == []
    assert line.balance("BC") == 200_000 * SAT
    assert line.pay(other, second).failcode == FailCode.TEMPORARY_CHANNEL_FAILURE
    line.world.cancel_invoice(first)
    line.clock.run_until_idle()
    assert waiting[0].failcode == FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS
    assert line.balance("BC") == 500_000 * SAT
    assert line.pay(other, second) == Settled(second.preimage)
    audit(line.world)


def test_slots_for_htlcs_are_counted_a_direction():
    line = Line("ABC")
    channel = line.channels["BC"]
    channel.htlc_limits[channel.side(line.nodes["B"].id)] = 2
    held = line.world.create_invoice(line.nodes["C"].id, 2 * AMOUNT, "", hold=True)
    other = line.world.create_invoice(line.nodes["C"].id, SAT, "")
    for _ in range(2):
        line.launch("ABC", held, AMOUNT)
    line.clock.advance(1.0)
    assert line.pay("ABC", other).failcode == FailCode.TEMPORARY_CHANNEL_FAILURE
    line.world.release_invoice(held)
    line.clock.run_until_idle()
    assert line.pay("ABC", other) == Settled(other.preimage)


def parallel_line(**world: bool) -> Line:
    """A ── B ══ C: the channel named in the route is empty on B's side, another of the two is not."""
    line = Line("ABC", **world)
    line.channels["BC"].balances_msat[:] = [0, 0]
    line.channels["BC"].balances_msat[line.channels["BC"].side(line.nodes["C"].id)] = 1_000_000 * SAT
    line.join("B", "C")
    return line


def test_a_node_may_forward_over_another_channel_to_the_same_peer():
    line = parallel_line()
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)
    assert line.balance("BC'") == 500_000 * SAT - AMOUNT


def test_of_several_others_it_takes_the_one_with_the_most_that_is_not_faulty():
    """B ══ C four times: empty (named), some, more, most but broken."""
    line = parallel_line()
    for balance_sat in (600_000, 700_000):
        line.join("B", "C", balance_a_msat=balance_sat * SAT)
    b, c = line.nodes["B"].id, line.nodes["C"].id
    line.world.set_channel_faults(line.channels["BC'''"], b, Faults(fail_code=FailCode.TEMPORARY_NODE_FAILURE))
    assert line.pay("ABC", line.world.create_invoice(c, AMOUNT, "")).preimage
    left_sat = [line.balance("BC" + "'" * primes) // SAT for primes in range(4)]
    assert left_sat == [0, 500_000, 500_000, 700_000]


def test_but_it_does_not_where_the_other_channel_asks_more_or_forwarding_is_strict():
    line = parallel_line()
    line.world.set_policy(line.channels["BC'"], line.nodes["B"].id, replace(PLAIN, fee_ppm=101))
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    assert line.pay("ABC", invoice).failcode == FailCode.TEMPORARY_CHANNEL_FAILURE
    strict = parallel_line(non_strict=False)
    invoice = strict.world.create_invoice(strict.nodes["C"].id, AMOUNT, "")
    assert strict.pay("ABC", invoice).failcode == FailCode.TEMPORARY_CHANNEL_FAILURE


def test_an_unannounced_channel_goes_by_the_alias_that_its_start_gave():
    """B ┄┄ C: B forwards by the alias in C's route hint, not by the real scid nor by C's own alias."""
    line = Line("AB")
    line.nodes["C"] = line.world.add_node("C")
    channel = line.join("B", "C", announced=False)
    b, c = line.nodes["B"].id, line.nodes["C"].id
    (hop,) = channel.hint_for(c)
    assert (hop.node, hop.scid, hop.fee_ppm) == (b, channel.aliases[channel.side(b)], PLAIN.fee_ppm)
    invoice = line.world.create_invoice(c, AMOUNT, "")
    hops = line.hops("ABC", AMOUNT)
    for scid in (channel.scid, channel.aliases[channel.side(c)]):
        outcome = line.pay([hops[0], replace(hops[1], scid=scid)], invoice)
        assert outcome.failcode == FailCode.UNKNOWN_NEXT_PEER
    outcome = line.pay([replace(hops[0], amount_msat=AMOUNT), replace(hops[1], scid=hop.scid)], invoice)
    assert outcome.failcode == FailCode.FEE_INSUFFICIENT
    assert update_in(outcome)[0].scid == hop.scid, "the update names the channel as the sender did"
    assert line.pay([hops[0], replace(hops[1], scid=hop.scid)], invoice) == Settled(invoice.preimage)


def test_our_own_unannounced_channel_goes_by_our_alias_and_by_its_real_scid():
    line = Line("A")
    line.nodes["B"] = line.world.add_node("B")
    channel = line.join("A", "B", announced=False)
    a, b = line.nodes["A"].id, line.nodes["B"].id
    for scid in (channel.scid, channel.aliases[channel.side(a)]):
        invoice = line.world.create_invoice(b, AMOUNT, "")
        assert line.pay(line.hops("AB", AMOUNT, scids=(scid,)), invoice) == Settled(invoice.preimage)
    with pytest.raises(LocalFailure, match="No connection to first peer found"):
        line.pay(line.hops("AB", AMOUNT, scids=(channel.aliases[channel.side(b)],)), invoice)


def test_what_our_own_node_refuses_at_once():
    """As `sendpay` does with 204 and no row: no such channel or peer, channel closed, peer not connected."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    hops = line.hops("ABC", AMOUNT)
    wrong = [replace(hops[0], scid=line.channels["BC"].scid), replace(hops[0], node=line.nodes["C"].id)]
    for first in wrong:
        with pytest.raises(LocalFailure) as caught:
            line.pay([first, hops[1]], invoice)
        assert caught.value.text == "No connection to first peer found"
        assert (caught.value.failcode, caught.value.erring_scid) == (FailCode.UNKNOWN_NEXT_PEER, None)
    channel = line.channels["AB"]
    line.world.set_faults(line.nodes["B"].id, Faults(offline=True))
    with pytest.raises(LocalFailure) as caught:
        line.pay(hops, invoice)
    assert caught.value.text == "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (First peer not ready)"
    assert (caught.value.erring_scid, caught.value.direction) == (
        channel.scid, direction_of(line.nodes["A"].id, line.nodes["B"].id),
    )  # fmt: skip
    line.world.set_faults(line.nodes["B"].id, None)
    line.world.close_channel(channel)
    with pytest.raises(LocalFailure, match="No connection to first peer found"):
        line.pay(hops, invoice)
    assert line.world.in_flight == 0


def test_what_our_own_channel_refuses_comes_as_an_outcome_of_index_0():
    """As lightningd's `sendpay_failure` with erring_index 0: the reason is in the words, there is no message."""
    line = Line("ABC")
    channel, a = line.channels["AB"], line.nodes["A"].id
    amount = channel.spendable_msat(a) + 1
    invoice = line.world.create_invoice(line.nodes["B"].id, amount, "")
    outcome = line.pay("AB", invoice)
    assert (outcome.erring_index, outcome.erring_node, outcome.erring_scid) == (0, a, channel.scid)
    assert (outcome.failcode, outcome.message) == (FailCode.TEMPORARY_CHANNEL_FAILURE, b"")
    assert outcome.text == (
        "failed: WIRE_TEMPORARY_CHANNEL_FAILURE "
        "(WIRE_TEMPORARY_CHANNEL_FAILURE: Capacity exceeded - HTLC fee: 0sat)"
    )
    channel.htlc_limits[channel.side(a)] = 0
    invoice = line.world.create_invoice(line.nodes["B"].id, AMOUNT, "")
    assert line.pay("AB", invoice).text.endswith("(WIRE_TEMPORARY_CHANNEL_FAILURE: Too many HTLCs)")
    channel.htlc_limits[channel.side(a)] = 1
    nothing = [WireHop(channel.scid, line.nodes["B"].id, 0, 1010)]
    assert line.pay(nothing, invoice).failcode == FailCode.AMOUNT_BELOW_MINIMUM
    assert line.pay("AB", invoice) == Settled(invoice.preimage)


def test_the_same_seed_gives_the_same_world_and_another_seed_another():
    def run(seed: int) -> tuple[object, ...]:
        line = Line("ABC", seed=seed, jitter=0.5)
        channel = line.join("A", "C", announced=False)
        invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "x")
        outcomes = [line.pay(line.hops("ABC", AMOUNT, fee_msat=-1), invoice), line.pay("ABC", invoice)]
        return invoice.bolt11, channel.aliases, outcomes, line.clock.now()

    assert run(7) == run(7)
    assert all(one != other for one, other in zip(run(7), run(8), strict=True))


def test_every_code_of_the_specification_has_its_lightningd_name():
    assert wire_name(FailCode.FEE_INSUFFICIENT) == "WIRE_FEE_INSUFFICIENT"
    assert wire_name(0x2222) == "UNKNOWN 8738"
    assert [int(code) for code in FailCode][:3] == [0x2002, 0x6002, 0x6003]


def test_an_update_may_be_left_out():
    assert failure(FailCode.TEMPORARY_CHANNEL_FAILURE) == b"\x10\x07\x00\x00"
