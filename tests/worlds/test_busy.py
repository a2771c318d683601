"""Routes that are taken by what is in flight: asked for again after 0.25, 0.5, 1 … s, until the deadline.

An HTLC takes half a second a channel and back, so a payment over two channels takes two seconds.
"""

from __future__ import annotations

from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.invoices import SimInvoice
from tests.support.worlds.story import Limits
from tests.support.worlds.town import AMOUNT, SAT, Town

HALF = 500_000 * SAT


def slots(town: Town, ends: str, most: int) -> None:
    """So many HTLCs go through a channel of ours at once, and we know it."""
    town.channels[ends].htlc_limits[:] = [most, most]


def invoice(town: Town, amount_msat: int = AMOUNT, to: str = "D", **more: object) -> SimInvoice:
    return town.world.create_invoice(town.id(to), amount_msat, "", **more)  # type: ignore[arg-type]


def test_more_payments_than_slots():
    """
    us ──1── A ─── D     One slot, three payments at once. The second asks after 0.25, 0.75, 1.75 and 3.75 s: the
                         slot was free at 2.0. The third then finds it taken, naps 4 s, and is the last.
    """
    town = Town("us-A", "A-D")
    slots(town, "us-A", 1)
    stories = [town.sender.start(invoice(town)) for _ in range(3)]
    town.sender.settle(*stories)
    assert [story.lines for story in stories] == [["us>A>D paid"]] * 3, "and none was sent to be refused"
    assert [story.parts[0].sent_s for story in stories] == [0.0, 3.75, 7.75]


def test_money_that_is_out_and_comes_back():
    """
    us ─── A ─── D     600,000 sat of 1,000,000 are out to D, who holds them and gives them back after 5 s: the
                       next 500,000 wait for that, and nothing says that we do not have them.
    """
    town = Town("us-A", "A-D")
    held = invoice(town, 600_000 * SAT, hold=True)
    first = town.sender.start(held, Limits(retry_for_s=0))
    town.clock.run_until(lambda: bool(held.parts), 10)
    second = town.sender.start(invoice(town, HALF))
    town.later(5.0, lambda: town.world.cancel_invoice(held))
    town.sender.settle(first, second)
    assert (first.code, second.lines) == (203, ["us>A>D paid"])
    # It is back at 6.0; looks are at 0.25, 0.75, 1.75, 3.75, 7.75.
    assert second.parts[0].sent_s == 7.75


def test_money_that_is_out_and_gone():
    """
    us ─── A ─── D     As before, but D takes the 600,000: then 500,000 are more than we have, and that is 205.
    """
    town = Town("us-A", "A-D")
    held = invoice(town, 600_000 * SAT, hold=True)
    first = town.sender.start(held)
    town.clock.run_until(lambda: bool(held.parts), 10)
    second = town.sender.start(invoice(town, HALF))
    town.later(5.0, lambda: town.world.release_invoice(held))
    town.sender.settle(first, second)
    assert (second.lines, second.code, second.reason) == ([], 205, "insufficient_spendable")
    assert second.ended_s == 7.75


def test_more_than_was_ever_ours_is_said_at_once():
    """
    us ─── A ─── D     600,000 sat are out, and 1,000,000 would not pass if they were not: no wait.
    """
    town = Town("us-A", "A-D")
    held = invoice(town, 600_000 * SAT, hold=True)
    first = town.sender.start(held)
    town.clock.run_until(lambda: bool(held.parts), 10)
    second = town.sender.start(invoice(town, 1_000_000 * SAT))
    town.clock.run_until(lambda: second.result is not None, 1)
    assert (second.code, second.reason, second.ended_s) == (205, "insufficient_spendable", 0.0)
    town.world.release_invoice(held)
    town.sender.settle(first)


def test_a_recipient_that_never_lets_go():
    """
    us ──1── A ─── D     The only slot is held for longer than retry_for: 210 at the deadline, and what for.
    """
    town = Town("us-A", "A-D")
    slots(town, "us-A", 1)
    held = invoice(town, hold=True)
    first = town.sender.start(held)
    town.clock.run_until(lambda: bool(held.parts), 10)
    second = town.sender.start(invoice(town), Limits(retry_for_s=30))
    town.clock.run_until(lambda: second.result is not None, 60)
    assert (second.lines, second.code, second.reason, second.ended_s) == ([], 210, "busy", 30.0)
    assert "HTLC slots" in second.words
    town.world.release_invoice(held)
    town.sender.settle(first)


def test_what_our_parts_hold_on_a_channel_of_others():
    """
    us ─── A ─1,000,000─ D     Two channels of ours to A. 600,000 sat of ours are in A-D, where there is room for
     └──── A                   1,000,000: the next 500,000 wait until the first have failed.
    """
    town = Town("us-A", "us-A", "A-D")
    held = invoice(town, 600_000 * SAT, hold=True)
    first = town.sender.start(held, Limits(retry_for_s=0))
    town.clock.run_until(lambda: bool(held.parts), 10)
    second = town.sender.start(invoice(town, HALF))
    town.later(1.0, lambda: town.world.cancel_invoice(held))
    town.sender.settle(first, second)
    assert second.lines == ["us>A>D paid"]
    assert second.parts[0].sent_s == 3.75


def test_a_cheap_way_that_is_taken_is_waited_for():
    """
    us ──1── A ──100── D     The way by B is dearer than allowed, the one by A is taken for 2 s: no 206.
     └────── B ─9,000─ D
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 9_000))
    slots(town, "us-A", 1)
    stories = [town.sender.start(invoice(town)) for _ in range(2)]
    town.sender.settle(*stories)
    assert [story.lines for story in stories] == [["us>A>D paid"]] * 2
    assert stories[1].parts[0].sent_s == 3.75


def test_a_part_of_ours_that_bars_our_own_rest():
    """
    us ─600─ A ─── D     700,000 sat in two parts; B says for good that its channel is not there. What it refused
     └─600── B ─×─ D     would fit where the other part is, but never all of it: nothing to wait for, 205 as soon
                         as D has given up to wait for the rest.
    """
    town = Town("A-D", "B-D")
    town.join("us-A", has=610_000 * SAT)
    town.join("us-B", has=610_000 * SAT)
    town.faults("B-D", fail_code=FailCode.PERMANENT_CHANNEL_FAILURE)
    story = town.pay(700_000 * SAT, max_parts=2, retry_for_s=300)
    assert [part.path for part in story.parts] == ["us>A>D", "us>B>D"]
    assert (story.code, story.ended_s) == (205, 62.0)
