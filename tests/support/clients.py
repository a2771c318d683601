"""What clients of `pay` meet: every answer that it gives and every moment of a payment, made once and kept.

A client is right if what it concludes – paid, surely unpaid, still pending – is the truth of that moment. The
moments are caught with the plugin in mid-step: while it asks for its channels (and is not answered) it has sent
nothing, or has heard of a failure and not yet tried again.

Each client's file has a small reader of its own that does what the client does with what it reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pay.host.version import XPAY_LABEL_SINCE, Version
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import SAT, Host, Pending
from tests.support.rawrpc import Answer

AMOUNT_MSAT = 100_000 * SAT
PARTS_MSAT = 15_000_000 * SAT
"""More than one channel of ours has."""
LABEL = "a label"
STATUSES = ("pending", "complete", "failed")

OPTIONS: dict[str, Any] = {
    "developer": True,
    # A question that was swallowed is asked again soon after.
    "options": {"pay-dev-answer-ms": 400, "pay-dev-reconcile-ms": 500},
}
"""For `hosting`."""


class Says(Enum):
    """What a client concludes, and what is true."""

    PAID = "paid"
    UNPAID = "surely unpaid"
    PENDING = "still pending"
    NOTHING = "shows nothing"


class Moment(Enum):
    """When a client looks."""

    BEFORE = "before the first part"
    IN_FLIGHT = "in flight"
    BETWEEN = "between two attempts"
    AGAIN = "in flight after a failed attempt"
    PAID = "after success"
    REFUSED = "after failure"
    PARTS_OUT = "two parts in flight"
    PARTS_PAID = "two parts paid"
    RETRIED_OUT = "in flight, an earlier payment of it failed"
    RETRIED_PAID = "paid, an earlier payment of it failed"

    @property
    def truth(self) -> Says:
        match self:
            case Moment.PAID | Moment.PARTS_PAID | Moment.RETRIED_PAID:
                return Says.PAID
            case Moment.REFUSED:
                return Says.UNPAID
            case _:
                return Says.PENDING


class Form(Enum):
    """By which command a client pays."""

    PAY = "pay"
    XPAY = "clnpay-xpay"
    """What a call of `xpay` is led to."""

    def params(self, text: str, **more: Any) -> dict[str, Any]:
        return {"bolt11" if self is Form.PAY else "invstring": text, **more}


@dataclass(frozen=True, slots=True)
class Caller:
    """A client at the node's socket."""

    host: Host
    form: Form

    def pay(self, made: SimInvoice, **more: Any) -> Answer:
        return self.host.call(self.form.value, self._params(made, more))

    def pay_soon(self, made: SimInvoice, **more: Any) -> Pending:
        return self.host.soon(self.form.value, self._params(made, more))

    def _params(self, made: SimInvoice, more: dict[str, Any]) -> dict[str, Any]:
        """With what the command of this release has."""
        if self.form is Form.XPAY and not Version.parse(self.host.node.version).since(XPAY_LABEL_SINCE):
            more = {name: value for name, value in more.items() if name != "label"}
        return self.form.params(made.bolt11, **more)

    def pay_held(self, made: SimInvoice, **more: Any) -> Pending:
        """Pay, and wait until the recipient holds the money."""
        pending = self.pay_soon(made, **more)
        self.host.until(lambda: pending.answered or made.parts)
        assert not pending.answered, pending.answer()
        return pending


class Case(Enum):
    """An answer of `pay`."""

    SUCCESS = "success"
    ATTACHED = "success of a payment that was joined"
    REPEATED = "success of a payment made before"
    IN_PARTS = "success in two parts"
    RETRIED = "success after a failed attempt"
    BAD_PARAMETER = "-32602"
    OTHER = "-1: the node refuses parts"
    ALREADY_USED = "201"
    REFUSED = "203"
    NO_ROUTE = "205"
    TOO_EXPENSIVE = "206"
    EXPIRED = "207"
    STOPPED = "210"
    STOPPED_BEHIND = "210: the recipient was ahead of us"

    @property
    def code(self) -> int | None:
        try:
            return int(self.value.partition(":")[0])
        except ValueError:
            return None


SUCCESSES = [case for case in Case if case.code is None]
ERRORS = [case for case in Case if case.code is not None]
XPAY_SUCCESSES = [case for case in SUCCESSES if case is not Case.REPEATED]
XPAY_ERRORS = [Case.REPEATED, *ERRORS]
"""To `xpay` an invoice that was paid before is an error."""
FINAL = {Case.REFUSED, Case.EXPIRED}
"""Errors after which this invoice can never be paid."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the node shows of one payment at one moment."""

    made: SimInvoice
    listpays: dict[str, Any]
    """By payment_hash; `by_bolt11` by the invoice, `unfiltered` of everything."""
    by_bolt11: dict[str, Any]
    unfiltered: dict[str, Any]
    paged: dict[str, Any]
    """As those that keep a list of their own ask: from an index on."""
    by_status: dict[str, list[dict[str, Any]]]
    listsendpays: dict[str, Any]
    paystatus: dict[str, Any]
    listpeerchannels: dict[str, Any]

    @property
    def payment_hash(self) -> str:
        return self.made.payment_hash.hex()


@dataclass(frozen=True, slots=True)
class Made:
    """A call of `pay` that was answered."""

    made: SimInvoice
    answer: Answer


@dataclass(frozen=True, slots=True)
class Recorded:
    """All of it, and the node on which it was made and on which more can be paid."""

    host: Host
    looks: dict[Moment, Look]
    cases: dict[Case, Made]


def look(host: Host, made: SimInvoice) -> Look:
    """Ask the node as clients do."""
    by_hash = {"payment_hash": made.payment_hash.hex()}
    return Look(
        made,
        host.call("listpays", by_hash).ok(),
        host.call("listpays", [made.bolt11]).ok(),
        host.call("listpays").ok(),
        host.call("listpays", {"index": "created", "start": 0}).ok(),
        {status: host.call("listpays", {"status": status}).ok()["pays"] for status in STATUSES},
        host.call("listsendpays", by_hash).ok(),
        host.call("paystatus", [made.bolt11]).ok(),
        host.call("listpeerchannels").ok(),
    )


def record(host: Host, form: Form = Form.PAY) -> Recorded:
    """Make everything."""
    caller = Caller(host, form)
    looks: dict[Moment, Look] = {}
    cases: dict[Case, Made] = {}
    _paid(caller, looks, cases)
    _refused_and_paid_again(caller, looks, cases)
    _in_parts(caller, looks, cases)
    _small_ends(caller, cases)
    assert looks.keys() == set(Moment) and cases.keys() == set(Case)
    return Recorded(host, looks, cases)


# --- the stories ------------------------------------------------------------------------------------------


@contextmanager
def _held_up(host: Host) -> Iterator[int]:
    """The plugin's questions for its channels are not answered: no route is found meanwhile."""
    with host.faults(ignore={"listpeerchannels"}):
        yield host.mark()


def _asks_for_channels(host: Host, mark: int, pending: Pending) -> None:
    host.until(lambda: pending.answered or "listpeerchannels" in host.methods(mark))
    assert not pending.answered, pending.answer()


def _paid(caller: Caller, looks: dict[Moment, Look], cases: dict[Case, Made]) -> None:
    """The first attempt fails, the second is paid; a caller joins on the way, another one comes afterwards."""
    host = caller.host
    made = host.invoice(hold=True)
    with _held_up(host) as mark:
        pending = caller.pay_soon(made, label=LABEL)
        _asks_for_channels(host, mark, pending)
        looks[Moment.BEFORE] = look(host, made)
        assert host.sendpays(mark) == []
    host.until(lambda: made.parts)
    looks[Moment.IN_FLIGHT] = look(host, made)
    log_mark = host.log_mark()
    joined = caller.pay_soon(made, label="another")
    host.log("payment_attached", log_mark)
    with _held_up(host) as mark:
        host.give_back(made)
        _asks_for_channels(host, mark, pending)
        looks[Moment.BETWEEN] = look(host, made)
        assert host.sendpays(mark) == []
    host.until(lambda: made.parts)
    looks[Moment.AGAIN] = look(host, made)
    assert not pending.answered and not joined.answered
    host.release(made)
    cases[Case.RETRIED] = Made(made, pending.answer())
    cases[Case.ATTACHED] = Made(made, joined.answer())
    looks[Moment.PAID] = look(host, made)
    cases[Case.REPEATED] = Made(made, caller.pay(made))
    once = host.invoice()
    cases[Case.SUCCESS] = Made(once, caller.pay(once, label=LABEL))


def _refused_and_paid_again(caller: Caller, looks: dict[Moment, Look], cases: dict[Case, Made]) -> None:
    """One payment fails by a temporary failure everywhere; a later one of the same invoice succeeds."""
    host = caller.host
    made = host.invoice()
    with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
        cases[Case.STOPPED] = Made(made, caller.pay(made, retry_for=0, label=LABEL))
    looks[Moment.REFUSED] = look(host, made)
    host.world(lambda _: setattr(made, "hold", True))
    pending = caller.pay_held(made, label=LABEL)
    looks[Moment.RETRIED_OUT] = look(host, made)
    host.release(made)
    pending.answer().ok()
    looks[Moment.RETRIED_PAID] = look(host, made)


def _in_parts(caller: Caller, looks: dict[Moment, Look], cases: dict[Case, Made]) -> None:
    host = caller.host
    made = host.invoice(amount_msat=PARTS_MSAT, hold=True)
    pending = caller.pay_soon(made, label=LABEL)
    host.until(lambda: sum(part.amount_msat for part in made.parts) == PARTS_MSAT)
    looks[Moment.PARTS_OUT] = look(host, made)
    host.release(made)
    cases[Case.IN_PARTS] = Made(made, pending.answer())
    host.until(lambda: host.node.db.query("SELECT 1 FROM payments WHERE status = 0") == [])
    looks[Moment.PARTS_PAID] = look(host, made)


def _small_ends(caller: Caller, cases: dict[Case, Made]) -> None:
    host = caller.host
    made = host.invoice()
    cases[Case.BAD_PARAMETER] = Made(made, caller.pay(made, amount_msat=5))
    with host.faults(errors={"sendpay": (-4, "the node is busy")}):
        cases[Case.OTHER] = Made(made, caller.pay(made))
    cases[Case.TOO_EXPENSIVE] = Made(made, caller.pay(made, maxfee=0))

    anything = host.invoice(amount_msat=None)
    caller.pay(anything, amount_msat=5000 * SAT).ok()
    cases[Case.ALREADY_USED] = Made(anything, caller.pay(anything, amount_msat=6000 * SAT))

    refused = host.invoice()
    host.cancel(refused)
    cases[Case.REFUSED] = Made(refused, caller.pay(refused))
    island = host.invoice("island")
    cases[Case.NO_ROUTE] = Made(island, caller.pay(island))
    old = host.invoice(created_at=int(time.time()) - 7200, expiry=60)
    cases[Case.EXPIRED] = Made(old, caller.pay(old))

    # It refuses with the very words of a final refusal, but because of a block that we have not seen.
    ahead = host.world(lambda world: world.nodes[host.id("far")])
    ahead.extra_height = 2
    behind = host.invoice()
    with host.option("pay-shadow", "off"):
        cases[Case.STOPPED_BEHIND] = Made(behind, caller.pay(behind, retry_for=1))
    ahead.extra_height = 0
