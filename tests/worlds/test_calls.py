"""What only some calls have: a phone behind a hint, ourselves as the payee, a shadow, a price of seconds."""

from __future__ import annotations

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.network import HintHop
from pay.payment.settings import Shadow
from pay.sim.network.encoding.failures import FailCode
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits
from tests.support.worlds.town import AMOUNT, EMPTY, SAT, Town


def test_a_phone_that_wakes_up_is_paid():
    """
    us ──── A ──100── P ╌╌╌╌ D     P's channel to D is in the invoice alone, and D wakes up after three seconds.
                                   P is asked again a second after it has refused.
    """
    town = Town("us-A", ("A-P", 100))
    town.join("P-D", announced=False)
    hint = (HintHop(town.id("P"), town.channels["P-D"].name_for(town.id("P")), 0, 0, 40),)
    town.faults("P-D", fail_code=int(FailCode.UNKNOWN_NEXT_PEER))
    town.later(3.0, lambda: town.faults("P-D"))
    story = town.pay(invoice={"hints": [hint]})
    away, paid = story.parts
    assert away.told == "P: the node knows no such next channel or its peer is away" and paid.told == "paid"
    assert (away.sent_s, paid.sent_s) == (0.0, 3.0)


def test_our_own_invoice_is_settled_without_a_part_on_the_way():
    town = Town("us-A")
    story = town.pay(to="us")
    assert (story.paid, story.fee_msat, story.lines, story.ended_s) == (True, 0, [], 0.0)


def test_a_shadow_is_on_the_last_hop():
    """
    us ──── A ──100── D     With a shadow D's HTLC seems to lead on over two channels of 40 blocks.
    """
    town = Town("us-A", ("A-D", 100))
    plain, shaded = town.pay(), town.pay(shadow=Shadow.DELAY)
    delays = [story.parts[0].route.hops[-1].delay_blocks for story in (plain, shaded)]
    assert plain.paid and shaded.paid and delays == [18, 98]
    assert shaded.fee_msat == plain.fee_msat


def test_seconds_have_a_price():
    """
    us ──── A ──100── D     A takes ten seconds for all it does, as a payment to E that failed there has shown. If
     │      └──────── E     a second is worth ten sat, B is the better way to D though it asks ten sat more.
     └───── B ──200── D
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200), "A-E")
    town.drain("A-E")
    town.faults("A", delay_s=10.0)
    us = Sender(town.world, town.id("us"), beliefs=LiquidityBeliefs())
    assert us.pay(town.id("E"), AMOUNT).lines == [f"us>A>E A: {EMPTY}"]

    def path(second_cost_msat: int) -> str:
        limits = Limits(failure_cost_msat=0, failure_cost_ppm=0, second_cost_msat=second_cost_msat)
        return us.pay(town.id("D"), AMOUNT, limits).paths[0]

    assert [path(0), path(1 * SAT), path(10 * SAT)] == ["us>A>D", "us>A>D", "us>B>D"]
