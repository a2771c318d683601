"""The demonstration: the real `plugin.py` pays invoices on a simulated network, and every answer is judged.

Before each payment the world says what must come of it: whether a route within the limits could carry the amount
over the true balances (which the payer cannot see), or which documented error fits. The demonstration fails if one
answer is not that, or if a balance anywhere does not add up.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import lzma
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pay.network import GossipStoreError
from pay.sim.demo_table import COLUMNS, Shown, counted, print_row
from pay.sim.lightningd.daemon import Lightningd, LightningdDied
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network import networks, oracle
from pay.sim.network.channel import SimPeer
from pay.sim.network.clock import RealClock
from pay.sim.network.faults import Faults
from pay.sim.network.world import World
from pay.units import NodeId, fee_msat, format_msat, format_scid

MOST_PARTS = 8
"""A payee counts as payable if one who knows all balances needs no more parts: the payer, who does not, may use
30 (its default), each of them smaller than the known limits of the channels."""

TRIED_PAYEES = 12
"""How many payees the all-knowing sender is asked about at most for a case of several parts; it takes its time."""

SMALL_PART_MSAT = 10_000
"""Where a part of 10 sat costs something, every part does that is worth making."""

LATENCY_S = 0.005
"""Of a hop, one way: short, so that the demonstration is."""


class DemoError(Exception):
    """The demonstration cannot go on; says why."""


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


class Demo:
    """One run of the demonstration on a network of its own."""

    def __init__(self, nodes: int, network: Path | None, amount_msat: int | None, seed: int):
        self._nodes = nodes
        self._network = network
        self._amount_msat = amount_msat
        self._random = random.Random(seed)
        self._seed = seed
        self._directory = Path(tempfile.mkdtemp(prefix="pay-demo-"))
        self.failed = 0
        self.left_out = 0

    async def run(self) -> int:
        """Print the table; the exit status."""
        try:
            began = time.monotonic()
            self._build()
            async with Lightningd(self.world, self.us.id, self._directory) as self.node:
                print(
                    f"{len(self.world.nodes):,} nodes, {len(self.world.channels):,} channels, "
                    f"we have {len(self.us.channels)} channels and can send "
                    f"{format_msat(sum(c.spendable_msat(self.us.id) for c in self.us.channels))} at most\n"
                )
                await self._plugin_started()
                print_row([name for name, _ in COLUMNS], "")
                for make in self._plan():
                    await self._row(make)
            oracle.audit(self.world)
            return self._verdict(time.monotonic() - began)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _row(self, make: Callable[[], Awaitable[Case]]) -> None:
        try:
            case = await make()
        except NoPayee:
            self.left_out += 1
            return
        await self._show(case)
        if self.node.plugins.owner("pay") is None:
            raise DemoError(f"the plugin has died: {self._last_line()}")

    def _verdict(self, seconds: float) -> int:
        if self.left_out:
            print(f"\n{counted(self.left_out, 'case')} left out: nobody in this network fits")
        if self.failed:
            they = "it" if self.failed == 1 else "they"
            words = f"{counted(self.failed, 'payment')} did not end as the world says {they} must"
            print(f"\n{words}", file=sys.stderr)
            bad = [line for line in self.node.lines if line.level in ("unusual", "broken")]
            print(*bad[-10:], sep="\n", file=sys.stderr)
            return 1
        print(f"\nEvery payment ended as it must, all balances add up ({seconds:.1f} s)")
        return 0

    def _last_line(self) -> str:
        """What the log says of the worst, without its further lines."""
        lines = [line for line in self.node.lines if line.level in ("unusual", "broken")] or self.node.lines
        return str(lines[-1]).splitlines()[0] if lines else "the log is empty"

    # --- the world --------------------------------------------------------------------------------------

    def _build(self) -> None:
        chain = "regtest" if self._network is None else "bitcoin"
        self.world = World(RealClock(asyncio.get_running_loop()), seed=self._seed, chain=chain)
        if self._network is None:
            networks.generate(self.world, self._nodes, seed=self._seed)
        else:
            with networks.open_store(self._network) as store:
                networks.read_store(self.world, store, seed=self._seed)
        if not self.world.channels:
            raise DemoError(f"{self._network} has no channels")
        self.us = networks.join(self.world, "us", seed=self._seed)
        for peer in self.world.nodes.values():
            peer.latency_s = LATENCY_S
        forwarding = [p for p in self.world.nodes.values() if p.id != self.us.id and p.channels]
        self._payees = sorted(forwarding, key=lambda peer: peer.id)
        self._peers = {c.peer_of(self.us.id).id for c in self.us.channels}

    def _plan(self) -> list[Callable[[], Awaitable[Case]]]:
        sizes_sat = (1, 100, 1_000, 21_000, 50_000, 100_000, 250_000)
        cases: list[Callable[[], Awaitable[Case]]] = [
            lambda sat=sat: self._ordinary(sat * 1000)  # type: ignore[misc]
            for sat in (sizes_sat if self._amount_msat is None else ())
        ]
        if self._amount_msat is not None:
            amount_msat = self._amount_msat
            cases += [lambda: self._split(amount_msat), lambda: self._ordinary(amount_msat)] * 4
        return [
            self._peer, *cases, self._unannounced, self._amountless, self._twice, self._no_fee, self._no_delay,
            self._excluded, self._too_much, self._expired, self._refuses, self._offline, self._wrong_amount,
        ]  # fmt: skip

    async def _plugin_started(self) -> None:
        """Until the plugin has kept cln-xpay from answering in its place."""
        for _ in range(400):
            if any("started version=" in line.text for line in self.node.lines):
                return
            if self.node.plugins.owner("pay") is None:
                break
            await asyncio.sleep(0.05)
        raise DemoError(f"the plugin did not start: {self._last_line()}")

    # --- cases ------------------------------------------------------------------------------------------

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
            routes = oracle.parts(self.world, self.us.id, payee.id, amount_msat, most_parts=MOST_PARTS)
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
        channel = max(self.us.channels, key=lambda c: c.spendable_msat(self.us.id))
        return self._case(channel.peer_of(self.us.id), 30_000_000, "complete", "our own peer: no fee")

    async def _unannounced(self) -> Case:
        """A phone behind a channel that gossip does not know of, named by a route hint."""
        hub = self._payable(50_000_000)
        phone = self.world.add_node("a phone")
        phone.latency_s = LATENCY_S
        channel = self.world.add_channel(hub.id, phone.id, 1_000_000_000, 900_000_000, announced=False)
        made = self.world.create_invoice(phone.id, 40_000_000, "coffee", hints=[channel.hint_for(phone.id)])
        return Case(phone.name, {"bolt11": made.bolt11}, 40_000_000, "complete", "reached by a route hint only")

    async def _amountless(self) -> Case:
        payee = self._payable(5_000_000)
        made = self.world.create_invoice(payee.id, None, "a gift")
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
        ours = [format_scid(c.name_for(self.us.id)) for c in self.us.channels]
        return self._case(payee, 9_000_000, "205", "all of our own channels are excluded", exclude=ours)

    async def _too_much(self) -> Case:
        spendable = sum(c.spendable_msat(self.us.id) for c in self.us.channels)
        payee = self._random.choice(self._payees)
        return self._case(payee, spendable + 1_000_000, "205", "more than we have")

    async def _expired(self) -> Case:
        payee = self._random.choice(self._payees)
        made = self.world.create_invoice(
            payee.id, 1_000_000, "late", expiry=60, created_at=int(self.world.clock.now()) - 3600
        )
        return Case(payee.name, {"bolt11": made.bolt11}, 1_000_000, "207", "the invoice has expired")

    async def _refuses(self) -> Case:
        payee = self._payable(1_000_000)
        made = self.world.create_invoice(payee.id, 1_000_000, "cancelled")
        self.world.cancel_invoice(made)
        return Case(payee.name, {"bolt11": made.bolt11}, 1_000_000, "203", "the recipient has cancelled it")

    async def _offline(self) -> Case:
        payee = self._payable(1_500_000, self._far)
        self.world.set_faults(payee.id, Faults(offline=True))
        # Without a limit that matters: else a dear way that is left would be the answer, rightly.
        return self._case(payee, 1_500_000, "205", "the recipient is offline", maxfeepercent=100)

    async def _wrong_amount(self) -> Case:
        payee = self._random.choice(self._payees)
        return self._case(payee, 1_000_000, "-32602", "the invoice has an amount already", amount_msat=5)

    def _case(self, payee: SimPeer, asked_msat: int, expected: str, why: str, **params: Any) -> Case:
        made = self.world.create_invoice(payee.id, asked_msat, "demo")
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
            route = oracle.cheapest_route(self.world, self.us.id, payee.id, amount_msat)
            if route is not None and route.fee_msat <= _fee_limit_msat(amount_msat):
                return payee
        raise NoPayee

    def _far(self, payee: SimPeer) -> bool:
        """Not reached without others."""
        return payee.id not in self._peers

    # --- the table --------------------------------------------------------------------------------------

    async def _show(self, case: Case) -> None:
        shown = await self._pay(case)
        right = shown.result == case.expected
        self.failed += not right
        print_row(
            [
                case.payee[:22],
                format_msat(case.amount_msat),
                ("paid" if shown.result == "complete" else shown.result) + ("" if right else " !"),
                "" if shown.fee_msat is None else format_msat(shown.fee_msat),
                "" if shown.hops is None else str(shown.hops),
                str(shown.parts or ""),
                str(shown.tries or ""),
                f"{shown.seconds:.2f} s",
            ],
            case.why if right else f"expected {case.expected}: {case.why}",
        )
        if shown.result != "complete":
            print(f"    {shown.words}")
        if self._amount_msat is not None:
            for route in shown.routes:
                print("    " + route)

    async def _pay(self, case: Case) -> Shown:
        before = len(self.node.recorded)
        began = time.monotonic()
        try:
            answer = await self.node.call("pay", case.params)
            shown = Shown("complete", "")
            shown.fee_msat = answer["amount_sent_msat"] - answer["amount_msat"]
            if hashlib.sha256(bytes.fromhex(answer["payment_preimage"])).hexdigest() != answer["payment_hash"]:
                shown = Shown("lie", "the preimage is not of this hash")
        except RpcError as error:
            shown = Shown(str(error.code), error.message)
        shown.seconds = time.monotonic() - began
        sent = [r.params for r in list(self.node.recorded)[before:] if r.method == "sendpay"]
        shown.tries = len(sent)
        if sent:
            rows = await self.node.call("listsendpays", {"payment_hash": sent[0]["payment_hash"]})
            # At the first preimage the rest of the parts is still on its way back.
            paid = {row["partid"] for row in rows["payments"] if row["status"] != "failed"}
            used = [order["route"] for order in sent if order["partid"] in paid] or [sent[-1]["route"]]
            shown.hops = max(len(route) for route in used)
            shown.parts = len(paid)
            shown.routes = [self._route_words(route) for route in used]
        return shown

    def _route_words(self, route: list[dict[str, Any]]) -> str:
        names = [self.world.nodes[NodeId(bytes.fromhex(hop["id"]))].name for hop in route]
        return f"{format_msat(route[-1]['amount_msat']):>16}  us → " + " → ".join(names)


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


def run(nodes: int, network: Path | None, amount_msat: int | None, seed: int) -> int:
    """Run the demonstration; its exit status is 0 only if every payment ended as it must."""
    logging.disable(logging.WARNING)
    try:
        return asyncio.run(Demo(nodes, network, amount_msat, seed).run())
    except BrokenPipeError:
        raise
    except (DemoError, LightningdDied, GossipStoreError, lzma.LZMAError, OSError, ValueError) as error:
        print(f"The demonstration cannot go on: {error}", file=sys.stderr)
        return 1
