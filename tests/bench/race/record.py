"""What is written down of each payment, and how it is kept as JSON for other tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

TEMPORARY_CHANNEL_FAILURE = 0x1007
"""The only answer by which a node says that its channel had not enough (BOLT 4: UPDATE|7)."""


class Memory(Enum):
    """Whether a sender is made to forget after each payment."""

    RESET = "reset"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Part:
    """One HTLC of ours.

    Parameters
    ----------
    chance
        That the plan gave it to arrive at the payee; None where it is not told.
    arrived
        It settled, or the payee itself refused it (as it does where the rest does not come).
    path
        Its channels and what each was to carry: `112x1x0/0:1000100,587x1708x587/1:1000000`.
    failed_at, failcode
        Which of the nodes refused it, 0 being us, and how (BOLT 4).
    """

    amount_msat: int
    chance: float | None
    arrived: bool
    path: str = ""
    failed_at: int | None = None
    failcode: int | None = None

    def crossings(self) -> list[tuple[str, int, bool]]:
        """What it tells of channels: each that was reached, what it was to carry, and whether it did.

        What another refusal than for want of balance says of the channel after the node that spoke is left out.
        """
        hops = [hop.rpartition(":") for hop in self.path.split(",") if hop]
        reached = len(hops) if self.arrived or self.failed_at is None else self.failed_at
        told = [(name, int(carried), True) for name, _, carried in hops[:reached]]
        if not self.arrived and self.failcode == TEMPORARY_CHANNEL_FAILURE and reached < len(hops):
            name, _, carried = hops[reached]
            told.append((name, int(carried), False))
        return told


@dataclass(frozen=True, slots=True)
class Payment:
    """One invoice, tried by one sender.

    Parameters
    ----------
    hub, payee
        Numbers of the nodes in the snapshot.
    order
        Its place among what this sender paid over this hub: with memory kept, what came before is known.
    htlcs, failed
        All that were offered, and those of them that did not settle.
    fee_msat
        None where it was not paid.
    seconds
        From the call to its answer.
    rounds
        The longest chain of HTLCs of which each was offered after the one before it had ended.
    code, message
        Of the error; of an answer that never came both say so.
    """

    sender: str
    hub: int
    hub_channels: int
    payee: int
    amount_msat: int
    seed: int
    mode: Memory
    order: int
    paid: bool
    htlcs: int
    failed: int
    fee_msat: int | None
    seconds: float
    rounds: int
    code: int | None = None
    message: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def first_try(self) -> bool:
        """Paid without a failed HTLC."""
        return self.paid and self.failed == 0

    @property
    def question(self) -> tuple[int, int, int, int, Memory]:
        """What senders are compared on."""
        return self.hub, self.payee, self.amount_msat, self.seed, self.mode


@dataclass
class Results:
    """A race so far.

    Parameters
    ----------
    setting
        Date, machine, versions, and all arguments.
    broken
        Hubs that could not be raced to the end, and why.
    """

    setting: dict[str, Any]
    payments: list[Payment] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        payments = [{**asdict(payment), "mode": payment.mode.value} for payment in self.payments]
        value = {"setting": self.setting, "broken": self.broken, "payments": payments}
        file.write_text(json.dumps(value, separators=(",", ":")).replace('{"sender"', '\n{"sender"') + "\n")


def load(file: Path) -> Results:
    """What `save` wrote."""
    value = json.loads(file.read_text())
    return Results(value["setting"], [_payment(fields) for fields in value["payments"]], value["broken"])


def _payment(fields: dict[str, Any]) -> Payment:
    parts = tuple(Part(**part) for part in fields["parts"])
    return Payment(**{**fields, "mode": Memory(fields["mode"]), "parts": parts})


def common(payments: Sequence[Payment], senders: Sequence[str]) -> list[list[Payment]]:
    """Payments of each question that all senders were asked and paid, in the senders' order."""
    asked: dict[Any, dict[str, Payment]] = {}
    for payment in payments:
        asked.setdefault(payment.question, {})[payment.sender] = payment
    rows = [[found[name] for name in senders] for found in asked.values() if all(n in found for n in senders)]
    return [row for row in rows if all(payment.paid for payment in row)]
