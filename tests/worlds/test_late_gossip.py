"""Recipients whose channels gossip shows as disabled: some are just back, and that is tried as the last resort."""

from __future__ import annotations

from collections import Counter

from pay.liquidity.beliefs import LiquidityBeliefs
from tests.support.worlds.sender import Sender
from tests.support.worlds.town import SAT, Town

WORDS = "known channels of the recipient are disabled towards it; it is probably offline"


def away(*ppm: int, back: tuple[str, ...] = (), latency_s: float = 0.2) -> Town:
    """
    us ── A, B, C … ── D     Each of D's channels is disabled, as all have heard; those named in `back` are so no
                             longer, which nobody has heard.
    """
    town = Town(latency_s=latency_s)
    for name, asked in zip("ABCEFG", ppm, strict=False):
        town.join(f"us-{name}")
        town.join(f"{name}-D", asked)
        town.now_asks(f"{name}-D", enabled=False, gossip=True)
        if name in back:
            town.now_asks(f"{name}-D", enabled=True)
    return town


def test_a_recipient_that_is_just_back():
    """
    us ── A ──100─╱ D     D was away, and gossip has not heard that it is back: it is paid.
    """
    assert away(100, back=("A",)).pay().lines == ["us>A>D paid"]


def test_only_where_there_is_no_other_way():
    """
    us ──── A ──100─╱ D     B's channel is open and ten times as dear: it is taken, and only when it fails A's.
     └───── B ─1000── D
    """
    town = away(100, back=("A",))
    town.join("us-B")
    town.join("B-D", 1000)
    assert town.pay().lines == ["us>B>D paid"]
    town.drain("B-D")
    assert [line[:6] for line in town.pay().lines] == ["us>B>D", "us>A>D"]


def test_three_htlcs_at_most_and_the_answer_that_there_was():
    """
    us ── A, B, C, E ─╱ D     D is away: the three cheapest are tried, one after another.
    """
    story = away(100, 200, 300, 400).pay()
    assert story.lines == [f"us>{name}>D {name}: the channel is disabled" for name in "ABC"]
    assert (story.code, story.reason) == (205, "recipient_disabled")
    assert story.words.startswith(f"all 4 {WORDS}; tried all the same, in case gossip is late: 3 attempts; last ")
    assert [round(part.sent_s, 3) for part in story.parts] == [0.0, 0.4, 0.8]


def test_the_third_is_back():
    """
    us ── A, B, C ─╱ D     C is.
    """
    assert [line[-4:] for line in away(100, 200, 300, back=("C",)).pay().lines] == ["bled", "bled", "paid"]


def test_two_seconds_at_most():
    """
    us ── A, B, C, E ─╱ D     each answer takes a second: none is sent two seconds after the first.
    """
    story = away(100, 200, 300, 400, latency_s=0.5).pay()
    assert [part.sent_s for part in story.parts] == [0.0, 1.0]
    assert (story.code, story.reason, story.ended_s) == (205, "recipient_disabled", 2.0)


def test_within_exclude():
    """
    us ──── A ──100─╱ D     both are back; A-D, or A, is not to be used.
     └───── B ──200─╱ D
    """
    town = away(100, 200, back=("A", "B"))
    assert town.pay(exclude_channels=frozenset({town.named("A-D")})).lines == ["us>B>D paid"]
    assert town.pay(exclude_nodes=frozenset({town.id("A")})).lines == ["us>B>D paid"]
    story = town.pay(exclude_nodes=frozenset({town.id("A"), town.id("B")}))
    assert (story.lines, story.code) == ([], 205)


def test_within_maxfee():
    """
    us ── A ──6000─╱ D     600 sat, and 500 are allowed.
    """
    town = away(6000, back=("A",))
    story = town.pay()
    assert (story.lines, story.code, story.reason) == ([], 205, "recipient_disabled")
    assert town.pay(maxfee_msat=600 * SAT).lines == ["us>A>D paid"]


def test_within_maxdelay():
    """
    us ── A ──100─╱ D     18 blocks and 40.
    """
    town = away(100, back=("A",))
    story = town.pay(maxdelay=57)
    assert (story.lines, story.code, story.reason) == ([], 205, "recipient_disabled")
    assert town.pay(maxdelay=58).lines == ["us>A>D paid"]


def test_in_parts_they_are_three_as_well():
    """
    us ── A, B, C, E ─╱ D     each holds 300,000 sat and all are back: 700,000 sat go in three parts, 1,000,000 in
                              none.
    """

    def town() -> Town:
        small = Town(latency_s=0.2)
        for name in "ABCE":
            small.join(f"us-{name}")
            small.join(f"{name}-D", 100, capacity=300_000 * SAT)
            small.now_asks(f"{name}-D", enabled=False, gossip=True)
            small.now_asks(f"{name}-D", enabled=True)
        return small

    assert Counter(part.told for part in town().pay(700_000 * SAT, max_parts=16).parts) == {"paid": 3}
    story = town().pay(1_000_000 * SAT, max_parts=16)
    assert (story.lines, story.code, story.reason) == ([], 205, "recipient_disabled")
    assert town().pay(700_000 * SAT, max_parts=1).lines == []


def test_only_channels_of_the_recipient():
    """
    us ── A ──100─╱ B ──100── D     A-B is disabled, and is not D's: nothing is sent.
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100))
    town.now_asks("A-B", enabled=False, gossip=True)
    town.now_asks("A-B", enabled=True)
    story = town.pay()
    assert (story.lines, story.code, story.reason) == ([], 205, "unreachable")


def test_a_channel_that_is_being_closed_is_not_back():
    """
    us ── A ──100─╱ D     disabled, and its funding is spent.
    """
    town = away(100)
    town.listen()
    town.world.close_channel(town.channels["A-D"])
    assert town.pay().lines == []


def test_the_peer_that_says_so_is_not_worse_for_it():
    """
    us ── A ──100─╱ D     A refuses, and was right to.
    """

    def told(town: Town, name: str) -> int:
        town._sender = Sender(town.world, town.id("us"), beliefs=(beliefs := LiquidityBeliefs()))
        town.pay()
        return len(beliefs.knowledge(town.clock.now()).nodes)

    assert told(away(100), "A") == 0
    silent = Town("us-A", ("A-D", 100), latency_s=0.2)
    silent.now_asks("A-D", enabled=False)
    assert told(silent, "A") == 1, "what everybody could not have heard is a refusal"
