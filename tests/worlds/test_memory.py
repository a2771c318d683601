"""What one payment learnt and the next ones do: where it was true, where it was not, and where it is no longer."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial

from pay.liquidity.beliefs import LiquidityBeliefs
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits
from tests.support.worlds.town import EMPTY, SAT, Town

MINUTE, HOUR = 60.0, 3_600.0
LIMITS = Limits(maxfeepercent=Decimal(1))
LARGE = 400_000 * SAT


class Payer:
    """We, who remember; our own channels, and those of H, are filled up again after each payment."""

    def __init__(self, town: Town):
        self.town = town
        self.beliefs = LiquidityBeliefs()
        self.sender = Sender(town.world, town.id("us"), beliefs=self.beliefs)
        self.before = {name: (*channel.balances_msat,) for name, channel in town.channels.items()}

    def pay(self, times: int, to: str = "D", every_s: float = MINUTE, amount: int = LARGE) -> Iterator[list[str]]:
        """What became of the parts of each."""
        for _ in range(times):
            story = self.sender.pay(self.town.id(to), amount, LIMITS)
            yield story.lines
            self.give_back("us")
            self.give_back("H")
            self.town.clock.advance(every_s)

    def give_back(self, start: str = "") -> None:
        """What was sent over the channels whose names begin so."""
        for name, channel in self.town.channels.items():
            if name.startswith(start):
                channel.balances_msat[:] = self.before[name]


def two_ways() -> Town:
    """
    us ── L ──100── E
     │    └───100── D       all channels of 1,000,000 sat
     └─── H ──400── D
    """
    return Town("us-L", "us-H", ("L-E", 100), ("L-D", 100), ("H-D", 400))


def test_what_comes_back_is_counted_on_after_three_payments() -> None:
    """
    Balances never move. After two payments of 400,000 sat of a million, a sender who believes them gone pays three
    times as much for the way over H. It learns at E, where there is one way only, that they are not; so D is paid
    over L every time.
    """
    we = Payer(two_ways())
    for line in we.pay(4, to="E"):
        assert line == ["us>L>E paid"]
        we.give_back()
    assert we.beliefs.returns == "at_once"
    for line in we.pay(6):
        assert line == ["us>L>D paid"]
        we.give_back()


def test_where_it_does_not_come_back_it_is_not_counted_on() -> None:
    """The same, and what was sent stays: the third goes over H unasked, as 200,000 sat are left over L."""
    we = Payer(two_ways())
    assert list(we.pay(4)) == [["us>L>D paid"]] * 2 + [["us>H>D paid"]] * 2
    assert we.beliefs.returns == "never"


def test_a_refusal_wins_at_once_over_what_was_found_elsewhere() -> None:
    """What was sent was always back, until somebody else has used up L-D: one part fails, and no other."""
    we = Payer(two_ways())
    for _ in we.pay(4, to="E"):
        we.give_back()
    for _ in we.pay(2):
        we.give_back()
    we.town.drain("L-D")
    assert list(we.pay(3)) == [[f"us>L>D L: {EMPTY}", "us>H>D paid"], ["us>H>D paid"], ["us>H>D paid"]]
    assert we.beliefs.returns == "at_once", "one channel does not speak for all"


def test_what_is_empty_is_looked_at_again_now_and_then() -> None:
    """
    L-D is empty, and H asks 10 sat more for 100,000. Each hour one payment: L is asked again after nine, when a
    fifth of a nat is cheaper than H, and then after six. Once it has something, the next look finds it.
    """
    we = Payer(Town("us-L", "us-H", ("L-D", 0), ("H-D", 100)))
    we.town.drain("L-D")
    hourly = partial(we.pay, every_s=HOUR, amount=LARGE // 4)
    looks = [number for number, line in enumerate(hourly(15)) if len(line) == 2]
    assert looks == [0, 9]
    we.town.drain("L-D", left=LARGE)
    assert list(hourly(3)) == [["us>L>D paid"]] * 3
