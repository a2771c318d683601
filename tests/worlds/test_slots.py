"""Recipients that take few HTLCs, and those with several channels behind one route hint.

A recipient gives back what waits for other parts after a minute.
"""

from __future__ import annotations

import pytest

from tests.support.worlds.story import Story
from tests.support.worlds.town import EMPTY, SAT, Town

PARTS: dict[str, object] = {"max_parts": 100, "min_part_msat": 1_000 * SAT}
NO_OTHERS = "D: the other parts did not reach the recipient in time"


def phone(takes: int, each_sat: int, announced: bool = False) -> tuple[Town, dict[str, object]]:
    """us ══ A1 … A12 ──── L ┄┄┄ D     Twelve ways for so much each to L, over whom D takes so many HTLCs."""
    town = Town()
    for number in range(1, 13):
        town.join(f"us-A{number}")
        room, most = each_sat * SAT * 103 // 100, each_sat * SAT
        town.join(f"A{number}-L", 100, capacity=room, htlc_max_msat=most)
    last = town.join("L-D", 100, announced=announced, capacity=2_000_000 * SAT)
    last.htlc_limits[:] = [takes, takes]
    return town, {} if announced else {"hints": [last.hint_for(town.id("D"))]}


def amounts(story: Story) -> list[int]:
    return [part.route.amount_msat // SAT for part in story.parts]


@pytest.mark.parametrize("amount", [1_000_000, 1_150_000])
def test_six_parts_to_a_phone_that_takes_six(amount: int) -> None:
    """
    us ══ A1 … A12 ──── L ┄┄┄ D     Ways of 200,000 sat: six carry either amount, and none is refused.
    """
    town, invoice = phone(6, 200_000)
    story = town.pay(amount * SAT, invoice=invoice, **PARTS)
    assert story.paid and [part.told for part in story.parts] == ["paid"] * 6


def test_a_phone_that_takes_five() -> None:
    """
    us ══ A1 … A12 ──── L ┄┄┄ D     Six parts of 1,300,000 sat, and D takes five. Nothing smaller is sent after the
                                    sixth: that is no want of money. When D has given the five back, five larger
                                    parts do it. Within a minute they do not come back, and that is 210.
    """
    town, invoice = phone(5, 300_000)
    story = town.pay(1_300_000 * SAT, invoice=invoice, retry_for_s=120, **PARTS)
    assert [part.told for part in story.parts] == [NO_OTHERS] * 5 + [f"L: {EMPTY}"] + ["paid"] * 5
    assert max(amounts(story)[:6]) < 300_000 and sum(amounts(story)[6:]) == pytest.approx(1_300_000, abs=5)
    assert {part.sent_s for part in story.parts[6:]} == {63.0}
    town, invoice = phone(5, 300_000)
    story = town.pay(1_300_000 * SAT, invoice=invoice, **PARTS)
    assert story.code == 210 and len(story.parts) == 6


def behind_a_hint(*sat: int, says: bool = False) -> tuple[Town, dict[str, object]]:
    """us ══ A ── L ┄┄┄ D     Channels of so much each, of which the invoice names the first.

    Whether L says in its failures how much that one takes at most.
    """
    town = Town()
    town.join("us-A", capacity=2_000_000 * SAT)
    town.join("A-L", 10, capacity=2_000_000 * SAT)
    for size in sat:
        most = size if says else 2_000_000
        town.join("L-D", 50, capacity=size * SAT, htlc_max_msat=most * SAT, announced=False)
    return town, {"hints": [town.channels["L-D"].hint_for(town.id("D"))]}


@pytest.mark.parametrize("says", [False, True])
def test_two_channels_behind_one_hint(says: bool) -> None:
    """
    us ══ A ── L ┄500┄ D     900,000 sat are refused as a whole: L takes any of its channels for each half.
               └┄500┄┄ D
    """
    town, invoice = behind_a_hint(500_000, 500_000, says=says)
    story = town.pay(900_000 * SAT, invoice=invoice, **PARTS)
    assert amounts(story) == [900_000, 450_000, 450_000]
    assert [part.told for part in story.parts] == [f"L: {EMPTY}", "paid", "paid"]


@pytest.mark.parametrize("says", [False, True])
def test_unequal_channels_behind_one_hint(says: bool) -> None:
    """
    us ══ A ── L ┄700┄ D     450,000 pass, 450,000 more do not: half of that twice does.
               └┄300┄┄ D
    """
    town, invoice = behind_a_hint(700_000, 300_000, says=says)
    story = town.pay(900_000 * SAT, invoice=invoice, **PARTS)
    assert amounts(story) == [900_000, 450_000, 450_000, 225_000, 225_000] and story.paid


def test_a_hint_that_has_too_little_is_not_ground_to_crumbs() -> None:
    """
    us ══ A ── L ┄500┄ D     One channel, which takes 450,000 sat: after halves and quarters that is want of money.
                             What passed comes back after a minute, and the answer is 205.
    """
    town, invoice = behind_a_hint(500_000)
    story = town.pay(900_000 * SAT, invoice=invoice, **PARTS)
    assert amounts(story)[:5] == [900_000, 450_000, 450_000, 225_000, 225_000]
    assert (story.code, min(amounts(story)) >= 100_000, len(story.parts) <= 9) == (205, True, True)


@pytest.mark.parametrize("named", ["M-D", "M-D'"])
def test_a_hint_of_a_channel_that_gossip_has_too(named: str) -> None:
    """
    us ══ M ══ D     1,050,000 sat need both channels at either step, and one of M's has 150,000 left. The invoice
                     names one of them: what is refused there is tried smaller, and not again as it was.
    """
    town = Town("us-M", "us-M", "M-D", "M-D")
    town.drain("M-D'", 150_000 * SAT)
    invoice: dict[str, object] = {"hints": [town.channels[named].hint_for(town.id("D"))]}
    story = town.pay(1_050_000 * SAT, invoice=invoice, **PARTS)
    refused = [part.route.amount_msat for part in story.parts if part.told != "paid"]
    assert story.paid and len(refused) == len(set(refused)) <= 3


def test_one_part_is_not_divided() -> None:
    """
    us ══ A ── L ┄500┄ D     Where one part is allowed, it is sent as it is, and three times more, as D may be
                             asleep. If L says how much it takes, D is not: 205 at once.
    """
    for says, times in ((False, 4), (True, 1)):
        town, invoice = behind_a_hint(500_000, says=says)
        story = town.pay(900_000 * SAT, invoice=invoice)
        assert amounts(story) == [900_000] * times and story.code == 205


def test_a_public_recipient_with_few_slots_and_another_channel() -> None:
    """
    us ══ A1 … A12 ──── L ──── D     L's channel takes six HTLCs. What it refuses then goes over M, whole,
    └──── M ────────────────── D     and not in smaller parts over L.
    """
    town, _ = phone(6, 100_000, announced=True)
    town.join("us-M", capacity=2_000_000 * SAT)
    town.join("M-D", 4_000, capacity=2_000_000 * SAT)
    story = town.pay(900_000 * SAT, failure_cost_msat=0, failure_cost_ppm=0, part_cost_msat=0, **PARTS)
    assert [part.told for part in story.parts] == ["paid"] * 6 + [f"L: {EMPTY}"] * 4 + ["paid"]
    assert (story.paths[-1], amounts(story)[-1]) == ("us>M>D", 360_000)
