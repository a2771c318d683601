"""Small worlds for the tests of the simulated network: a line of nodes, payments over it, what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pay.network import Policy
from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.clock import VirtualClock
from pay.sim.network.htlc import FinalPayload, HtlcOutcome, WireHop
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.world import World
from pay.units import Scid

SAT = 1000
PLAIN = Policy(fee_base_msat=1000, fee_ppm=100, cltv_delta=40, htlc_min_msat=1000, htlc_max_msat=990_000 * SAT)
"""What every channel of these worlds asks: 1 sat + 0.01 %, 40 blocks, 1 sat to 990,000 sat."""
FINAL_CLTV = 10


class Line:
    """A ── B ── C … with 1,000,000 sat a channel, half on each side, everybody asking `PLAIN`."""

    def __init__(self, names: str = "ABCD", capacity_msat: int = 1_000_000 * SAT, **world: Any):
        self.clock = VirtualClock()
        self.world = World(self.clock, **world)
        self.nodes: dict[str, SimPeer] = {name: self.world.add_node(name) for name in names}
        self.channels: dict[str, SimChannel] = {}
        for start, end in pairwise(names):
            self.join(start, end, capacity_msat)

    def join(self, start: str, end: str, capacity_msat: int = 1_000_000 * SAT, **more: Any) -> SimChannel:
        """A channel more, called by its two letters (and a prime if there is one of that name)."""
        more = {"policy_ab": PLAIN, "policy_ba": PLAIN, **more}
        channel = self.world.add_channel(self.nodes[start].id, self.nodes[end].id, capacity_msat, **more)
        name = start + end
        while name in self.channels:
            name += "'"
        self.channels[name] = channel
        return channel

    def hops(
        self, path: str, amount_msat: int, *, fee_msat: int = 0, blocks: int = 0, scids: Sequence[Scid] = ()
    ) -> list[WireHop]:
        """The hops along `path` with exactly the fees and expiries asked, plus what is added to the first hop."""
        amount, expiry = amount_msat, self.world.height + FINAL_CLTV
        found: list[WireHop] = []
        pairs = list(pairwise(path))
        for number, (start, end) in reversed(list(enumerate(pairs))):
            channel = self.channels.get(start + end) or self.channels[end + start]
            scid = scids[number] if scids else channel.name_for(self.nodes[start].id)
            found.append(WireHop(scid, self.nodes[end].id, amount, expiry))
            policy = channel.policies[channel.side(self.nodes[start].id)]
            amount += policy.fee_base_msat + amount * policy.fee_ppm // 1_000_000
            expiry += policy.cltv_delta
        first = found.pop()
        found.append(WireHop(first.scid, first.node, first.amount_msat + fee_msat, first.cltv_expiry + blocks))
        return found[::-1]

    def launch(
        self, path: str | list[WireHop], invoice: SimInvoice, amount_msat: int | None = None, **final: Any
    ) -> list[HtlcOutcome]:
        """Send a part from A and return the list that its outcome will be in."""
        amount = amount_msat or invoice.amount_msat or 0
        hops = self.hops(path, amount) if isinstance(path, str) else path
        fields = {
            "payment_secret": invoice.payment_secret, "total_msat": invoice.amount_msat or amount,
            "metadata": invoice.metadata, **final,
        }  # fmt: skip
        outcomes: list[HtlcOutcome] = []
        self.world.send(self.nodes["A"].id, hops, invoice.payment_hash, FinalPayload(**fields), outcomes.append)
        return outcomes

    def pay(
        self, path: str | list[WireHop], invoice: SimInvoice, amount_msat: int | None = None, **final: Any
    ) -> Any:
        """Send a part from A and let time pass until it has its outcome."""
        outcomes = self.launch(path, invoice, amount_msat, **final)
        self.clock.run_until_idle()
        assert len(outcomes) == 1, "an HTLC has exactly one outcome"
        return outcomes[0]

    def balance(self, name: str) -> int:
        """Of channel `name`, on the side of its first letter, in msat."""
        return self.channels[name].balance_msat(self.nodes[name[0]].id)
