"""How much surprised what happened to our parts those who foretold it: ours, and formulas of other senders.

A part's chance is the planner's own for ours, and for a formula the product over the channels on its way but our
own, as the formula would have it when the part was sent. What each part told of channels when it ended is then
told to all formulas alike: they know what we know, and when. With memory reset they begin anew with each payment.

Two tables: all parts, and the first of each payment. What is lost on all of them is mostly one thing: parts of one
plan that pass the same empty channel fail together, and nobody's chance of a single part says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pay.liquidity.observation import Moved, Passed, Refused
from pay.units import NodeId, ScidDir, parse_scid
from tests.bench.calibration import Calibration, Formula, Ldk, LndApriori, LndBimodal, calibration, log_loss
from tests.bench.race.record import Crossing, Memory, Part, Payment

OURS = "ours"

Said = dict[str, float]


def formulas() -> dict[str, Formula]:
    """Knowing nothing."""
    return {"lnd apriori": LndApriori(), "lnd bimodal": LndBimodal(), "LDK": Ldk()}


def foretold(
    payments: Sequence[Payment], capacity_msat: Mapping[str, int]
) -> Iterator[tuple[Payment, Part, Said]]:
    """Each part that was given a chance, with what everybody said of it.

    Parameters
    ----------
    payments
        Of one sender of ours, with memory or without.
    capacity_msat
        Of channels by their names; without it only what we said is known.
    """
    others: dict[int, dict[str, Formula]] = {}
    for payment in sorted(payments, key=lambda one: (one.hub, one.order)):
        if payment.mode is Memory.RESET or payment.hub not in others:
            others[payment.hub] = formulas() if capacity_msat else {}
        for part, said in _told(payment, others[payment.hub], capacity_msat):
            yield payment, part, said


def _told(
    payment: Payment, others: dict[str, Formula], capacity_msat: Mapping[str, int]
) -> Iterator[tuple[Part, Said]]:
    """In the order of things: an end that is not later than a start is told before."""
    ends = [(part.ended_s, False, at) for at, part in enumerate(payment.parts)]
    starts = [(part.started_s, True, at) for at, part in enumerate(payment.parts)]
    for now_s, starting, at in sorted(ends + starts):
        part = payment.parts[at]
        if starting:
            if part.chance is not None:
                yield part, {OURS: part.chance, **_said(part, others, capacity_msat, now_s)}
            continue
        settled = payment.paid and part.failed_at is None
        for hop, carried in part.crossings():
            if hop.scid in capacity_msat:
                for formula in others.values():
                    formula.learn(_outcome(hop, carried, settled, capacity_msat), now_s)


def _said(part: Part, others: dict[str, Formula], capacity_msat: Mapping[str, int], now_s: float) -> Said:
    said = dict.fromkeys(others, 1.0)
    for hop in part.hops:
        if hop.scid in capacity_msat:
            for name, formula in others.items():
                said[name] *= formula.chance(_outcome(hop, True, False, capacity_msat), now_s)
    return said


def _outcome(
    hop: Crossing, carried: bool, settled: bool, capacity_msat: Mapping[str, int]
) -> Passed | Refused | Moved:
    channel = ScidDir(parse_scid(hop.scid), hop.direction)
    size, forwarder = capacity_msat[hop.scid], NodeId(bytes.fromhex(hop.forwarder))
    if not carried:
        return Refused(channel, size, hop.amount_msat, forwarder=forwarder)
    if settled:
        return Moved(channel, size, hop.amount_msat, forwarder=forwarder)
    return Passed(channel, size, hop.amount_msat, forwarder=forwarder)


def lines(payments: Sequence[Payment], senders: Sequence[str], capacity_msat: Mapping[str, int]) -> Iterator[str]:
    """Chance said against what happened and everybody's log-loss, a sender and a mode at a time."""
    for name in senders:
        for mode in Memory:
            own = [payment for payment in payments if payment.sender == name and payment.mode is mode]
            told = list(foretold(own, capacity_msat))
            first = [row for at, row in enumerate(told) if at == 0 or told[at - 1][0] is not row[0]]
            for which, rows in (("all HTLCs", told), ("the first of each payment", first)):
                if rows:
                    yield ""
                    yield from _block(f"{name}, memory {mode.value}, {which}", rows)


def _block(title: str, rows: Sequence[tuple[Payment, Part, Said]]) -> Iterator[str]:
    arrived = [part.arrived for _, part, _ in rows]
    said = {name: [row[2][name] for row in rows] for name in rows[0][2]}
    losses = ", ".join(f"{name} {log_loss(chances, arrived):.3f}" for name, chances in said.items())
    yield f"{title}: {len(rows)}; log-loss in nats: {losses}"
    yield from _bins(calibration(said[OURS], arrived))


def _bins(found: Calibration) -> Iterator[str]:
    yield "| said % | " + " | ".join(f"{one.said * 100:.0f}" for one in found.bins) + " |"
    yield "|---|" + "---|" * len(found.bins)
    yield "| happened % | " + " | ".join(f"{one.happened * 100:.0f}" for one in found.bins) + " |"
