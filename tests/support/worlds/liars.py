"""Nodes that answer what they like: any code, any policy of their channel, another one for every HTLC.

They are no faults of the world but stand before it: an HTLC whose route leads over a liar that lies this time
never gets there, and the lie is back after the time that the way to it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pay.network import Policy
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, Unparsable, WireHop
from pay.sim.network.world import World
from pay.units import NodeId, ScidDir, direction_of
from tests.support.payments import message, update_bytes

Asks = Callable[[Policy, int], Policy]
"""What it says that it asks, from what it truly asks and how often it was asked for anything."""

ASKS: dict[str, Asks] = {
    "what it got": lambda policy, times: policy,
    "a msat more each time": lambda policy, times: replace(policy, fee_base_msat=policy.fee_base_msat + times),
    "everything": lambda policy, times: replace(policy, fee_base_msat=4_000_000_000),
    "nothing": lambda policy, times: replace(policy, fee_base_msat=0, fee_ppm=0, cltv_delta=1),
    "a block more each time": lambda policy, times: replace(policy, cltv_delta=policy.cltv_delta + times),
    "more money each time": lambda policy, times: replace(policy, htlc_min_msat=10**8 + times),
    "less money each time": lambda policy, times: replace(policy, htlc_max_msat=10**8 - times),
    "a tenth of it": lambda policy, times: replace(policy, htlc_max_msat=10**7),
    "a fifteenth of it": lambda policy, times: replace(policy, htlc_max_msat=10**8 // 15),
    "not to be used": lambda policy, times: replace(policy, enabled=False),
}


@dataclass(frozen=True, slots=True)
class Lie:
    """One answer; without a code it forwards as it should. `asks` names the policy that comes along, if any."""

    code: int | None
    asks: str | None = None
    garbled: bool = False


class Liars:
    """In front of a world.

    Parameters
    ----------
    lies
        Of each liar: what it answers to its first HTLC, its second, ...; then again from the first.

    Attributes
    ----------
    lied
        Of each liar: whether it lied about its first HTLC, its second, ...
    """

    def __init__(self, world: World, lies: Mapping[NodeId, Sequence[Lie]]):
        self._world, self._lies, self._send = world, lies, world.send
        self.lied: dict[NodeId, list[bool]] = {liar: [] for liar in lies}
        world.send = self.send  # type: ignore[method-assign, assignment]

    def send(
        self, source: NodeId, hops: Sequence[WireHop], payment_hash: bytes, final: FinalPayload,
        done: Callable[[HtlcOutcome], None],
    ) -> object:  # fmt: skip
        """As the world's, but for the first liar on the way that does not forward it."""
        for index, (hop, following) in enumerate(pairwise(hops), 1):
            if hop.node in self._lies:
                lies, lied = self._lies[hop.node], self.lied[hop.node]
                lie = lies[len(lied) % len(lies)]
                lied.append(lie.code is not None or lie.garbled)
                if lied[-1]:
                    outcome = self._answer(lie, index, hop.node, following, len(lied))
                    self._world.clock.call_later(float(index), lambda answer=outcome: done(answer))  # type: ignore[misc]
                    return None
        return self._send(source, hops, payment_hash, final, done)

    def _answer(self, lie: Lie, index: int, liar: NodeId, following: WireHop, times: int) -> HtlcOutcome:
        if lie.garbled or lie.code is None:
            return Unparsable(bytes(292))
        channel = self._world.find_channel(following.scid, liar)
        assert channel is not None
        direction = direction_of(liar, following.node)
        update = b""
        if lie.asks is not None:
            asked = ASKS[lie.asks](channel.policies[channel.side(liar)], times)
            update = update_bytes(ScidDir(following.scid, direction), asked)
        height = self._world.height + times if lie.code == 0x400F else None
        raw = message(lie.code, update=update, height=height)
        return Failed(index, liar, following.scid, direction, lie.code, raw)
