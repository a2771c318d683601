"""Channels that gossip does not tell of: our own as the host reports them, and an invoice's route hints.

Values only; what they add to and change in the graph for one query is the overlay's matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pay.units import NodeId, Scid, direction_of


@dataclass(frozen=True, slots=True)
class OwnChannel:
    """One channel of ours, as `listpeerchannels` reports it.

    `scid` is what a route names: the real short_channel_id, or the local alias of an unannounced channel; `names`
    are all that it goes by, for callers who use another one.
    `direction` is the one away from us. The fee and CLTV fields are what we ask of others in that direction;
    we do not charge ourselves, so they inform and cost nothing. Amounts in msat.

    `live_htlcs` are those that go out: only they count against `max_htlcs` when the host adds one of ours
    (channeld/full_channel.c, gather_htlcs, in which HTLCs of the receiver take no slots of the sender).
    `outgoing_msat` is what they hold: it is not in `spendable_msat`, and comes back where they fail.
    """

    scid: Scid
    direction: int
    peer: NodeId
    spendable_msat: int
    receivable_msat: int
    htlc_min_msat: int
    htlc_max_msat: int
    max_htlcs: int
    live_htlcs: int
    connected: bool
    announced: bool
    fee_base_msat: int = 0
    fee_ppm: int = 0
    cltv_delta: int = 0
    outgoing_msat: int = 0
    names: frozenset[Scid] = frozenset()

    @property
    def idle(self) -> OwnChannel:
        """As it were if none of its HTLCs were there, and none had been paid."""
        spendable_msat = self.spendable_msat + self.outgoing_msat
        return replace(self, spendable_msat=spendable_msat, live_htlcs=0, outgoing_msat=0)

    @property
    def free_htlcs(self) -> int:
        """How many more HTLCs we may add, at most (the peer's own limit is not reported)."""
        return max(0, self.max_htlcs - self.live_htlcs)

    @property
    def usable(self) -> bool:
        """Whether anything can be sent through it now."""
        return self.connected and self.spendable_msat > 0


@dataclass(frozen=True, slots=True)
class HintHop:
    """One hop of a BOLT 11 route hint (tagged field `r`): `node` is the start of the channel `scid`."""

    node: NodeId
    scid: Scid
    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int

    def direction(self, end: NodeId) -> int:
        """The direction bit of this channel as used from `node` to `end`, the next hop or the payee."""
        return direction_of(self.node, end)


RouteHint = tuple[HintHop, ...]
"""A chain of private hops; the last one leads to the recipient."""
