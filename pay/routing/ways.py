"""Ways from us to the recipient, each with what it takes of every channel: columns of a linear program.

What leaves us for `x` msat that arrive is linear in x along one way (BOLT 7's fees, but for their rounding down):
on each channel `factor * x + base`. So plans over some ways are a small linear program, and where parts are
counted, an integer one; see `portions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

from pay.network import OwnChannel
from pay.routing.arcs import Arc
from pay.routing.costs import Prices
from pay.routing.exact import Traced, Tracer, likelihood, spared
from pay.routing.query import Route
from pay.units import Scid, ScidDir


@dataclass(frozen=True, slots=True)
class Use:
    """What `x` msat that arrive are on one channel: `factor * x + base_msat`, of the `room_msat` there.

    `shared` is whether it is one of parallel channels of others: which of them a part takes is not ours to say.
    """

    named: ScidDir
    factor: float
    base_msat: float
    room_msat: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One way through one channel of ours.

    Parameters
    ----------
    nodes, arcs
        The node numbers from our peer to the recipient, and the arcs between them.
    least_msat, most_msat
        That one HTLC delivers.
    uses
        Of each channel, ours first.
    cost
        Of a msat that arrives, by the prices of the program, and `hop_cost` of an HTLC, msat.
    """

    channel: OwnChannel
    nodes: tuple[int, ...]
    arcs: tuple[Arc, ...]
    least_msat: int
    most_msat: int
    uses: tuple[Use, ...]
    cost: float
    htlc_cost: float

    @property
    def fee(self) -> float:
        """Of a msat that arrives."""
        return self.uses[0].factor - 1.0

    @property
    def base_msat(self) -> float:
        """Fees of an HTLC beside that."""
        return self.uses[0].base_msat


def named(channel: OwnChannel, arcs: Sequence[Arc]) -> tuple[int, ...]:
    """What tells a way from others."""
    return (channel.scid, *(arc.scid for arc in arcs))


def way_of(
    tracer: Tracer, prices: Prices, channel: OwnChannel, nodes: Sequence[int], arcs: Sequence[Arc], part_msat: int
) -> tuple[Way, Route] | None:
    """A way and the route of the most that goes there; None if nothing does.

    Parameters
    ----------
    tracer
        Without load.
    part_msat
        What a part is about: odds are priced for that.
    """
    most = min(tracer.most(nodes, arcs, channel), tracer.query.amount_msat)
    factor, base, blocks, least = 1.0, 0.0, 0, 1.0
    uses: list[Use] = []
    for at in range(len(arcs) - 1, -1, -1):
        arc = arcs[at]
        shared = tracer.shared(nodes[at], nodes[at + 1])
        room = arc.capacity_msat - (spared(arc) if shared else 0)
        uses.append(Use(ScidDir(Scid(arc.scid), arc.direction), factor, base, room, shared))
        least = max(least, (arc.htlc_min_msat - base) / factor)
        factor, base = factor * (1 + arc.fee_ppm / 1e6), base * (1 + arc.fee_ppm / 1e6) + arc.fee_base_msat
        blocks += arc.cltv_delta
    uses.append(Use(ScidDir(channel.scid, channel.direction), factor, base, channel.spendable_msat))
    least = max(least, (channel.htlc_min_msat - base) / factor)
    if ceil(least) > most:
        return None
    traced = tracer.trace(nodes, most, arcs, channel)
    if not isinstance(traced, Traced):
        return None
    about = min(most, part_msat)
    nats, seconds = tracer.problem.tolls_along(nodes)
    chances = likelihood([arc.chance(about) for arc in arcs], 0.0)
    cost = prices.fee * (factor - 1) + prices.block * blocks / tracer.query.amount_msat
    cost += prices.nat * -log(chances) / about
    htlc = prices.fee * base + prices.nat * nats + prices.second * seconds + prices.hop * (len(arcs) + 1)
    found = Way(channel, tuple(nodes), tuple(arcs), ceil(least), most, tuple(reversed(uses)), cost, htlc)
    return found, traced.route
