"""What lightningd answers to `sendpay` and its neighbours in every state of a payment: a table.

The same table is run against the real lightningd and against the box, so that whoever is tested in the box is
tested against the real host's holes. A case is a state (steps that lead there), one call, the answer, and the
rows that are there afterwards. All cases stand on host ── hub ── far; the payee keeps the HTLCs of a payment back
until the case lets them go. Tried on v26.06.

Not in the table, because lightningd v26.06 dies of it:
- an identical repeat of a self-payment that has a row kills the sender (its database refuses a second row),
- an HTLC that joins a set that is complete, while a plugin is asked about its invoice, kills the recipient. Sets
  that exceed their total are therefore only let go once they have arrived in an order that avoids it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from tests.support.rawrpc import Answer, shape

INVALID = -32602


class Payee(Enum):
    """Where an invoice comes from; the value is the number of hops to there."""

    HOST = 0
    NEAR = 1
    FAR = 2


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a case pays; ids and hashes in hex."""

    payee: Payee
    bolt11: str
    payment_hash: str
    payment_secret: str


class Bench(Protocol):
    """A node under test (host) with its two neighbours, real or in the box."""

    def call(self, method: str, params: dict[str, Any] | list[Any]) -> Answer: ...

    def invoice(self, payee: Payee, amount_msat: int | None) -> Invoice:
        """A new one; None leaves the amount to the payer."""
        ...

    def node_id(self, payee: Payee) -> str: ...

    def scid(self, hop: int) -> str:
        """Channel of the first or second hop."""
        ...

    def hold(self, invoice: Invoice) -> None:
        """Have the payee keep the HTLCs of this payment back."""
        ...

    def release(self, invoice: Invoice, failure: str | None) -> None:
        """Let them be paid out, or fail with this onion message (hex); once they have arrived."""
        ...

    def held(self, invoice: Invoice) -> int:
        """How many HTLCs are kept back."""
        ...

    def received_msat(self, invoice: Invoice) -> int | None:
        """What was paid to the invoice, None if it is not paid."""
        ...

    def notifications(self, topic: str, payment_hash: str) -> list[dict[str, Any]]:
        """Params of the notifications that a subscribed plugin got."""
        ...

    def unplug(self) -> None:
        """Disconnect host from hub, or connect them again."""
        ...

    def plug(self) -> None: ...

    def wait_until(self, condition: Callable[[], bool]) -> None: ...


# Steps and calls


@dataclass(frozen=True, slots=True)
class Send:
    """A `sendpay` of one part. What is None is left out of the call."""

    part: int | None = 1
    group: int | None = 1
    msat: int = 100_000
    total: int | None = 100_000
    to: Payee = Payee.NEAR
    fee_msat: int = 2_000
    delay: int = 20
    secret: str | None = "right"
    change: Mapping[str, Any] = field(default_factory=dict)
    """Other parameters, over the ones above."""
    first_channel: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Any other command; `{hash}` and the like in its values are filled in."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settle:
    """The payee takes the HTLCs that it kept; waits until our rows know."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The payee refuses the HTLCs that it kept, with temporary_node_failure unless told otherwise, and keeps those
    that come after back."""

    failure: str = "2002"


@dataclass(frozen=True, slots=True)
class Await:
    """Nothing is pending any more, by whatever happened on the way."""


@dataclass(frozen=True, slots=True)
class Unplug:
    """The first channel's peer goes away."""


Step = Send | Call | Settle | Fail | Await | Unplug


# Shapes of answers

_ROW = {
    "created_index": "integer", "id": "integer", "payment_hash": "string", "groupid": "integer",
    "destination": "string", "amount_msat": "integer", "amount_sent_msat": "integer", "created_at": "integer",
    "status": "string",
}  # fmt: skip
_PART = {"partid": "integer"}
_OVER = {"updated_index": "integer", "completed_at": "integer"}
_PREIMAGE = {"payment_preimage": "string"}
_BLAME = {"erring_index": "integer", "failcode": "integer", "failcodename": "string", "erring_node": "string"}
_CHANNEL = {"erring_channel": "string", "erring_direction": "integer"}
_RAW = {"raw_message": "string"}

PENDING = {"message": "string", **_ROW, **_PART}
COMPLETE = {**_ROW, **_PART, **_OVER, **_PREIMAGE}
COMPLETE_SELF = {**_ROW, **_OVER, **_PREIMAGE}
COMPLETE_SELF_NOW = {**_ROW, **_PREIMAGE}
"""The answer of the call itself is made from the row as it was a moment before."""
FAILED_ROW = {**_ROW, **_PART, **_OVER}
LOCAL = {**_BLAME}
LOCAL_CHANNEL = {**_BLAME, **_CHANNEL}
FAILED_SELF = {**_ROW, **_BLAME}
FAILED_SELF_LATER = {**_ROW, **_OVER, **_BLAME}
FAILED_LATER = {**FAILED_ROW, **_BLAME, **_CHANNEL}
"""What `waitsendpay` says about a failure that is in the database already: not the message of the failing node."""
FAILED_NOW = {**_ROW, **_PART, **_BLAME, **_CHANNEL, **_RAW}
"""What is said at the moment of the failure; the row in it is still the pending one."""
FAILED_LOCALLY_NOW = {**_ROW, **_PART, **_BLAME, **_CHANNEL}


@dataclass(frozen=True, slots=True)
class Ok:
    """A result of this shape, with these values among it."""

    shape: Any
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """An error with exactly this message, and this shape of data (None: no data)."""

    code: int
    message: str
    data: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """The last notification of the payment: its topic and the shape of what is under the topic's name."""

    topic: str
    shape: Any
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    name: str
    before: tuple[Step, ...]
    call: Send | Call
    answer: Ok | Refused
    rows: tuple[str, ...] = ()
    """What listsendpays shows afterwards: "group/part status msat"."""
    notice: Notice | None = None
    payee: Payee = Payee.NEAR
    amount_msat: int = 100_000
    held: bool = True
    wait: bool = False
    """Whether it takes a moment until the rows are so."""
    received_msat: int | None = None


def run(case: Case, bench: Bench) -> None:
    """Bring the state about, make the call, compare; leaves nothing pending and everybody connected."""
    invoice = bench.invoice(case.payee, case.amount_msat)
    if case.held and case.payee is not Payee.HOST:
        bench.hold(invoice)
    try:
        for step in case.before:
            take(step, bench, invoice)
            if case.held:
                _arrive(bench, invoice)
        answer = bench.call(*_request(case.call, bench, invoice))
        _compare(case.answer, answer, _names(bench, invoice))
        if case.wait:
            bench.wait_until(lambda: _rows(bench, invoice) == list(case.rows))
        assert _rows(bench, invoice) == list(case.rows)
        if case.notice is not None:
            _compare_notice(case.notice, bench, invoice)
        if case.received_msat is not None:
            assert bench.received_msat(invoice) == case.received_msat
    finally:
        if Unplug() in case.before:
            bench.plug()
        if case.held and case.payee is not Payee.HOST:
            _release(bench, invoice, "2002")


def take(step: Step, bench: Bench, invoice: Invoice) -> None:
    """One step on the way to a state."""
    match step:
        case Send() | Call():
            bench.call(*_request(step, bench, invoice))
        case Settle():
            _release(bench, invoice, None)
        case Fail(failure):
            _release(bench, invoice, failure)
            bench.hold(invoice)
        case Await():
            _await(bench, invoice)
        case Unplug():
            bench.unplug()


def _release(bench: Bench, invoice: Invoice, failure: str | None) -> None:
    _arrive(bench, invoice)
    bench.release(invoice, failure)
    _await(bench, invoice)


def _arrive(bench: Bench, invoice: Invoice) -> None:
    """Every HTLC has reached the payee, one after the other: lightningd takes what comes together in any order."""
    if invoice.payee is not Payee.HOST:
        bench.wait_until(lambda: bench.held(invoice) >= _pending(bench, invoice))


def _pending(bench: Bench, invoice: Invoice) -> int:
    return sum(" pending " in row for row in _rows(bench, invoice))


def _await(bench: Bench, invoice: Invoice) -> None:
    bench.wait_until(lambda: not _pending(bench, invoice))


def _rows(bench: Bench, invoice: Invoice) -> list[str]:
    payments = bench.call("listsendpays", {"payment_hash": invoice.payment_hash}).ok()["payments"]
    return [f"{p['groupid']}/{p.get('partid', 0)} {p['status']} {p.get('amount_msat', 0)}" for p in payments]


def _names(bench: Bench, invoice: Invoice) -> dict[str, str]:
    return {
        "hash": invoice.payment_hash, "bolt11": invoice.bolt11, "host": bench.node_id(Payee.HOST),
        "hub": bench.node_id(Payee.NEAR), "far": bench.node_id(Payee.FAR),
        "first": bench.scid(0), "second": bench.scid(1),
    }  # fmt: skip


def _request(call: Send | Call, bench: Bench, invoice: Invoice) -> tuple[str, dict[str, Any]]:
    names = _names(bench, invoice)
    if isinstance(call, Call):
        return call.method, _filled(call.params, names)
    secret = invoice.payment_secret if call.secret == "right" else call.secret
    params = {
        "route": _route(call, bench), "payment_hash": invoice.payment_hash, "partid": call.part,
        "groupid": call.group, "amount_msat": call.total, "payment_secret": secret, **_filled(call.change, names),
    }  # fmt: skip
    return "sendpay", {key: value for key, value in params.items() if value is not None}


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format(**names)
    if isinstance(value, Mapping):
        return {key: _filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, names) for inner in value]
    return value


def _route(call: Send, bench: Bench) -> list[dict[str, Any]]:
    """Fee and expiry of the hub are the same for every case: 6 blocks, and a fee that is more than enough."""
    hops = []
    for hop in range(call.to.value):
        last = hop == call.to.value - 1
        hops.append({
            "id": bench.node_id(Payee(hop + 1)),
            "channel": call.first_channel if call.first_channel and not hop else bench.scid(hop),
            "amount_msat": call.msat + (0 if last else call.fee_msat),
            "delay": call.delay + (0 if last else 6),
        })  # fmt: skip
    return hops


def _compare(expected: Ok | Refused, answer: Answer, names: Mapping[str, str]) -> None:
    match expected:
        case Ok():
            assert answer.error is None, answer.error
            assert answer.result is not None
            assert shape(answer.result) == expected.shape
            found = answer.result
        case Refused():
            assert answer.error is not None, answer.result
            assert without_token(answer.error["message"]) == expected.message.format(**names)
            assert answer.code == expected.code
            assert shape(answer.error.get("data")) == (expected.data or "null")
            found = answer.error.get("data", {})
    _compare_values(expected.values, found, names)


def without_token(message: str) -> str:
    """A message without the refused value, which lightningd only repeats to developers."""
    return re.sub(r": invalid token .*", ": invalid token", message, flags=re.DOTALL)


def _compare_values(expected: Mapping[str, Any], found: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for key, value in expected.items():
        assert (key, found[key]) == (key, value.format(**names) if isinstance(value, str) else value)


def _compare_notice(notice: Notice, bench: Bench, invoice: Invoice) -> None:
    bench.wait_until(lambda: bool(bench.notifications(notice.topic, invoice.payment_hash)))
    params = bench.notifications(notice.topic, invoice.payment_hash)[-1]
    assert list(params) == [notice.topic]
    found = params[notice.topic]
    assert shape(found) == notice.shape
    _compare_values(notice.values, found.get("data", found), _names(bench, invoice))
