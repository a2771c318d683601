"""The payments of the demonstration, each with what must come of it, which the world knows before."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pay.sim.network import oracle
from pay.sim.network.channel import SimPeer
from pay.sim.network.faults import Faults
from pay.sim.network.world import World
from pay.units import fee_msat, format_msat, format_scid

MOST_PARTS = 8
"""A payee counts as payable if one who knows all balances needs no more parts: the payer, who does not, may use
30 (its default), each of them smaller than the known limits of the channels."""

TRIED_PAYEES = 12
"""How many payees the all-knowing sender is asked about at most for a case of several parts; it takes its time."""

SMALL_PART_MSAT = 10_000
"""Where a part of 10 sat costs something, every part does that is worth making."""


class NoPayee(Exception):
    """Nobody in this network fits the case."""


@dataclass(frozen=True, slots=True)
class Case:
    """One payment of the demonstration.

    Parameters
    ----------
    expected
        `complete`, or the error code that must come.
    why
        What this shows, or why it must fail.
    """

    payee: str
    params: dict[str, Any]
    amount_msat: int
    expected: str
    why: str


class Cases:
    """Finds payees in one world that fit.

    Parameters
    ----------
    us
        Who pays.
    pay
        Makes one payment, for cases that follow one.
    """

    def __init__(self, world: World, us: SimPeer, seed: int, pay: Callable[[Case], Awaitable[object]]):
        self._world = world
        self._us = us
        self._random = random.Random(seed)
        self._pay = pay
        forwarding = [p for p in world.nodes.values() if p.id != us.id and p.channels]
        self._payees = sorted(forwarding, key=lambda peer: peer.id)
        self._peers = {c.peer_of(us.id).id for c in us.channels}

    def plan(self, amount_msat: int | None) -> list[Callable[[], Awaitable[Case]]]:
        sizes_sat = (1, 100, 1_000, 21_000, 50_000, 100_000, 250_000)
        cases: list[Callable[[], Awaitable[Case]]] = [
            lambda sat=sat: self._ordinary(sat * 1000)  # type: ignore[misc]
            for sat in (sizes_sat if amount_msat is None else ())
        ]
        if amount_msat is not None:
            cases += [lambda: self._split(amount_msat), lambda: self._ordinary(amount_msat)] * 4
        return [
            self._peer, *cases, self._unannounced, self._amountless, self._twice, self._no_fee, self._no_delay,
            self._excluded, self._too_much, self._expired, self._refuses, self._offline, self._wrong_amount,
        ]  # fmt: skip

    async def _ordinary(self, amount_msat: int) -> Case:
        try:
            return self._case(self._payable(amount_msat), amount_msat, "complete", "an ordinary payment")
        except NoPayee:
            return self._unpayable(amount_msat)

    async def _split(self, amount_msat: int) -> Case:
        """An amount that no single route carries, but a few together do, for half the fee that is allowed."""
        tried = 0
        for payee in self._random.sample(self._payees, min(1000, len(self._payees))):
            if tried == TRIED_PAYEES:
                break
            if payee.id in self._peers or _most_in_few_msat(payee) < amount_msat:
                continue
            tried += 1
            routes = oracle.parts(self._world, self._us.id, payee.id, amount_msat, most_parts=MOST_PARTS)
            if routes is None or len(routes) == 1:
                continue
            if 2 * sum(route.fee_msat for route in routes) <= _fee_limit_msat(amount_msat):
                return self._case(payee, amount_msat, "complete", "no single route carries it")
        return await self._ordinary(amount_msat)

    def _unpayable(self, amount_msat: int) -> Case:
        """Somebody whose channels together have not got the room, whatever the route."""
        for payee in self._random.sample(self._payees, len(self._payees)):
            most_msat = sum(c.balance_msat(c.peer_of(payee.id).id) for c in payee.channels)
            if payee.id not in self._peers and most_msat < amount_msat:
                why = f"its channels have room for {format_msat(most_msat)}"
                return self._case(payee, amount_msat, "205", why)
        raise NoPayee

    async def _peer(self) -> Case:
        channel = max(self._us.channels, key=lambda c: c.spendable_msat(self._us.id))
        return self._case(channel.peer_of(self._us.id), 30_000_000, "complete", "our own peer: no fee")

    async def _unannounced(self) -> Case:
        """A phone behind a channel that gossip does not know of, named by a route hint."""
        hub = self._payable(50_000_000)
        phone = self._world.add_node("a phone")
        phone.latency_s = hub.latency_s
        channel = self._world.add_channel(hub.id, phone.id, 1_000_000_000, 900_000_000, announced=False)
        made = self._world.create_invoice(phone.id, 40_000_000, "coffee", hints=[channel.hint_for(phone.id)])
        return Case(phone.name, {"bolt11": made.bolt11}, 40_000_000, "complete", "reached by a route hint only")

    async def _amountless(self) -> Case:
        payee = self._payable(5_000_000)
        made = self._world.create_invoice(payee.id, None, "a gift")
        params = {"bolt11": made.bolt11, "amount_msat": "5000sat", "label": "gift"}
        return Case(payee.name, params, 5_000_000, "complete", "the payer chooses the amount")

    async def _twice(self) -> Case:
        case = await self._ordinary(2_000_000)
        await self._pay(case)
        return Case(case.payee, case.params, case.amount_msat, "complete", "paid before: the same answer, at once")

    async def _no_fee(self) -> Case:
        payee = self._payable(70_000_000, lambda payee: self._far(payee) and _costs_something(payee))
        return self._case(payee, 70_000_000, "206", "maxfee=0 and every route costs something", maxfee=0)

    async def _no_delay(self) -> Case:
        payee = self._payable(70_000_000, self._far)
        return self._case(payee, 70_000_000, "206", "maxdelay=20 is less than any route takes", maxdelay=20)

    async def _excluded(self) -> Case:
        payee = self._payable(9_000_000)
        ours = [format_scid(c.name_for(self._us.id)) for c in self._us.channels]
        return self._case(payee, 9_000_000, "205", "all of our own channels are excluded", exclude=ours)

    async def _too_much(self) -> Case:
        spendable = sum(c.spendable_msat(self._us.id) for c in self._us.channels)
        payee = self._random.choice(self._payees)
        return self._case(payee, spendable + 1_000_000, "205", "more than we have")

    async def _expired(self) -> Case:
        payee = self._random.choice(self._payees)
        made = self._world.create_invoice(
            payee.id, 1_000_000, "late", expiry=60, created_at=int(self._world.clock.now()) - 3600
        )
        return Case(payee.name, {"bolt11": made.bolt11}, 1_000_000, "207", "the invoice has expired")

    async def _refuses(self) -> Case:
        payee = self._payable(1_000_000)
        made = self._world.create_invoice(payee.id, 1_000_000, "cancelled")
        self._world.cancel_invoice(made)
        return Case(payee.name, {"bolt11": made.bolt11}, 1_000_000, "203", "the recipient has cancelled it")

    async def _offline(self) -> Case:
        payee = self._payable(1_500_000, self._far)
        self._world.set_faults(payee.id, Faults(offline=True))
        # Without a limit that matters: else a dear way that is left would be the answer, rightly.
        return self._case(payee, 1_500_000, "205", "the recipient is offline", maxfeepercent=100)

    async def _wrong_amount(self) -> Case:
        payee = self._random.choice(self._payees)
        return self._case(payee, 1_000_000, "-32602", "the invoice has an amount already", amount_msat=5)

    def _case(self, payee: SimPeer, asked_msat: int, expected: str, why: str, **params: Any) -> Case:
        made = self._world.create_invoice(payee.id, asked_msat, "demo")
        return Case(payee.name, {"bolt11": made.bolt11, **params}, asked_msat, expected, why)

    def _payable(self, amount_msat: int, fits: Callable[[SimPeer], bool] = lambda _: True) -> SimPeer:
        """A payee whom some route really reaches with this amount, within the default fee limit.

        Raises
        ------
        NoPayee
        """
        fitting = [payee for payee in self._payees if fits(payee)]
        for payee in self._random.sample(fitting, min(60, len(fitting))):
            if _most_in_few_msat(payee) < amount_msat:
                continue
            route = oracle.cheapest_route(self._world, self._us.id, payee.id, amount_msat)
            if route is not None and route.fee_msat <= _fee_limit_msat(amount_msat):
                return payee
        raise NoPayee

    def _far(self, payee: SimPeer) -> bool:
        """Not reached without others."""
        return payee.id not in self._peers


def _fee_limit_msat(amount_msat: int) -> int:
    """The default: half a percent, or 5 sat."""
    return max(5_000, amount_msat // 200)


def _most_in_few_msat(payee: SimPeer) -> int:
    """What could arrive in a few parts at most, its own channels alone considered."""
    most_msat = 0
    for channel in payee.channels:
        side = 1 - channel.side(payee.id)
        policy = channel.policies[side]
        if policy.enabled:
            balance_msat = channel.balance_msat(channel.nodes[side].id)
            most_msat += min(balance_msat, MOST_PARTS * policy.htlc_max_msat)
    return most_msat


def _costs_something(payee: SimPeer) -> bool:
    """Whether the last hop alone makes every part cost something, in truth and by gossip, however small."""
    asked = []
    for channel in payee.channels:
        side = 1 - channel.side(payee.id)
        asked += [policy for policy in (channel.policies[side], channel.gossiped[side]) if policy is not None]
    return all(fee_msat(SMALL_PART_MSAT, policy.fee_base_msat, policy.fee_ppm) > 0 for policy in asked)
