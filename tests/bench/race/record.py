"""What is written down of each payment, and how it is kept as JSON for other tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.arguments import Unreadable

TEMPORARY_CHANNEL_FAILURE = 0x1007
"""The only answer by which a node says that its channel had not enough (BOLT 4: UPDATE|7)."""


class Memory(Enum):
    """Whether a sender is made to forget after each payment."""

    RESET = "reset"
    KEPT = "kept"


class Crossing(NamedTuple):
    """A channel on a part's way, in a direction, what it is to carry, and the id of the node whose it is."""

    scid: str
    direction: int
    amount_msat: int
    forwarder: str


@dataclass(frozen=True, slots=True)
class Part:
    """One HTLC of ours.

    Parameters
    ----------
    chance
        That the plan gave it to arrive at the payee; None where it is not told.
    arrived
        It settled, or the payee itself refused it (as it does where the rest does not come).
    started_s, ended_s
        Unix time.
    hops
        Its channels.
    failed_at, failcode
        Which of the nodes refused it, 0 being us, and how (BOLT 4).
    """

    amount_msat: int
    chance: float | None
    arrived: bool
    started_s: float = 0.0
    ended_s: float = 0.0
    hops: tuple[Crossing, ...] = ()
    failed_at: int | None = None
    failcode: int | None = None

    def crossings(self) -> list[tuple[Crossing, bool]]:
        """What it tells of channels: each that was reached, and whether it carried what it was to carry.

        What another refusal than for want of balance says of the channel after the node that spoke is left out.
        """
        reached = len(self.hops) if self.arrived or self.failed_at is None else self.failed_at
        told = [(hop, True) for hop in self.hops[:reached]]
        if not self.arrived and self.failcode == TEMPORARY_CHANNEL_FAILURE and reached < len(self.hops):
            told.append((self.hops[reached], False))
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
    capacity_msat
        Of the channels on the ways of our parts, by their names; our own is not among them.
    """

    setting: dict[str, Any]
    payments: list[Payment] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    capacity_msat: dict[str, int] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        payments = [{**asdict(payment), "mode": payment.mode.value} for payment in self.payments]
        value = {
            "setting": self.setting, "broken": self.broken, "capacity_msat": self.capacity_msat,
            "payments": payments,
        }  # fmt: skip
        file.write_text(json.dumps(value, separators=(",", ":")).replace('{"sender"', '\n{"sender"') + "\n")


def load(file: Path) -> Results:
    """What `save` wrote.

    Raises
    ------
    Unreadable
        It is no such file.
    """
    try:
        value = json.loads(file.read_text())
        payments = [_payment(fields) for fields in value["payments"]]
        return Results(dict(value["setting"]), payments, value["broken"], value.get("capacity_msat", {}))
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Unreadable(f"{file} is not what a race writes with --json: {error!r}") from error


def _payment(fields: dict[str, Any]) -> Payment:
    parts = tuple(_part(part) for part in fields["parts"])
    return Payment(**{**fields, "mode": Memory(fields["mode"]), "parts": parts})


def _part(fields: dict[str, Any]) -> Part:
    known = {name: value for name, value in fields.items() if name in Part.__dataclass_fields__}
    return Part(**{**known, "hops": tuple(Crossing(*hop) for hop in fields.get("hops", ()))})


def common(payments: Sequence[Payment], senders: Sequence[str]) -> list[list[Payment]]:
    """Payments of each question that all senders were asked and paid, in the senders' order."""
    asked: dict[Any, dict[str, Payment]] = {}
    for payment in payments:
        asked.setdefault(payment.question, {})[payment.sender] = payment
    rows = [[found[name] for name in senders] for found in asked.values() if all(n in found for n in senders)]
    return [row for row in rows if all(payment.paid for payment in row)]
