"""Which way a payment goes, and which way it goes next when that one fails."""

from __future__ import annotations

import pytest

from pay.sim.network.encoding.failures import FailCode
from tests.support.worlds.sender import pay
from tests.support.worlds.story import Limits
from tests.support.worlds.town import AMOUNT, EMPTY, SAT, WHOLE, Town


def fork(**world: object) -> Town:
    """Two ways.

    us ──── A ──100── D
     └───── B ──200── D
    """
    return Town("us-A", ("A-D", 100), "us-B", ("B-D", 200), **world)


def test_the_cheaper_of_two_ways():
    """
    us ──── A ──100── D     A takes 10 sat of 100,000, B would take 20: one part, over A; two channels of
     └───── B ──200── D     half a second there, two back.
    """
    town = fork()
    story = town.pay()
    assert story.lines == ["us>A>D paid"]
    assert story.fee_msat == 10 * SAT
    assert story.ended_s == 2.0


def test_the_kit_pays_in_one_call():
    town = fork()
    assert pay(town.world, town.id("us"), town.id("D"), AMOUNT, Limits()).lines == ["us>A>D paid"]


def test_around_a_depleted_channel():
    """
    us ──── A ──100─× D     A owns nothing of its channel to D, which nobody can know. The first part says so
     └───── B ──200── D     after two seconds (there and back over us-A alone: one), the second goes over B.
    """
    town = fork()
    town.drain("A-D")
    story = town.pay()
    assert story.lines == [f"us>A>D A: {EMPTY}", "us>B>D paid"]
    assert [(part.sent_s, part.ended_s) for part in story.parts] == [(0.0, 1.0), (1.0, 3.0)]
    assert story.fee_msat == 20 * SAT


def test_all_ways_depleted_ends_with_the_last_of_them():
    """
    us ──── A ──100─× D     Two ways, two parts, and an answer that says so: nothing is tried twice.
     └───── B ──200─× D
    """
    town = fork()
    town.drain("A-D")
    town.drain("B-D")
    story = town.pay()
    assert story.lines == [f"us>A>D A: {EMPTY}", f"us>B>D B: {EMPTY}"]
    assert story.code == 205 and "after 2 attempts" in story.words


def test_a_depleted_channel_on_the_way_is_left_behind_not_the_node_before_it():
    """
    us ── A ──100─× B ──100── D     B is reached over C as well: the second part avoids A-B only.
          └──100─── C ──150── B
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100), ("A-C", 100), ("C-B", 150))
    town.drain("A-B")
    story = town.pay()
    assert story.lines == [f"us>A>B>D A: {EMPTY}", "us>A>C>B>D paid"]


def test_a_fee_raised_since_gossip_is_learnt_from_the_refusal():
    """
    us ──── A ──100── D     A asks 150 ppm by now and its refusal says so. That is still less than B asks: the
     └───── B ──200── D     second part goes the same way and pays what is asked, exactly.
    """
    town = fork()
    town.now_asks("A-D", fee_ppm=150)
    story = town.pay()
    assert story.lines == ["us>A>D A: the fee was below what the channel asks now", "us>A>D paid"]
    assert story.fee_msat == 15 * SAT


def test_a_fee_raised_above_the_next_way_s():
    """
    us ──── A ──100── D     A asks 300 ppm by now: then B is cheaper.
     └───── B ──200── D
    """
    town = fork()
    town.now_asks("A-D", fee_ppm=300)
    story = town.pay()
    assert story.lines == ["us>A>D A: the fee was below what the channel asks now", "us>B>D paid"]
    assert story.fee_msat == 20 * SAT


def test_the_same_lie_twice():
    """
    us ──── A ──100── D     A says that it asks 150 ppm, and refuses those as well with the very same policy.
     └───── B ──200── D     Nobody pays a third time for such an answer: the channel is given up.
    """
    town = fork()
    town.now_asks("A-D", fee_ppm=150)
    town.faults("A-D", fail_code=FailCode.FEE_INSUFFICIENT)
    story = town.pay()
    lie = "A: the fee was below what the channel asks now"
    assert story.lines == [f"us>A>D {lie}", f"us>A>D {lie}", "us>B>D paid"]
    assert [part.route.fee_msat for part in story.parts] == [10 * SAT, 15 * SAT, 20 * SAT]


def test_a_fee_raised_and_the_refusal_does_not_say_so():
    """
    us ──── A ──100── D     A asks 150 ppm by now and leaves its policy out of the refusal: what to pay is not
     └───── B ──200── D     known, so B is taken, although it is dearer.
    """
    town = fork()
    town.now_asks("A-D", fee_ppm=150)
    town.faults("A", hides_updates=True)
    story = town.pay()
    assert story.lines == ["us>A>D A: the fee was below what the channel asks now", "us>B>D paid"]
    assert story.fee_msat == 20 * SAT


def test_a_refusal_without_news_is_believed_at_once():
    """
    us ──── A ──100── D     A refuses its own fee, and the policy in its answer is the one that was paid: there
     └───── B ──200── D     is nothing to learn, so nothing to try again.
    """
    town = fork()
    town.faults("A-D", fail_code=FailCode.FEE_INSUFFICIENT)
    assert town.pay().paths == ["us>A>D", "us>B>D"]


def test_a_delay_raised_since_gossip():
    """
    us ──── A ──100── D     A wants 80 blocks where gossip says 40. That costs more, and still less than B.
     └───── B ──900── D
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 900))
    town.now_asks("A-D", cltv_delta=80)
    story = town.pay()
    assert story.lines == ["us>A>D A: the delay was below what the channel asks now", "us>A>D paid"]
    assert [part.route.delay_blocks for part in story.parts] == [18 + 40, 18 + 80]


def test_a_channel_that_gossip_has_as_disabled_is_not_tried():
    """
    us ──── A ──100─╱ D
     └───── B ──200── D
    """
    town = fork()
    town.now_asks("A-D", enabled=False, gossip=True)
    assert town.pay().lines == ["us>B>D paid"]


def test_a_channel_disabled_since_gossip():
    """
    us ──── A ──100─╱ D     A says that it is disabled; the second part goes over B.
     └───── B ──200── D
    """
    town = fork()
    town.now_asks("A-D", enabled=False)
    assert town.pay().lines == ["us>A>D A: the channel is disabled", "us>B>D paid"]


def test_a_channel_closed_since_gossip():
    """
    us ──── A ──100─   D    A has no such channel any more, and we have not heard.
     └───── B ──200── D
    """
    town = fork()
    town.listen()
    town.world.gossip_listeners.clear()
    town.world.close_channel(town.channels["A-D"])
    assert town.pay().lines == [
        "us>A>D A: the node knows no such next channel or its peer is away", "us>B>D paid"
    ]  # fmt: skip


def test_a_channel_whose_funding_was_spent_is_the_last_resort():
    """
    us ──── A ──100─   D    Until the funding is spent deep enough gossip still has A-D: it may be a splice. So it
     └───── B ──200── D     is tried where nothing else is left, and A says that it was none. At the very last B-D,
                            which gossip has as disabled.
    """
    town = fork()
    town.listen()
    town.world.close_channel(town.channels["A-D"])
    assert town.pay().lines == ["us>B>D paid"]
    town.now_asks("B-D", enabled=False, gossip=True)
    assert town.pay().lines == [
        "us>A>D A: the node knows no such next channel or its peer is away",
        "us>B>D B: the channel is disabled",
    ]


@pytest.mark.parametrize("what", ["A", "A-D"])
def test_what_requires_features_that_we_lack_is_not_tried(what: str):
    """
    us ──── A ──100── D    A, or its channel, has an even bit that nobody knew when this was written.
     └───── B ──200── D
    """
    town = fork()
    (town.channels.get(what) or town.nodes[what]).features |= 1 << 300
    assert town.pay().lines == ["us>B>D paid"]


def test_a_failing_node_is_avoided_with_all_its_channels():
    """
    us ── A ──100── D       A itself is out of order. Over A and C would be cheaper than over B, but A is on
     │    └────────  C ──10── D      that way, too.
     └─── B ──900── D
    """
    town = Town("us-A", ("A-D", 100), "A-C", ("C-D", 110), "us-B", ("B-D", 900))
    town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE)
    assert town.pay().lines == ["us>A>D A: the node failed for now", "us>B>D paid"]


def test_a_failing_node_in_the_middle():
    """
    us ── A ──100── B ──100── D     B is out of order: C leads around it, A is still good.
          └──300─── C ──300── D
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100), ("A-C", 300), ("C-D", 300))
    town.faults("B", fail_code=FailCode.PERMANENT_NODE_FAILURE)
    assert town.pay().lines == ["us>A>B>D B: the node failed for good", "us>A>C>D paid"]


def test_an_answer_that_nobody_can_read():
    """
    us ── A ──100── B ──100── D     B fails and garbles its answer. Who failed is unknown, so all between our peer
     │              │               and the last channel is left out: A-B. Our channel to A and B-D, which may be
     │    C ──250───┘               the only way in, are not blamed, and the second way meets B again. It
     └────┘                         behaves by then.
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100), "us-C", ("C-B", 250))
    town.faults("B", fail_code=FailCode.TEMPORARY_CHANNEL_FAILURE, fail_times=1, unparsable=True)
    assert town.pay().lines == ["us>A>B>D unreadable", "us>C>B>D paid"]


def test_unreadable_and_no_other_way():
    """
    us ──── A ──100── D     One way, and something on it fails unreadably: it is not tried again.
    """
    town = Town("us-A", ("A-D", 100))
    town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE, unparsable=True)
    story = town.pay()
    assert story.lines == ["us>A>D unreadable"]
    assert story.code == 205 and "the answer could not be read" in story.words


def test_a_node_that_keeps_some_of_the_money_is_left_out():
    """
    us ── A ──100── B ──100── D     B forwards 1 sat less than it was told and D says that it got too little. It
     └─── C ──400── D               came over B-D: the second part comes another way.
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100), "us-C", ("C-D", 400))
    town.faults("B", skim_msat=1 * SAT)
    assert town.pay().lines == [
        "us>A>B>D D: the last amount did not arrive as it was sent", "us>C>D paid"
    ]  # fmt: skip


def test_a_node_that_keeps_some_of_the_time_is_left_out():
    """
    us ── A ──100── B ──100── D     B forwards 10 blocks less than it was told, and D says that its time is short:
     └─── C ──400── D               it came over B-D, so the second part comes another way.
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100), "us-C", ("C-D", 400))
    town.faults("B", skim_blocks=10)
    assert town.pay().lines == [
        "us>A>B>D D: the last delay did not arrive as it was sent", "us>C>D paid"
    ]  # fmt: skip


def test_parallel_channels_are_one_to_the_node_that_forwards():
    """
    us ──── A ══100══ D     Two channels from A to D, and the one that is named is empty: A uses the other, as any
     └───── B ──200── D     forwarding node may, and we never hear of it.
    """
    town = Town("us-A", ("A-D", 100), ("A-D", 100), "us-B", ("B-D", 200))
    town.drain("A-D")
    story = town.pay()
    assert town.over(story) == ["us-A A-D"] and story.paid
    assert town.channels["A-D'"].balance_msat(town.id("D")) == AMOUNT


def test_parallel_channels_are_two_to_a_strict_node():
    """
    us ──── A ══100══ D     The same where A forwards over the named channel only, and there is no B. Most nodes
                            would have used the other one: it is tried as the last way that is left.
    """
    town = Town("us-A", ("A-D", 100), ("A-D", 110), non_strict=False)
    town.drain("A-D")
    story = town.pay()
    assert town.over(story) == ["us-A A-D", "us-A A-D'"] and story.paid


def test_a_minimum_on_the_way_keeps_small_payments_off():
    """
    us ──── A ──10─── D     A-D takes 1,000 sat at least: 500 sat go over B.
     └───── B ──200── D
    """
    town = Town("us-A", "us-B", ("B-D", 200))
    town.join("A-D", 10, htlc_min_msat=1_000 * SAT)
    assert town.pay(500 * SAT).lines == ["us>B>D paid"]
    assert town.pay(2_000 * SAT).lines == ["us>A>D paid"]


def test_a_minimum_raised_since_gossip():
    """
    us ──── A ──10─── D     A-D takes 1,000 sat at least by now, and says so.
     └───── B ──200── D
    """
    town = Town("us-A", ("A-D", 10), "us-B", ("B-D", 200))
    town.now_asks("A-D", htlc_min_msat=1_000 * SAT)
    assert town.pay(500 * SAT).lines == [
        "us>A>D A: the amount was below the channel's minimum", "us>B>D paid"
    ]  # fmt: skip


def test_a_maximum_on_the_way():
    """
    us ──── A ──100── D     A-D is large enough but takes 50,000 sat an HTLC at most: 100,000 sat go over B.
     └───── B ──200── D
    """
    town = Town("us-A", "us-B", ("B-D", 200))
    town.join("A-D", 100, htlc_max_msat=50_000 * SAT)
    assert town.pay().lines == ["us>B>D paid"]
    assert town.pay(40_000 * SAT).lines == ["us>A>D paid"]


def test_a_maximum_lowered_since_gossip():
    """
    us ──── A ──100── D     There is no code for it: A answers as if the channel were empty.
     └───── B ──200── D
    """
    town = fork()
    town.now_asks("A-D", htlc_max_msat=50_000 * SAT)
    assert town.pay().lines == [f"us>A>D A: {EMPTY}", "us>B>D paid"]


def test_a_likelier_way_is_worth_its_fee():
    """
    us ──── A ──100── D     A-D holds 120,000 sat, of which 100,000 pass in one case of six: 1.8 nats at 20 sat.
     └───── B ──200── D     B costs 10 sat more and holds a million: the first part goes over B.
    """
    town = Town("us-A", "us-B", ("B-D", 200))
    town.join("A-D", 100, capacity=120_000 * SAT)
    assert town.pay().lines == ["us>B>D paid"]
    assert town.pay(failure_cost_msat=1_000, failure_cost_ppm=0).lines == ["us>A>D paid"]


def test_two_payments_at_once_share_what_we_have():
    """
    us ──── A ──100── D     600,000 sat twice: the first takes most of us-A, the second is planned around that
     └───── B ──200── D     before the first has arrived.
    """
    town = fork()
    invoices = [town.world.create_invoice(town.id("D"), 600_000 * SAT) for _ in range(2)]
    stories = [town.sender.start(invoice) for invoice in invoices]
    town.sender.settle(*stories)
    assert [story.lines for story in stories] == [["us>A>D paid"], ["us>B>D paid"]]
    assert [story.ended_s for story in stories] == [2.0, 2.0]


def test_two_payments_at_once_share_a_channel_of_others():
    """
    us ════ A ──100── D     Two channels of ours to A: what the first payment has on its way over A-D counts
     └───── B ──200── D     against the second.
    """
    town = fork()
    town.join("us-A")
    invoices = [town.world.create_invoice(town.id("D"), 600_000 * SAT) for _ in range(2)]
    stories = [town.sender.start(invoice) for invoice in invoices]
    town.sender.settle(*stories)
    assert [story.lines for story in stories] == [["us>A>D paid"], ["us>B>D paid"]]


def test_the_whole_of_a_channel():
    """
    us ──── A ──0──── D     A million sat, of which a hundredth is the reserve of either side: 990,000 sat arrive.
    """
    town = Town("us-A", "A-D")
    assert town.pay(WHOLE * 99 // 100).lines == ["us>A>D paid"]
