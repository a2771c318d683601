"""Nodes that answer what they like, each drawn with what it costs: exact attempts of a payment and of the next."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pay.feedback.failure import FailCode
from pay.liquidity.beliefs import LiquidityBeliefs
from pay.sim.network.encoding.failures import FailCode as Code
from tests.support.worlds.liars import Liars, Lie
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits, Story
from tests.support.worlds.town import AMOUNT, EMPTY, SAT, Town

DEAR = Limits(maxfeepercent=Decimal("0.5"), max_parts=8)


class Payer:
    """We, who remember."""

    def __init__(self, town: Town, **lies: list[Lie]):
        self.town = town
        Liars(town.world, {town.id(name): told for name, told in lies.items()})
        self.sender = Sender(town.world, town.id("us"), beliefs=LiquidityBeliefs())

    def pay(self, limits: Limits = DEAR) -> Story:
        return self.sender.pay(self.town.id("D"), AMOUNT, limits)

    def nats(self, name: str) -> float:
        assert self.sender.beliefs is not None
        costs = self.sender.beliefs.knowledge(self.town.clock.now()).nodes
        return round(costs[self.town.id(name)].nats, 2) if self.town.id(name) in costs else 0.0


def behind_one(ways: int) -> Town:
    """
    us ── L ══10══ n0, n1, ... ──0── D     so many ways, all over L
     └─── H ──4000── D
    """
    town = Town("us-L", "us-H", ("H-D", 4_000))
    for number in range(ways):
        town.join(f"L-n{number:03}", 10)
        town.join(f"n{number:03}-D")
    return town


@pytest.mark.parametrize(
    "code", [FailCode.TEMPORARY_CHANNEL_FAILURE, FailCode.PERMANENT_CHANNEL_FAILURE, FailCode.UNKNOWN_NEXT_PEER]
)
def test_a_cheap_node_that_refuses_on_all_its_channels(code: FailCode):
    """
    us ── L ══10══ n0 ... n149 ──0── D     L refuses whatever it gets. Three times it is asked, then the way that
     └─── H ──4000── D                     is 400 times as dear is paid; the next payment asks L once.
    """
    we = Payer(behind_one(150), L=[Lie(code)])
    story = we.pay()
    assert story.paths[3:] == ["us>H>D"] and story.paid
    assert [path[:4] for path in story.paths[:3]] == ["us>L"] * 3
    again = we.pay()
    assert again.paid and [path[:4] for path in again.paths] == ["us>L", "us>H"]


def test_a_cheap_node_that_spoils_every_answer():
    """
    us ── L ══10══ n0 ... n149 ──0── D     Nobody knows who does it. All on the way are held to have refused; L was
     └─── H ──4000── D                     on all ways.
    """
    story = Payer(behind_one(150), L=[Lie(None, garbled=True)]).pay()
    assert story.paid and [part.told for part in story.parts] == ["unreadable"] * 3 + ["paid"]


def test_it_forwards_again():
    """
    us ── L ══10══ n0 ... n149 ──0── D     L has refused three HTLCs, and one of the next payment. When it forwards
     └─── H ──4000── D                     again, the payment after that finds it with one HTLC, and it is trusted.
    """
    code = FailCode.TEMPORARY_CHANNEL_FAILURE
    we = Payer(behind_one(150), L=[*[Lie(code)] * 3, *[Lie(None)] * 50])
    assert len(we.pay().parts) == 4
    for _ in range(2):
        (path,) = we.pay().paths
        assert path.startswith("us>L>n")


def test_where_there_is_no_other_way_a_suspect_is_asked_on():
    """
    us ── L ══10══ n0 ... n9 ──0── D     L is an honest node that has run empty on nine channels of ten. Nothing
                                         else leads to D: the tenth is found, in ten HTLCs.
    """
    town = behind_one(10)
    town.now_asks("H-D", enabled=False, gossip=True)
    for number in range(1, 10):
        town.drain(f"L-n{number:03}")
    story = Payer(town).pay(Limits())
    assert story.paid and len(story.parts) == 10


def test_a_forwarder_that_says_what_only_the_recipient_may():
    """
    us ── L ══10══ n0, n1, ... ──0── D     "The other parts did not come": L cannot know that. One HTLC, and L is
     └─── H ──4000── D                     the last node to be asked.
    """
    we = Payer(behind_one(20), L=[Lie(FailCode.MPP_TIMEOUT)])
    for _ in range(2):
        assert we.pay().paths == ["us>L>n019>D", "us>H>D"]
    assert we.nats("L") == 4.0


def test_a_forwarder_that_asks_a_msat_more_each_time():
    """
    us ──── L ──100── D     L is believed once, and asked for what it says. It says something else: left.
     └───── H ──200── D
    """
    town = Town("us-L", ("L-D", 100), "us-H", ("H-D", 200))
    we = Payer(town, L=[Lie(FailCode.FEE_INSUFFICIENT, "a msat more each time")])
    story = we.pay(Limits())
    assert story.paths == ["us>L>D", "us>L>D", "us>H>D"]
    assert [part.route.fee_msat for part in story.parts] == [10 * SAT, 10 * SAT + 1, 20 * SAT]
    assert we.pay(Limits()).paths == ["us>L>D", "us>H>D"]


@pytest.mark.parametrize(
    ("code", "nats"),
    [
        (FailCode.UNKNOWN_NEXT_PEER, (1.1, 1.0)),
        (FailCode.CHANNEL_DISABLED, (1.1, 1.0)),
        (Code.INVALID_ONION_HMAC, (1.1, 1.0)),
        (FailCode.TEMPORARY_CHANNEL_FAILURE, (0.1, 0.0)),
    ],
)
def test_who_defames_its_neighbour_pays_for_it(code: int, nats: tuple[float, float]):
    """
    us ── L ──10── N ──10── D     L says that N is away, or spoils its onions. That is one word against another:
     └─── H ──200─ N              both names are lowered, that of L the more. The way over H leads over N as well,
                                  and N forwards: its name is half restored, and L's is not.
    """
    town = Town("us-L", ("L-N", 10), ("N-D", 10), "us-H", ("H-N", 200))
    we = Payer(town, L=[Lie(code)])
    limits = Limits(maxfeepercent=Decimal("0.5"))
    assert we.pay(limits).paths == ["us>L>N>D", "us>H>N>D"]
    assert (we.nats("L"), we.nats("N")) == (nats[0], nats[1] / 2)


def test_an_empty_channel_of_an_honest_node_costs_its_other_channels_next_to_nothing():
    """
    us ── A ──100── N ──0── D     A-N is empty. A refuses once and forwards over A-M: it stays the cheapest, 2 sat
     │    └───110── M ──0── D     of a tenth of a nat are no 10 sat.
     └─── B ──200── D
    """
    town = Town("us-A", ("A-N", 100), ("N-D", 0), ("A-M", 110), ("M-D", 0), "us-B", ("B-D", 600))
    town.drain("A-N")
    we = Payer(town)
    assert we.pay(Limits(maxfeepercent=Decimal("0.5"))).lines == [f"us>A>N>D A: {EMPTY}", "us>A>M>D paid"]
    assert we.nats("A") == 0.05
    assert we.pay(Limits(maxfeepercent=Decimal("0.5"))).lines == ["us>A>M>D paid"]
