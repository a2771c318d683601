"""The small world of the campaign, other ones for other seeds, and the payments that are tried in it.

          ┌── hub ──┬── far        hub and alt: 40 blocks and little, 80 blocks and more
    us ───┤         ├── mute       mute: fails whatever it is sent
          └── alt ──┘
             hub ···· phone        not announced: paid by a route hint
                                   ours hold 3,000,000 sat each: what is more has to be split

Latencies are drawn, so that several payments meet in ever other ways.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pay.network import Policy
from pay.sim.network.clock import RealClock
from pay.sim.network.faults import Faults
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.world import World
from pay.units import NodeId

SAT = 1000
TEMPORARY_NODE_FAILURE = 0x2000 | 2
_CHEAP = Policy(fee_base_msat=1000, fee_ppm=100, cltv_delta=40, htlc_min_msat=1, htlc_max_msat=9_900_000 * SAT)
_DEAR = Policy(fee_base_msat=3000, fee_ppm=500, cltv_delta=80, htlc_min_msat=1, htlc_max_msat=9_900_000 * SAT)
_OURS_MSAT = 3_000_000 * SAT


class Kind(Enum):
    """What a payment is about."""

    SINGLE = "single"
    SPLIT = "split"
    HELD = "held"
    HELD_SPLIT = "held split"
    HINT = "hint"
    REFUSED = "refused"
    MUTE = "mute"
    SHORT = "short-lived"


@dataclass(slots=True)
class Purchase:
    """One invoice that is to be paid, and with which limits."""

    kind: Kind
    invoice: SimInvoice
    params: dict[str, Any] = field(default_factory=dict)
    paid_s: float | None = None
    """When the recipient took the money, of `now_s`."""

    def note_paid(self) -> None:
        self.paid_s = now_s()

    @property
    def held(self) -> bool:
        return self.kind in (Kind.HELD, Kind.HELD_SPLIT)

    @property
    def name(self) -> str:
        return self.invoice.payment_hash.hex()

    @property
    def amount_msat(self) -> int:
        assert self.invoice.amount_msat is not None
        return self.invoice.amount_msat

    @property
    def fee_limit_msat(self) -> int:
        return int(self.params["maxfee"])

    @property
    def most_msat(self) -> int:
        """What may arrive, the fee of a shadow route included."""
        return self.amount_msat + self.fee_limit_msat // 4


def builder(seed: int) -> Callable[[RealClock], tuple[World, NodeId]]:
    """Builds the world of a seed."""

    def build(clock: RealClock) -> tuple[World, NodeId]:
        rng = random.Random(f"town {seed}")
        world = World(clock, seed=seed, latency_s=0.0, jitter=0.5, mpp_timeout_s=rng.choice([0.3, 1.0]))
        ids = {name: world.add_node(name).id for name in ("us", "hub", "alt", "far", "mute", "phone")}

        def join(start: str, end: str, capacity_msat: int, share: float, **more: Any) -> None:
            policy = _CHEAP if "hub" in (start, end) else _DEAR
            world.add_channel(
                ids[start], ids[end], capacity_msat, int(capacity_msat * share),
                policy_ab=policy, policy_ba=policy, latency_s=rng.choice([0.0, 0.01, 0.03, 0.08]), **more,
            )  # fmt: skip

        for middle in ("hub", "alt"):
            join("us", middle, _OURS_MSAT, 1.0)
            for end in ("far", "mute"):
                join(middle, end, rng.choice([2, 4, 10]) * 1_000_000 * SAT, rng.choice([0.6, 0.9, 1.0]))
        join("hub", "phone", 5_000_000 * SAT, 1.0, announced=False)
        world.set_faults(ids["mute"], Faults(fail_code=TEMPORARY_NODE_FAILURE))
        return world, ids["us"]

    return build


def purchases(world: World, rng: random.Random, count: int) -> list[Purchase]:
    """New invoices of this world, of all kinds. To be called on the world's thread."""
    return [_purchase(world, rng, rng.choice(list(Kind))) for _ in range(count)]


def _purchase(world: World, rng: random.Random, kind: Kind) -> Purchase:
    ids = {peer.name: peer.id for peer in world.nodes.values()}
    payee = {Kind.HINT: "phone", Kind.MUTE: "mute"}.get(kind, "far")
    most = 3_500_000 if kind in (Kind.SPLIT, Kind.HELD_SPLIT) else 600_000
    least = 1_500_000 if most > 1_000_000 else 1
    amount_msat = rng.randint(least, most) * SAT
    hints = [c.hint_for(ids["phone"]) for c in world.nodes[ids["phone"]].channels] if kind is Kind.HINT else []
    invoice = world.create_invoice(
        ids[payee], amount_msat, f"{kind.value}", hints=hints, hold=kind in (Kind.HELD, Kind.HELD_SPLIT),
        expiry=rng.randint(1, 3) if kind is Kind.SHORT else 3600,
    )  # fmt: skip
    if kind is Kind.REFUSED:
        world.cancel_invoice(invoice)
    # A trouble of the moment is retried until then, and mute's never ends, who may be on the way to others too: no
    # run waits a minute for it.
    retry_for = rng.choice([0, 3, 10, 10])
    retry_for = min(retry_for, 3) if kind is Kind.MUTE else retry_for
    params = {"maxfee": amount_msat // 50 + 20_000, "retry_for": retry_for}
    purchase = Purchase(kind, invoice, params)
    invoice.on_paid = purchase.note_paid
    return purchase


def now_s() -> float:
    """The clock that nobody sets, for the verdict."""
    return time.monotonic()
