"""What recipients do with HTLCs: gather parts, settle them together or not at all, refuse what nobody asked."""

from __future__ import annotations

import struct

import pytest

from pay.sim.network.encoding.bolt11 import decode
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.faults import Faults
from pay.sim.network.htlc import Settled, WireHop
from pay.sim.network.invoices import InvoiceStatus
from pay.sim.network.oracle import audit
from pay.sim.network.unsigned import needs_signature
from tests.support.worlds.line import SAT, Line

AMOUNT = 100_000 * SAT


def details(amount_msat: int, height: int = 1000) -> bytes:
    """incorrect_or_unknown_payment_details with its data."""
    return struct.pack(">HQI", FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS, amount_msat, height)


def test_parts_wait_for_each_other_and_settle_together():
    """A ── B ── C: 60,000 sat wait at C until 40,000 more arrive 30 s later; one preimage for both."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    first = line.launch("ABC", invoice, 60_000 * SAT)
    line.clock.advance(30.0)
    assert first == [] and invoice.held_msat == 60_000 * SAT
    second = line.launch("ABC", invoice, 40_000 * SAT)
    line.clock.advance(1.0)
    assert first == second == [Settled(invoice.preimage)]
    assert invoice.status(line.clock.now()) is InvoiceStatus.PAID
    assert invoice.received_msat == AMOUNT
    line.clock.run_until_idle()
    audit(line.world)


def test_a_set_that_stays_incomplete_is_given_back_after_a_minute_and_can_be_paid_again():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    parts = [line.launch("ABC", invoice, 30_000 * SAT) for _ in range(3)]
    line.clock.advance(59.9)
    assert parts == [[], [], []]
    line.clock.advance(1.0)
    assert [(p[0].failcode, p[0].message, p[0].erring_index) for p in parts] == [
        (FailCode.MPP_TIMEOUT, b"\x00\x17", 2)
    ] * 3
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_parts_that_overshoot_the_total_all_arrive():
    """60 + 30 + 50 thousand for 100: what lightningd lets out, the recipient keeps."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    parts = [line.launch("ABC", invoice, sat * SAT) for sat in (60_000, 30_000, 50_000)]
    line.clock.run_until_idle()
    assert parts == [[Settled(invoice.preimage)]] * 3
    assert invoice.received_msat == 140_000 * SAT


def test_parts_that_announce_different_totals_all_fail():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    first = line.launch("ABC", invoice, 50_000 * SAT)
    second = line.launch("ABC", invoice, 50_000 * SAT, total_msat=AMOUNT + 1)
    line.clock.run_until_idle()
    expected = struct.pack(">HQ", FailCode.FINAL_INCORRECT_HTLC_AMOUNT, 50_000 * SAT)
    assert [first[0].message, second[0].message] == [expected] * 2


@pytest.mark.parametrize(
    ("amount_msat", "final"),
    [
        (AMOUNT, {"payment_secret": bytes(32)}),
        (AMOUNT, {"payment_secret": None}),
        (AMOUNT - 1, {"total_msat": AMOUNT - 1}),
        (2 * AMOUNT + 1, {"total_msat": 2 * AMOUNT + 1}),
    ],
    ids=["wrong secret", "no secret", "too little", "more than twice"],
)
def test_what_the_invoice_did_not_ask_for_is_refused_in_one_and_the_same_way(amount_msat: int, final: dict):
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    outcome = line.pay("ABC", invoice, amount_msat, **final)
    assert outcome.message == details(amount_msat)
    assert (outcome.erring_index, outcome.erring_node) == (2, line.nodes["C"].id)
    assert outcome.erring_scid == line.channels["BC"].scid, "the channel that leads to the recipient"


def test_exactly_twice_the_amount_is_taken():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    assert line.pay("ABC", invoice, 2 * AMOUNT, total_msat=2 * AMOUNT) == Settled(invoice.preimage)


def test_an_unknown_hash_and_a_hash_of_somebody_else_look_the_same():
    line = Line("ABC")
    other = line.world.create_invoice(line.nodes["B"].id, AMOUNT, "")
    assert line.pay("ABC", other).message == details(AMOUNT)
    del line.world.invoices[other.payment_hash]
    assert line.pay("ABC", other).message == details(AMOUNT)


def test_an_invoice_is_paid_once():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)
    assert line.pay("ABC", invoice).message == details(AMOUNT)
    assert line.channels["BC"].balance_msat(line.nodes["C"].id) == 500_000 * SAT + AMOUNT


def test_an_expired_invoice_is_refused():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", expiry=60)
    line.clock.advance(61.0)
    assert invoice.status(line.clock.now()) is InvoiceStatus.EXPIRED
    assert line.pay("ABC", invoice).message == details(AMOUNT)


def test_a_recipient_one_block_ahead_finds_the_expiry_too_near_and_tells_its_height():
    """The route leaves exactly the blocks asked for; C has seen a block more, and says 1,001."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", final_cltv=10)
    line.nodes["C"].extra_height = 1
    outcome = line.pay("ABC", invoice)
    assert outcome.message == details(AMOUNT, height=1001)
    line.world.mine()
    line.nodes["C"].extra_height = 0
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_metadata_must_come_back_as_it_was_given_and_none_where_none_was():
    line = Line("ABC")
    asked = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", metadata=b"\1\2")
    plain = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    assert line.pay("ABC", asked, metadata=None).message == details(AMOUNT)
    assert line.pay("ABC", plain, metadata=b"\1").message == struct.pack(
        ">HBH", FailCode.INVALID_ONION_PAYLOAD, 16, 0
    )
    assert line.pay("ABC", asked) == Settled(asked.preimage)


def test_without_multi_part_or_secret_one_htlc_must_carry_it_all():
    line = Line("ABC")
    single = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", features=1 << 8 | 1 << 14)
    bare = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", secret=False, features=1 << 8)
    for invoice in (single, bare):
        assert line.pay("ABC", invoice, AMOUNT // 2).message == details(AMOUNT // 2)
        assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_a_second_htlc_does_not_join_a_first_that_carries_it_all():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", hold=True, features=1 << 8 | 1 << 14)
    first = line.launch("ABC", invoice)
    line.clock.run_until_idle()
    assert line.pay("ABC", invoice).message == details(AMOUNT)
    line.world.release_invoice(invoice)
    line.clock.run_until_idle()
    assert first == [Settled(invoice.preimage)]


def test_an_invoice_without_amount_takes_any():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, None, "donation")
    assert line.pay("ABC", invoice, 12_345) == Settled(invoice.preimage)
    assert invoice.received_msat == 12_345


def test_a_held_invoice_waits_beyond_the_minute_and_is_released_or_cancelled():
    line = Line("ABC")
    kept = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", hold=True)
    given_back = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", hold=True)
    outcomes = line.launch("ABC", kept), line.launch("ABC", given_back)
    line.clock.advance(3600.0)
    assert outcomes == ([], []) and line.world.in_flight == 2
    line.world.release_invoice(kept)
    line.world.cancel_invoice(given_back)
    line.clock.run_until_idle()
    assert outcomes[0] == [Settled(kept.preimage)]
    assert outcomes[1][0].message == details(AMOUNT)
    assert line.pay("ABC", given_back).message == details(AMOUNT), "and it stays cancelled"


def test_a_recipient_gives_a_held_htlc_back_before_it_runs_out():
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "", hold=True, final_cltv=10)
    outcome = line.launch("ABC", invoice)
    line.clock.run_until_idle()
    line.world.mine(9)
    line.clock.run_until_idle()
    assert outcome == []
    line.world.mine(1)
    line.clock.run_until_idle()
    assert outcome[0].message == details(AMOUNT, height=1010)
    assert not line.channels["BC"].closed


def test_forwarders_that_skim_are_found_out_by_the_recipient():
    """B forwards 1 msat, then 1 block, less than its onion says; C says what it got."""
    line = Line("ABC")
    invoice = line.world.create_invoice(line.nodes["C"].id, AMOUNT, "")
    line.nodes["B"].faults = Faults(skim_msat=1)
    assert line.pay("ABC", invoice).message == struct.pack(">HQ", FailCode.FINAL_INCORRECT_HTLC_AMOUNT, AMOUNT - 1)
    line.nodes["B"].faults = Faults(skim_blocks=1)
    assert line.pay("ABC", invoice).message == struct.pack(">HI", FailCode.FINAL_INCORRECT_CLTV_EXPIRY, 1009)
    line.nodes["B"].faults = None
    assert line.pay("ABC", invoice) == Settled(invoice.preimage)


def test_the_text_of_an_invoice_says_what_its_recipient_checks():
    line = Line("ABC", chain="bitcoin")
    line.nodes["E"] = line.world.add_node("E")
    channel = line.join("C", "E", announced=False)
    payee = line.nodes["E"].id
    invoice = line.world.create_invoice(
        payee, AMOUNT, "tea", hints=[channel.hint_for(payee)], metadata=b"\7", expiry=120
    )
    read = decode(invoice.bolt11)
    assert invoice.bolt11.startswith("lnbc")
    assert (read.payee, read.payment_hash) == (payee, invoice.payment_hash)
    assert read.payment_secret == invoice.payment_secret
    assert (read.amount_msat, read.description, read.expiry, read.payment_metadata) == (AMOUNT, "tea", 120, b"\7")
    assert (read.min_final_cltv_expiry, read.features) == (invoice.final_cltv, invoice.features) == (18, 0x24100)
    assert read.routes == (channel.hint_for(payee),)


def test_the_box_signs_for_a_node_whose_key_is_not_known_and_only_the_box_believes_it():
    line = Line("AB")
    stranger = line.world.add_node("S", node_id=Line("Z", seed=5).nodes["Z"].id)
    line.nodes["S"] = stranger
    line.join("B", "S")
    invoice = line.world.create_invoice(stranger.id, AMOUNT, "")
    assert decode(invoice.bolt11, check_signature=False).payee == stranger.id
    with pytest.raises(ValueError):
        decode(invoice.bolt11)
    assert not needs_signature(line.world.state, invoice.bolt11)
    assert needs_signature(line.world.state, invoice.bolt11.replace("1", "2", 1))
    assert needs_signature(line.world.state, line.world.create_invoice(line.nodes["A"].id, AMOUNT, "").bolt11)
    assert line.pay("ABS", invoice) == Settled(invoice.preimage)
    with pytest.raises(ValueError, match="there already"):
        line.world.add_node("S2", node_id=stranger.id)


def test_ones_own_invoice_is_settled_without_an_htlc_and_only_once():
    line = Line("AB")
    a = line.nodes["A"].id
    invoice = line.world.create_invoice(a, AMOUNT, "")
    name = invoice.payment_hash.hex()
    for secret, amount, words in (
        (None, AMOUNT, f"Attempt to pay {name} without secret"),
        (bytes(32), AMOUNT, f"Attempt to pay {name} with wrong payment_secret"),
        (invoice.payment_secret, AMOUNT - 1, f"Attempt to pay {name} with amount 99999999msat < 100000000msat"),
    ):
        with pytest.raises(ValueError) as caught:
            line.world.pay_self(a, invoice.payment_hash, amount, secret)
        assert str(caught.value) == words
    assert line.world.pay_self(a, invoice.payment_hash, AMOUNT, invoice.payment_secret) == invoice.preimage
    assert invoice.received_msat == AMOUNT
    with pytest.raises(ValueError, match="Already paid or expired invoice"):
        line.world.pay_self(a, invoice.payment_hash, AMOUNT, invoice.payment_secret)
    with pytest.raises(ValueError, match="Unknown invoice"):
        line.world.pay_self(line.nodes["B"].id, invoice.payment_hash, AMOUNT, invoice.payment_secret)


def test_the_direct_peer_is_paid_without_fee():
    line = Line("AB")
    invoice = line.world.create_invoice(line.nodes["B"].id, AMOUNT, "")
    hop = WireHop(line.channels["AB"].scid, line.nodes["B"].id, AMOUNT, 1010)
    assert line.pay([hop], invoice) == Settled(invoice.preimage)
    assert line.balance("AB") == 400_000 * SAT
