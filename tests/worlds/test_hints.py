"""Recipients that gossip does not know, reached by the route hints of their invoices."""

from __future__ import annotations

from pay.network import HintHop
from pay.units import Scid
from tests.support.worlds.town import EMPTY, SAT, Town


def hidden(ppm: int = 50, **channel: object) -> tuple[Town, dict[str, object]]:
    """us ── A ──100── C ┄┄50┄┄ D     D's only channel is not announced; its invoice tells of it."""
    town = Town("us-A", ("A-C", 100))
    private = town.join("C-D", ppm, announced=False, **channel)
    return town, {"hints": [private.hint_for(town.id("D"))]}


def test_a_recipient_reached_by_a_hint_only():
    """
    us ── A ──100── C ┄┄50┄┄ D     C takes 5 sat of 100,000; A takes 10 of what it forwards, that is of 100,005.
    """
    town, invoice = hidden()
    story = town.pay(invoice=invoice)
    assert story.lines == ["us>A>C>D paid"]
    assert story.fee_msat == 5 * SAT + 100_005 * SAT // 10_000


def test_without_its_hint_nothing_is_known_of_it():
    """
    us ── A ──100── C        D      Nothing is sent, and the answer says what is missing.
    """
    town, _ = hidden()
    story = town.pay()
    assert (story.lines, story.code, story.reason) == ([], 205, "unknown_node")


def test_a_hint_with_a_fee_of_yesterday():
    """
    us ── A ──100── C ┄┄50┄┄ D     C asks 80 ppm by now and says so under the name that the hint gave: paid at the
                                   second try.
    """
    town, invoice = hidden()
    town.now_asks("C-D", fee_ppm=80)
    story = town.pay(invoice=invoice)
    assert story.lines == ["us>A>C>D C: the fee was below what the channel asks now", "us>A>C>D paid"]
    assert story.fee_msat == 8 * SAT + 100_008 * SAT // 10_000


def test_a_hint_that_asks_a_thousand_times_the_amount():
    """
    us ── A ──100── C ┄┄┄┄ D       The fee is the reason, in one part or in several: no channel is called small.
    """
    for parts in (1, 6):
        town, invoice = hidden(ppm=1_000_000_000)
        story = town.pay(invoice=invoice, max_parts=parts)
        assert (story.lines, story.code, story.reason) == ([], 206, "too_expensive")


def test_two_hints_and_the_first_is_empty():
    """
    us ── A ──100── C ┄┄50┄┄× D    D named two channels; C's has nothing left for it.
          └───100── E ┄┄90┄┄─ D
    """
    town, _ = hidden()
    town.join("A-E", 100)
    other = town.join("E-D", 90, announced=False)
    town.drain("C-D")
    hints = [channel.hint_for(town.id("D")) for channel in (town.channels["C-D"], other)]
    story = town.pay(invoice={"hints": hints})
    assert story.paths == ["us>A>C>D", "us>A>E>D"] and story.paid


def test_a_hint_of_two_hops():
    """
    us ── A ┄┄10┄┄ C ┄┄20┄┄ D      Neither channel is announced; C takes 2 sat, A 1 sat of 100,002.
    """
    town = Town("us-A")
    chain = [town.join("A-C", 10, announced=False), town.join("C-D", 20, announced=False)]
    hint = (*chain[0].hint_for(town.id("C")), *chain[1].hint_for(town.id("D")))
    story = town.pay(invoice={"hints": [hint]})
    assert story.lines == ["us>A>C>D paid"]
    assert story.fee_msat == 2 * SAT + 100_002 * SAT // 100_000


def test_a_hint_that_starts_at_our_peer_over_an_unknown_node():
    """
    us ── A        X ┄┄ D          The hint begins at a node that nobody has heard of: there is no way to it.
    """
    town = Town("us-A")
    town.node("D"), town.node("X")
    hint = (HintHop(town.id("X"), Scid(1 << 40 | 1 << 16), 0, 0, 40),)
    story = town.pay(invoice={"hints": [hint]})
    assert (story.lines, story.code) == ([], 205)


def test_our_own_channel_to_the_recipient_is_better_than_its_hint():
    """
    us ┄┄┄┄┄┄┄┄┄┄┄┄ D             The hint names the channel between us and D: it is ours, and it costs nothing.
    """
    town = Town()
    private = town.join("us-D", 500, announced=False)
    story = town.pay(invoice={"hints": [private.hint_for(town.id("D"))]})
    assert (story.lines, story.fee_msat) == (["us>D paid"], 0)


def test_a_hint_and_gossip_and_the_cheaper_wins():
    """
    us ── A ──────900────── D     D is in the graph and names a private channel as well, which is cheaper.
          └──100── C ┄┄50┄┄ D
    """
    town, invoice = hidden()
    town.join("A-D", 900)
    assert town.pay(invoice=invoice).lines == ["us>A>C>D paid"]


def test_an_empty_hint_leaves_the_announced_way():
    """
    us ── A ──────900────── D
          └──100── C ┄┄50┄┄× D
    """
    town, invoice = hidden()
    town.join("A-D", 900)
    town.drain("C-D")
    assert town.pay(invoice=invoice).paths == ["us>A>C>D", "us>A>D"]


def phone(ways: int = 8, each_sat: int = 15_000, announced: bool = False) -> tuple[Town, dict[str, object]]:
    """us ══ A1 … A8 ──── L ┄┄┄ D     Eight ways of 15,000 sat each to L, by whom D is reached."""
    town = Town()
    for number in range(1, ways + 1):
        town.join(f"us-A{number}")
        town.join(f"A{number}-L", 100, capacity=each_sat * SAT)
    private = town.join("L-D", 100, announced=announced)
    return town, {} if announced else {"hints": [private.hint_for(town.id("D"))]}


SPREAD = {"max_parts": 30, "failure_cost_msat": 1_000 * SAT, "part_cost_msat": 0}
"""Where a failure is dear and a part is cheap, a payment goes all ways there are."""


def test_a_phone_gets_six_parts_where_they_do():
    """
    us ══ A1 … A8 ──── L ┄┄┄ D     60,000 sat go over six of the ways of 15,000 sat; over all eight to a D that
                                   gossip knows.
    """
    town, invoice = phone()
    story = town.pay(60_000 * SAT, invoice=invoice, **SPREAD)
    assert story.paid and len(story.parts) == 6
    town, _ = phone(announced=True)
    story = town.pay(60_000 * SAT, **SPREAD)
    assert story.paid and len(story.parts) == 8


def test_a_phone_gets_more_parts_where_six_are_too_few():
    """
    us ══ A1 … A8 ──── L ┄┄┄ D     100,000 sat do not fit six ways of 15,000.
    """
    town, invoice = phone()
    story = town.pay(100_000 * SAT, invoice=invoice, **SPREAD)
    assert story.paid and len(story.parts) >= 7


def test_parts_that_are_out_count_among_a_phones_six():
    """
    us ══ A1 … A8 ──── L ┄┄┄ D     One of the six ways taken is empty: while five parts are out the sixth is sent
                                   again whole, though two ways would be likelier to carry it.
    """
    town, invoice = phone()
    town.drain("A6-L")
    story = town.pay(60_000 * SAT, invoice=invoice, **SPREAD)
    assert story.paid and [part.told for part in story.parts].count(f"A6: {EMPTY}") == 1
    assert len(story.parts) == 7
