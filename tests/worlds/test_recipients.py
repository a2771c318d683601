"""What the recipient does: refuses, is away, is ahead, waits."""

from __future__ import annotations

from dataclasses import replace

from pay.sim.network.encoding.failures import FailCode
from tests.support.worlds.town import AMOUNT, EMPTY, SAT, Town

REFUSED = "D: the recipient refuses: it does not know this payment (any more), or its amount or delay is not right"


def fork() -> Town:
    """Two ways.

    us ──── A ──100── D
     └───── B ──200── D
    """
    return Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))


def test_a_refusal_is_final():
    """
    us ──── A ──100── D     D has cancelled the invoice: one part, and no second one over B.
     └───── B ──200── D
    """
    town = fork()
    invoice = town.world.create_invoice(town.id("D"), AMOUNT)
    town.world.cancel_invoice(invoice)
    story = town.sender.pay_invoice(invoice)
    assert (story.lines, story.code) == ([f"us>A>D {REFUSED}"], 203)


def test_less_than_the_invoice_asks_is_refused():
    """
    us ──── A ──100── D     The invoice that we have says 99,999 sat, D has it for 100,000.
    """
    town = fork()
    invoice = town.world.create_invoice(town.id("D"), AMOUNT)
    story = town.sender.pay_invoice(replace(invoice, amount_msat=AMOUNT - 1 * SAT))
    assert (story.lines, story.code) == ([f"us>A>D {REFUSED}"], 203)


def test_an_invoice_without_an_amount():
    """
    us ──── A ──100── D     The amount is the caller's.
    """
    town = fork()
    invoice = town.world.create_invoice(town.id("D"), None)
    story = town.sender.pay_invoice(invoice, amount_msat=AMOUNT)
    assert story.lines == ["us>A>D paid"] and invoice.received_msat == AMOUNT


def test_a_recipient_one_block_ahead():
    """
    us ──── A ──100── D     The host counts from the next block, so one block of D's lead is allowed for.
    """
    town = fork()
    town.nodes["D"].extra_height = 1
    assert town.pay().lines == ["us>A>D paid"]


def test_a_recipient_two_blocks_ahead():
    """
    us ──── A ──100── D     D has seen two blocks that we have not: to it the part is one block short, and it
                            answers as it answers to strangers, but for the height it names. We wait for that
                            block (the second of ours comes after 40 s) and pay.
    """
    town = fork()
    town.nodes["D"].extra_height = 2

    def block() -> None:
        town.world.mine()
        town.nodes["D"].extra_height -= 1

    town.later(20.0, block)
    town.later(40.0, block)
    story = town.pay()
    assert story.lines == [f"us>A>D {REFUSED}", "us>A>D paid"]
    assert [part.sent_s for part in story.parts] == [0.0, 40.0]
    assert len(story.messages) == 2 and "1002" in story.messages[1]


def test_two_blocks_come_while_a_part_is_under_way():
    """
    us ──── A ──100── D     When the part was sent nobody had seen the two blocks, when it arrives everybody has:
                            to D it is one block short. The answer finds us as high as D, and we send it again.
    """
    town = fork()
    town.later(0.75, lambda: town.world.mine(2))
    story = town.pay()
    assert story.lines == [f"us>A>D {REFUSED}", "us>A>D paid"]
    assert [part.sent_s for part in story.parts] == [0.0, 2.0]


def test_a_block_that_does_not_come():
    """
    us ──── A ──100── D     D claims to be at a height that nobody reaches: the wait ends with retry_for.
     └───── B ──200── D
    """
    town = fork()
    town.nodes["D"].extra_height = 500
    story = town.pay()
    assert story.lines == [f"us>A>D {REFUSED}"]
    assert (story.code, story.ended_s) == (210, 60.0)


def test_a_recipient_that_is_away():
    """
    us ──── A ──100─╱ D     Each of its peers says that it cannot reach it, and gossip knows no more of them.
     └───── B ──200─╱ D
    """
    town = fork()
    town.faults("D", offline=True)
    story = town.pay()
    assert story.lines == [f"us>A>D A: {EMPTY}", f"us>B>D B: {EMPTY}"]
    assert story.code == 205 and "after 2 attempts" in story.words


def test_a_recipient_in_trouble_is_tried_over_its_other_channel():
    """
    us ──── A ──100── D     D answers temporary_node_failure once. That is no refusal.
     └───── B ──200── D
    """
    town = fork()
    town.faults("D", fail_code=FailCode.TEMPORARY_NODE_FAILURE, fail_times=1)
    assert town.pay().lines == ["us>A>D D: the node failed for now", "us>B>D paid"]


def test_a_recipient_that_holds_the_payment():
    """
    us ──── A ──100── D     D keeps the part for ten minutes before it takes it: we wait, whatever retry_for says.
    """
    town = fork()
    invoice = town.world.create_invoice(town.id("D"), AMOUNT, hold=True)
    town.later(600.0, lambda: town.world.release_invoice(invoice))
    story = town.sender.pay_invoice(invoice)
    assert (story.lines, story.ended_s) == (["us>A>D paid"], 601.0)


def test_a_recipient_that_holds_and_refuses():
    """
    us ──── A ──100── D     The same, and then it gives the money back: 203, not 210, as it is D that decided.
    """
    town = fork()
    invoice = town.world.create_invoice(town.id("D"), AMOUNT, hold=True)
    town.later(600.0, lambda: town.world.cancel_invoice(invoice))
    story = town.sender.pay_invoice(invoice)
    assert (story.lines, story.code) == ([f"us>A>D {REFUSED}"], 203)


def test_metadata_is_brought_along():
    """
    us ──── A ──100── D     D refuses whoever does not bring what its invoice carries.
    """
    town = fork()
    assert town.pay(invoice={"metadata": b"\x01\x02\x03"}).lines == ["us>A>D paid"]


def test_the_same_invoice_twice():
    """
    us ──── A ──100── D     A second session knows nothing of the first (the host would); D refuses.
    """
    town = fork()
    invoice = town.world.create_invoice(town.id("D"), AMOUNT)
    assert town.sender.pay_invoice(invoice).paid
    assert town.sender.pay_invoice(invoice).code == 203
