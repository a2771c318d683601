"""What a liar costs: a handful of HTLCs of a payment, one of the next, wherever there is another way.

The real session, planner and beliefs in small worlds. Between us and D are nodes that forward honestly and nodes
that answer what they like (any code, any policy, changing with every HTLC, or forward after all), in any position;
one way of honest nodes only, dearer than most, is always within the limits.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from pay.feedback.failure import FailCode
from pay.liquidity.beliefs import LiquidityBeliefs
from tests.support.worlds.liars import ASKS, Liars, Lie
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits
from tests.support.worlds.town import AMOUNT, SAT, Town

FIRST, NEXT = 4, 1
"""HTLCs that one liar may cost a payment, and one after that: with the one that pays five and two."""

HONEST_PPM = 2_000
PEERS, MIDDLE = "ABC", "PQR"

CODES = st.sampled_from([*(int(code) for code in FailCode), 0xC004, 0xC005, 0xC006, 0x4010, 17, 0, 0x0FFF, 0xFFFF])
LIES = st.builds(Lie, CODES, st.sampled_from([None, *ASKS])) | st.just(Lie(None))
LIARS = st.dictionaries(
    st.sampled_from(PEERS + MIDDLE), st.lists(LIES, min_size=1, max_size=4), min_size=1, max_size=3
)
FEES = st.dictionaries(
    st.tuples(st.sampled_from(PEERS), st.sampled_from(MIDDLE)), st.integers(0, 1_500), min_size=3
)


def world(fees: dict[tuple[str, str], int], last: list[int], hub: int) -> Town:
    """
    us ── A, B, C ── P, Q, R ── D     some of the channels between, a few of them double
     ├─── L ══════ P, Q, R            all of them
     └─── H ─2000─ G ─2000─ D         the honest way
    """
    town = Town()
    size = {"capacity": 10**10, "has": 5 * 10**9}
    for name in PEERS + "LH":
        town.join(f"us-{name}", 0, capacity=10**10, has=9 * 10**9)
    for (a, b), ppm in fees.items():
        for _ in range(1 + ppm % 2):
            town.join(f"{a}-{b}", ppm, **size)  # type: ignore[arg-type]
    for name, ppm in zip(MIDDLE, last, strict=True):
        town.join(f"{name}-D", ppm, **size)  # type: ignore[arg-type]
        for _ in range(3):
            town.join(f"L-{name}", hub, **size)  # type: ignore[arg-type]
    town.join("H-G", HONEST_PPM, **size)  # type: ignore[arg-type]
    town.join("G-D", HONEST_PPM, **size)  # type: ignore[arg-type]
    return town


@settings(deadline=None, max_examples=max(60, settings().max_examples // 2))
@given(
    LIARS, st.lists(LIES, max_size=4), FEES, st.lists(st.integers(0, 1_500), min_size=3, max_size=3),
    st.integers(0, 1_500), st.sampled_from([1, 8, 30]),
)  # fmt: skip
def test_a_liar_costs_a_handful_and_the_next_payment_one(
    cheap: dict[str, list[Lie]],
    hub: list[Lie],
    fees: dict[tuple[str, str], int],
    last: list[int],
    hub_ppm: int,
    max_parts: int,
) -> None:
    town = world(fees, last, hub_ppm)
    lying = {**cheap, **({"L": hub} if hub else {})}
    liars = Liars(town.world, {town.id(name): lies for name, lies in lying.items()})
    sender = Sender(town.world, town.id("us"), beliefs=LiquidityBeliefs())
    limits = Limits(maxfeepercent=Decimal("0.5"), max_parts=max_parts, retry_for_s=600.0)
    for _ in range(3):
        before = {name: list(liars.lied[town.id(name)]) for name in lying}
        story = sender.pay(town.id("D"), AMOUNT, limits)
        assert story.paid, (story.code, story.words, story.lines)
        lies = 0
        for name, had in before.items():
            lost = sum(liars.lied[town.id(name)][len(had) :])
            # It may have earned itself a better name by what it forwarded.
            assert lost <= (NEXT if had and had[-1] else FIRST), (name, story.lines)
            lies += lost
        assert sum(part.told != "paid" for part in story.parts) == lies, "nobody else was in the way"
        town.clock.advance(20.0)


def test_the_worlds_are_what_they_are_drawn_as() -> None:
    """Without a liar the cheapest way is taken at once, and the honest way costs what it is said to."""
    town = world({("A", "P"): 100, ("B", "Q"): 200, ("C", "R"): 300}, [100, 100, 100], 1_500)
    story = Sender(town.world, town.id("us")).pay(town.id("D"), AMOUNT, Limits())
    assert story.lines == ["us>A>P>D paid"] and story.fee_msat == 20 * SAT + 1
    for name in "PQR":
        town.now_asks(f"{name}-D", enabled=False, gossip=True)
    story = Sender(town.world, town.id("us")).pay(town.id("D"), AMOUNT, Limits())
    assert story.lines == ["us>H>G>D paid"] and story.fee_msat == 400 * SAT + 400
