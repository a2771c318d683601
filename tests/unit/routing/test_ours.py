"""Our own channels are named first where they stand in the way: they are known, the rest is hearsay."""

from __future__ import annotations

import pytest

from pay.network import HintHop
from pay.routing import NoRoute, NoRouteReason, RouteQuery, explain
from tests.support.networks import SAT, US, Net, node, query, scid

HELD = 500_000 * SAT


def why(net: Net, asked: RouteQuery, to: str = "d", **overlay: object) -> NoRoute:
    none = explain(net.overlay(to, **overlay), asked)
    assert none is not None
    return none


def road() -> Net:
    """us ─1─ a ─2─ b: a way to others, and none to d."""
    return Net().own(1, "a", 10**9).link(2, "a", "b")


def hint(start: str = "x") -> list[tuple[HintHop, ...]]:
    return [(HintHop(node(start), scid(9), 0, 0, 0),)]


@pytest.mark.parametrize("parts", [1, 6])
@pytest.mark.parametrize(
    ("channel", "state"),
    [
        ({"connected": False}, "is not connected and holds 500,000 sat"),
        ({"spendable_msat": 0}, "has nothing to spend now"),
        ({"spendable_msat": 0, "outgoing_msat": HELD}, "has nothing to spend now; 500,000 sat of it is in flight"),
        ({"live_htlcs": 30}, "is full of HTLCs, 30 of 30"),
    ],
)
def test_a_private_channel_with_the_recipient(channel: dict[str, object], state: str, parts: int) -> None:
    """us ─1─ a ─2─ b, us ┄5┄ d: gossip knows nothing of d, we know all there is to know."""
    net = road().own(5, "d", **{"spendable_msat": HELD, "announced": False, **channel})
    asked = query("d", 100_000 * SAT, max_parts=parts)
    none = why(net, asked)
    assert none.reason is NoRouteReason.OWN_CHANNEL
    assert none.message.startswith(f"our channel 5x1x0 with the recipient {state}; ")
    assert "ask for" not in none.message, "another invoice would not help"
    hinted = why(net, asked, hints=[(HintHop(node(US), scid(5), 0, 0, 0),)])
    assert hinted.message.startswith(f"our channel 5x1x0 with the recipient {state}; ")
    assert "new invoice" not in hinted.message


@pytest.mark.parametrize("parts", [1, 6])
def test_a_public_channel_with_the_recipient_that_has_nothing_of_ours(parts: int) -> None:
    """us ─1─ a ─2─ b, us ─5─ d: it is d's only channel. There is one, so it is not said that none leads there."""
    net = road().own(5, "d", 0).link(5, US, "d")
    none = why(net, query("d", 100_000 * SAT, max_parts=parts))
    assert none.message == (
        "our channel 5x1x0 with the recipient has nothing to spend now; no other channels lead from us to the "
        "recipient"
    )
    assert none.reason is NoRouteReason.OWN_CHANNEL


def test_a_recipient_that_is_our_peer_is_not_called_offline() -> None:
    """us ─5─ d, and b ─3─ d is disabled: d is connected to us."""
    net = road().own(5, "d", 0).link(5, US, "d").link(3, "b", "d", enabled=False)
    none = why(net, query("d", 100_000 * SAT))
    assert none.reason is NoRouteReason.RECIPIENT_DISABLED
    assert none.message == (
        "our channel 5x1x0 with the recipient has nothing to spend now; the only other known channel of the "
        "recipient is disabled towards it"
    )
    away = Net().own(1, "a", 10**9).link(2, "a", "b").own(5, "d", HELD, connected=False)
    away.link(5, US, "d").link(3, "b", "d", enabled=False)
    assert why(away, query("d", 100_000 * SAT)).message.endswith("towards it; it is probably offline")


@pytest.mark.parametrize("parts", [1, 6])
def test_less_than_asked_for_in_the_only_channel_of_the_recipient(parts: int) -> None:
    """us ┄5┄ d with 500,000 sat, asked for 900,000: it is our side that has too little."""
    net = road().own(5, "d", HELD, announced=False)
    none = why(net, query("d", 900_000 * SAT, max_parts=parts))
    assert none.reason is NoRouteReason.INSUFFICIENT_SPENDABLE
    ours = "our channel 5x1x0 with the recipient, its only open one that we know of, can send now"
    assert f"900,000 sat is more than the 500,000 sat that {ours}" in none.message
    assert "the open channels of the recipient" not in none.message


def test_ours_among_the_recipients() -> None:
    """us ─5─ d with 500,000 sat, b ─3─ d of 100,000: together they are too little, and one is ours."""
    net = Net().own(1, "a", 10**10).link(2, "a", "b").own(5, "d", HELD).link(5, US, "d")
    net.link(3, "b", "d", 100_000 * SAT)
    none = why(net, query("d", 900_000 * SAT, max_parts=4))
    assert "that the open channels of the recipient, ours among them, can take" in none.message
    none = why(net, query("d", 900_000 * SAT))
    assert "the recipient and ours, 5x1x0, takes at most 500,000 sat" in none.message


def test_a_channel_of_ours_that_would_help_is_named_beside_the_reason() -> None:
    """us ─5─ d is away with 500,000 sat; b ─3─ d alone takes 100,000."""
    net = road().own(5, "d", HELD, connected=False).link(5, US, "d").link(3, "b", "d", 100_000 * SAT)
    none = why(net, query("d", 300_000 * SAT, max_parts=2))
    assert none.reason is NoRouteReason.INSUFFICIENT_CAPACITY
    assert none.message.endswith("; our channel 5x1x0 with the recipient is not connected and holds 500,000 sat")


def test_the_start_of_a_hint_is_our_peer_and_away() -> None:
    """us ─5─ x ┄9┄ d: the way is known, and it begins with a channel of ours."""
    net = road().own(5, "x", HELD, connected=False, announced=False)
    none = why(net, query("d", 100_000 * SAT), hints=hint())
    assert none.reason is NoRouteReason.OWN_CHANNEL
    assert none.message == (
        "our channel 5x1x0 with the start of the invoice's route hint is not connected and holds 500,000 sat; no "
        "other channels lead from us to where the invoice's route hints start"
    )


def test_a_channel_that_is_away_and_would_not_do_either() -> None:
    net = road().own(5, "d", HELD, connected=False, announced=False)
    none = why(net, query("d", 2_000_000 * SAT, max_parts=6))
    assert "with the recipient is not connected and holds 500,000 sat, less than 2,000,000 sat" in none.message


def test_several_channels_with_the_recipient() -> None:
    net = road().own(5, "d", HELD, connected=False).own(6, "d", 0).own(7, "d", HELD, connected=False)
    assert why(net, query("d", 10**6)).message.startswith(
        "none of our 3 channels with the recipient can send now: 2 not connected, with 1,000,000 sat in them; 1 "
        "without anything to spend; "
    )


def test_our_only_channel() -> None:
    net = Net().own(1, "a", HELD, connected=False).link(2, "a", "d")
    assert why(net, query("d", 10**6)).message == "our only channel, 1x1x0, is not connected and holds 500,000 sat"
    net = Net().own(1, "a", 0, connected=False).own(5, "d", HELD, connected=False).link(2, "a", "d")
    assert why(net, query("d", 10**6)).message == (
        "none of our 2 channels can send now: 2 not connected, with 500,000 sat in them (our channel 5x1x0 with "
        "the recipient is not connected and holds 500,000 sat)"
    )


def test_what_is_in_flight_is_no_money_that_is_missing() -> None:
    """us ─1─ a: 300,000 sat of it are out just now."""
    net = Net().own(1, "a", 200_000 * SAT, outgoing_msat=300_000 * SAT).link(2, "a", "d")
    assert why(net, query("d", 400_000 * SAT)).message.endswith(
        "that our only usable channel, 1x1x0, can send now in one part; 300,000 sat is in flight"
    )


# --- fees that nobody can pay ------------------------------------------------------------------------------------


def dear(ppm: int, base: int = 0) -> list[tuple[HintHop, ...]]:
    return [(HintHop(node("b"), scid(9), base, ppm, 0),)]


@pytest.mark.parametrize("parts", [1, 2, 30])
def test_a_hint_whose_fee_lifts_the_amount_over_every_channel(parts: int) -> None:
    """us ─1─ a ─2─ b ┄9┄ d: b asks a thousand times the amount, which is named, no small channels."""
    net = Net().own(1, "a", 5_000_000 * SAT).link(2, "a", "b", ppm=0)
    asked = query("d", 100_000 * SAT, max_parts=parts, max_fee_msat=500 * SAT)
    none = why(net, asked, hints=dear(1_000_000_000))
    assert (none.reason, none.code) == (NoRouteReason.TOO_EXPENSIVE, 206)
    assert none.fee_msat == 100_000_000 * SAT
    assert none.message == (
        "the fees of every way come to about 100,000,000 sat or more (100,000 %) and at most 500 sat is allowed; "
        "the invoice's route hint asks for it: ask the recipient for an invoice with another one"
    )


def test_a_dear_way_is_no_matter_of_the_hint() -> None:
    """us ─1─ a ─2─ b ┄9┄ d: it is a that asks for a hundred times the amount. To allow it would not help."""
    net = Net().own(1, "a", 5_000_000 * SAT).link(2, "a", "b", ppm=100_000_000)
    asked = query("d", 100_000 * SAT, max_parts=2, max_fee_msat=500 * SAT)
    message = why(net, asked, hints=dear(0)).message
    assert message.endswith("10,000,000 sat or more (10,000 %) and at most 500 sat is allowed; and with them "
                            "on top channels on the way are too small")  # fmt: skip
