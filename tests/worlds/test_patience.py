"""What is waited for where nothing is left to try, and what is said at once.

An HTLC takes half a second a channel and back, so that over two channels a refusal by the first node is back after
a second, one by the last node or a payment after two.
"""

from __future__ import annotations

import pytest

from pay.payment.patience import PEERS_S
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.faults import Faults
from tests.support.worlds.story import Story
from tests.support.worlds.town import EMPTY, SAT, Town

TROUBLE = "the node failed for now"
AWAY = "the node knows no such next channel or its peer is away"
PARTS: dict[str, object] = {"max_parts": 30, "min_part_msat": 1_000 * SAT}


def sent(story: Story) -> list[float]:
    """When each part was."""
    return [part.sent_s for part in story.parts]


def hidden(*ways: str) -> tuple[Town, dict[str, object]]:
    """us ── A ──100── P ┄┄50┄┄ D     D's only channel is not announced; its invoice tells of it."""
    town = Town(*(ways or ("us-A", "A-P")))
    return town, {"hints": [town.join("P-D", 50, announced=False).hint_for(town.id("D"))]}


def unplug(town: Town, ends: str, back_after_s: float | None = None) -> None:
    """A peer of ours is not connected; it comes back by itself, if ever."""
    channel, us = town.channels[ends], town.id("us")
    town.world.set_channel_faults(channel, us, Faults(offline=True))
    if back_after_s is not None:
        town.later(back_after_s, lambda: town.world.set_channel_faults(channel, us, None))


# --- a node on the only way -----------------------------------------------------------------------------------


def test_the_hub_is_in_trouble_for_three_seconds():
    """
    us ──── A ──100── D     A says temporary_node_failure until 3 s. It is asked again half a second after its
                            first refusal, a second after the next one, and then it is well.
    """
    town = Town("us-A", ("A-D", 100))
    town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE)
    town.later(3.0, lambda: town.behave("A"))
    story = town.pay()
    assert story.lines == [f"us>A>D A: {TROUBLE}"] * 2 + ["us>A>D paid"]
    assert sent(story) == [0.0, 1.5, 3.5]
    assert [told for told in story.messages if "in trouble" in told] != []


def test_a_payment_of_many_parts_asks_a_node_in_trouble_with_one():
    """
    us ──── A ──100── D     Six parts, five at once, as A is not known yet; it is in trouble until 3 s. Each
                            look is one HTLC; once that was quiet for long enough the five others follow.
    """
    town = Town("us-A", latency_s=0.2)
    town.join("A-D", 100, htlc_max_msat=1_980 * SAT)
    town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE)
    town.later(3.0, lambda: town.behave("A"))
    story = town.pay(11_000 * SAT, **PARTS)
    assert story.paid
    assert sent(story) == pytest.approx([0.0] * 5 + [0.9, 2.3, 4.7] + [5.7] * 5)


def test_it_is_in_trouble_until_the_end():
    """
    us ──── A ──100── D     Eight HTLCs in a minute, after pauses of 0.5, 1, 2, 4, 8 and 16 s: then 210.
    """
    town = Town("us-A", ("A-D", 100))
    town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE)
    story = town.pay()
    assert sent(story) == [0.0, 1.5, 3.5, 6.5, 11.5, 20.5, 37.5, 54.5]
    assert (story.code, story.reason, story.ended_s) == (210, "trouble", 60.0)
    assert "after 8 attempts" in story.words and "WIRE_TEMPORARY_NODE_FAILURE" in story.words


def test_another_way_is_taken_at_once():
    """
    us ──── A ──100── D     A is in trouble: B, and no pause.
     └───── B ──200── D
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))
    town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE)
    story = town.pay()
    assert story.lines == [f"us>A>D A: {TROUBLE}", "us>B>D paid"] and sent(story) == [0.0, 1.0]


def test_a_trouble_that_lasts_is_the_end():
    """
    us ──── A ──100── D     A says permanent_node_failure: 205 when that is heard.
    """
    town = Town("us-A", ("A-D", 100))
    town.faults("A", fail_code=FailCode.PERMANENT_NODE_FAILURE)
    story = town.pay()
    assert (story.lines, story.code, story.ended_s) == (["us>A>D A: the node failed for good"], 205, 1.0)


def test_a_channel_between_whose_peer_is_away():
    """
    us ── A ──10── B ──100── D     B is away from A until 3 s, and nobody else goes to B.
    """
    town = Town("us-A", ("A-B", 10), ("B-D", 100))
    town.faults("A-B", fail_code=FailCode.UNKNOWN_NEXT_PEER)
    town.later(3.0, lambda: town.faults("A-B"))
    story = town.pay()
    assert story.lines == [f"us>A>B>D A: {AWAY}"] * 2 + ["us>A>B>D paid"] and sent(story) == [0.0, 1.5, 3.5]


def test_an_empty_channel_on_the_only_way_is_the_end():
    """
    us ──── A ──100── D     A has nothing for D. Its balance does not change because we wait: one HTLC, 205.
    """
    town = Town("us-A", ("A-D", 100))
    town.drain("A-D")
    story = town.pay()
    assert (story.lines, story.code, story.ended_s) == ([f"us>A>D A: {EMPTY}"], 205, 1.0)


def test_the_recipient_is_in_trouble():
    """
    us ──── A ──100── D     D itself says that it fails for now, twice, on its only channel.
    """
    town = Town("us-A", ("A-D", 100))
    town.faults("D", fail_code=FailCode.TEMPORARY_NODE_FAILURE, fail_times=2)
    story = town.pay()
    assert story.lines == [f"us>A>D D: {TROUBLE}"] * 2 + ["us>A>D paid"] and sent(story) == [0.0, 2.5, 5.5]


# --- phones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", [(), ("us-P",)], ids=["behind others", "our peer"])
def test_who_forwards_to_a_phone_is_in_trouble(ways: tuple[str, ...]):
    """
    us ── A ── P ┄┄┄ D     P fails for now until 3 s: with a hint as without one.
    """
    town, invoice = hidden(*ways)
    town.faults("P", fail_code=FailCode.TEMPORARY_NODE_FAILURE)
    town.later(3.0, lambda: town.behave("P"))
    story = town.pay(invoice=invoice)
    assert story.paid and len(story.parts) == (2 if not ways else 3)


def test_a_phone_that_sleeps_for_three_seconds():
    """
    us ── A ── P ┄┄┄ D     D is not connected until 3 s. P says what lightningd says then, that it could not be
                           carried; asked again a second later it carries it.
    """
    town, invoice = hidden()
    town.faults("D", offline=True)
    town.later(3.0, lambda: town.behave("D"))
    story = town.pay(invoice=invoice)
    assert story.lines == [f"us>A>P>D P: {EMPTY}", "us>A>P>D paid"] and sent(story) == [0.0, 3.0]


def test_a_phone_that_sleeps_on():
    """
    us ── A ── P ┄┄┄ D     P says that D is away: it is asked again after pauses of 1, 2, 4, 8, 16 and 16 s, the
                           last one until retry_for is over, and that is 210.
    """
    town, invoice = hidden()
    town.faults("P-D", fail_code=FailCode.UNKNOWN_NEXT_PEER)
    story = town.pay(invoice=invoice, retry_for_s=57)
    assert sent(story) == [0.0, 3.0, 7.0, 13.0, 23.0, 41.0]
    assert (story.code, story.reason, story.ended_s) == (210, "phone", 57.0)


def test_a_phone_that_cannot_receive_that():
    """
    us ── A ── P ┄┄┄ D     P has nothing for D, which cannot be told from one that sleeps: in halves and quarters,
                           as there may be several channels behind a hint, then three times more as a whole.
    """
    town, invoice = hidden()
    town.drain("P-D")
    story = town.pay(invoice=invoice, **PARTS)
    assert [part.route.amount_msat // SAT for part in story.parts] == [100_000, *[50_000] * 2, *[25_000] * 4] + [
        100_000
    ] * 3
    assert sent(story)[7:] == [7.0, 11.0, 17.0]
    assert (story.code, story.reason, story.ended_s) == (205, "recipient_refuses", 19.0)
    assert "the only channel to the recipient refuses even 100,000 sat: it is probably offline, or" in story.words


# --- recipients all of whose channels refuse -------------------------------------------------------------------


def doors(*names: str, **fault: object) -> Town:
    """us ── A, B, C … ── D     The node before D refuses on each."""
    town = Town()
    for number, name in enumerate(names):
        town.join(f"us-{name}")
        town.join(f"{name}-D", 100 + number)
        if fault:
            town.faults(f"{name}-D", **fault)
    if not fault:
        town.faults("D", offline=True)
    return town


def test_one_neighbour_says_that_it_is_away():
    """
    us ── A ── D     It may be A that has just started: three looks more, in seven seconds, and 205.
    """
    story = doors("A", fail_code=FailCode.UNKNOWN_NEXT_PEER).pay()
    assert story.lines == [f"us>A>D A: {AWAY}"] * 4 and sent(story) == [0.0, 1.5, 3.5, 6.5]
    assert (story.code, story.reason, story.ended_s) == (205, "recipient_refuses", 7.5)
    assert story.words.endswith("the only channel to the recipient refuses: it is probably offline")


def test_three_neighbours_say_that_it_is_away():
    """
    us ── A, B, C ── D     None of them speaks for the others: one HTLC each, and 205 at once.
    """
    story = doors("A", "B", "C", fail_code=FailCode.UNKNOWN_NEXT_PEER).pay(**PARTS)
    assert story.lines == [f"us>{name}>D {name}: {AWAY}" for name in "ABC"]
    assert (story.code, story.ended_s) == (205, 3.0)
    assert story.words.endswith("all 3 channels to the recipient refuse: it is probably offline")


def test_an_offline_recipient_gets_no_crumbs():
    """
    us ── A, B, C ── D     1,000 sat, and 1,000 sat are the least part: three HTLCs, none of less.
    """
    story = doors("A", "B", "C").pay(1_000 * SAT, **PARTS)
    assert story.lines == [f"us>{name}>D {name}: {EMPTY}" for name in "ABC"]
    assert (story.code, story.ended_s) == (205, 3.0)
    assert "all 3 channels to the recipient refuse even 1,000 sat: it is probably offline" in story.words


def test_smaller_parts_are_tried_where_they_may_do():
    """
    us ── A, B, C ── D     Each has 40,000 sat: 100,000 on none of them, then in three parts on all.
    """
    town = doors("A", "B", "C", delay_s=0.0)
    for name in "ABC":
        town.drain(f"{name}-D", 50_000 * SAT)
    story = town.pay(**PARTS)
    assert [part.told for part in story.parts[:3]] == [f"{name}: {EMPTY}" for name in "ABC"]
    assert story.paid and len(story.parts) == 6


def test_a_recipient_of_forty_channels_costs_thirty_htlcs():
    """
    us ── N1 … N40 ── D     D is offline, which its neighbours call want of money: thirty of its channels refuse,
                            and nothing has reached it.
    """
    story = doors(*(f"N{number}" for number in range(1, 41))).pay(**PARTS)
    assert len(story.parts) == 30 and (story.code, story.reason) == (205, "recipient_refuses")
    assert "30 channels to the recipient refuse even 100,000 sat" in story.words


def test_a_merchant_whose_channels_are_full_but_the_dearest():
    """
    us ── N1 … N20 ── D     The first nineteen have no money on their side, and the last one has.
    """
    names = [f"N{number}" for number in range(1, 21)]
    town = Town(*(way for number, name in enumerate(names) for way in (f"us-{name}", (f"{name}-D", 10 + number))))
    for name in names[:-1]:
        town.drain(f"{name}-D")
    story = town.pay(**PARTS)
    assert story.paid and len(story.parts) == 20


def test_its_other_channels_are_no_reason_to_wait():
    """
    us ── N1 … N40 ── D     The same in words that mean "later": the thirty channels that were not asked are no
                            ways that rest, and the ten are not asked again.
    """
    names = [f"N{number}" for number in range(1, 41)]
    story = doors(*names, fail_code=FailCode.UNKNOWN_NEXT_PEER).pay(**PARTS)
    assert len(story.parts) == 10 and (story.code, story.ended_s) == (205, 10.0)
    assert "10 channels to the recipient refuse: it is probably offline" in story.words


def test_an_excluded_channel_is_not_among_all():
    """
    us ── A, B, C ── D     C-D is not to be used: two channels refuse, and the words say that there are others.
    """
    town = doors("A", "B", "C")
    story = town.pay(1_000 * SAT, exclude_channels=frozenset({town.named("C-D")}), **PARTS)
    assert len(story.parts) == 2 and "both usable channels to the recipient refuse" in story.words


def test_a_recipient_that_was_reached_is_there():
    """
    us ── A, B ── D     D is in trouble on the first try, then B refuses 100,000 sat: D is not offline, it is asked
                        again over A.
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))
    town.faults("D", fail_code=FailCode.TEMPORARY_NODE_FAILURE, fail_times=1)
    town.drain("B-D")
    story = town.pay()
    assert story.lines == [f"us>A>D D: {TROUBLE}", f"us>B>D B: {EMPTY}", "us>A>D paid"]


# --- peers of ours that are away -------------------------------------------------------------------------------


def test_the_entry_of_a_hint_is_our_peer_and_away():
    """
    us ╌╌ P ┄┄┄ D     P is back after 3.1 s, and was asked to be; B is no way to D. It is looked for it every
    └──── B           quarter of a second.
    """
    town, invoice = hidden("us-P", "us-B")
    unplug(town, "us-P", 3.1)
    story = town.pay(invoice=invoice)
    assert (story.lines, sent(story), story.called) == (["us>P>D paid"], [3.25], ["P"])


def test_the_payee_is_our_peer_and_away():
    """
    us ╌╌ D     It has no other channel.
    └──── B
    """
    town = Town("us-D", "us-B")
    unplug(town, "us-D", 3.1)
    story = town.pay()
    assert (story.lines, sent(story), story.called) == (["us>D paid"], [3.25], ["D"])


def test_the_money_of_a_peer_that_is_away_is_needed():
    """
    us ╌╌ A ── D     1,500,000 sat, 1,000,000 in each channel.
    └──── B ── D
    """
    town = Town("us-A", "us-B", ("A-D", 10), ("B-D", 10))
    unplug(town, "us-A", 3.1)
    story = town.pay(1_500_000 * SAT, **PARTS)
    assert story.paid and sent(story) == [3.25] * 2 and story.called == ["A"]


def test_a_cheaper_way_leads_over_a_peer_that_is_away():
    """
    us ╌╌ A ───10── D     B's way is over the limit of fees, A's is not.
    └──── B ─9,000─ D
    """
    town = Town("us-A", "us-B", ("A-D", 10), ("B-D", 9_000))
    unplug(town, "us-A", 3.1)
    story = town.pay()
    assert (story.lines, sent(story), story.called) == (["us>A>D paid"], [3.25], ["A"])


def test_a_peer_that_does_not_come():
    """
    us ╌╌ A ───10── D     The answer that there was, ten seconds later, or at the deadline; A was asked once.
    └──── B ─9,000─ D
    """
    for retry_for_s, ended_s in ((60, PEERS_S), (4, 4.0)):
        town = Town("us-A", "us-B", ("A-D", 10), ("B-D", 9_000))
        unplug(town, "us-A")
        story = town.pay(retry_for_s=retry_for_s)
        assert (story.lines, story.code, story.ended_s, story.called) == ([], 206, ended_s, ["A"])


def test_peers_that_would_not_help_are_left_alone():
    """
    us ╌╌ A           A leads nowhere, and E is excluded: nobody is asked, the answer is there at once.
    us ╌╌ E ── D
    us ── B
    """
    town = Town("us-A", "us-B", "us-E", ("E-D", 10))
    unplug(town, "us-A")
    unplug(town, "us-E")
    story = town.pay(exclude_nodes=frozenset({town.id("E")}))
    assert (story.lines, story.code, story.ended_s, story.called) == ([], 205, 0.0, [])


def test_a_way_that_is_there_is_taken():
    """
    us ╌╌ A ──10── D     B's way is dearer and within the limit: it is taken, nobody is asked, nothing waits.
    └──── B ─200── D
    """
    town = Town("us-A", "us-B", ("A-D", 10), ("B-D", 200))
    unplug(town, "us-A")
    story = town.pay()
    assert (story.lines, sent(story), story.called) == (["us>B>D paid"], [0.0], [])


def test_our_peer_is_asked_when_the_other_ways_have_failed():
    """
    us ╌╌ A ──10── D     B has nothing for D: now A could help, and is back before ten seconds have passed.
    └──── B ─200── D
    """
    town = Town("us-A", "us-B", ("A-D", 10), ("B-D", 200))
    unplug(town, "us-A", 3.1)
    town.drain("B-D")
    story = town.pay()
    assert story.lines == [f"us>B>D B: {EMPTY}", "us>A>D paid"] and sent(story) == [0.0, 3.25]
    assert story.called == ["A"]
