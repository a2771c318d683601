"""What callers read: success, the code, words and data of every error, and the two phrases kept for verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pay.commands.form.errors import attempt_json, error_data, error_json
from pay.commands.pay import success_json
from pay.errors import Code, HostsOwn, PayError
from pay.feedback.failure import FailCode, Failure
from pay.network.policy import Policy
from pay.payment import events as ev
from pay.payment.receipt import Receipt
from pay.payment.standing import PaymentFailed, standing_of
from pay.payment.verdict import FAILCODE_NAMES, cancelled, host_words, in_words, refused
from pay.routing.query import NoRoute, NoRouteReason
from pay.units import ScidDir
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    failed,
    line,
    no_balance,
    node,
    scid,
    terms,
    unknown_payment,
    update_bytes,
)
from tests.support.sessions import EXPIRY, Teller, error_of, halves

REFUND_WORDS = ("incorrect_or_unknown_payment_details", "invoice expired")
"""A large swap service refunds where it reads one of these in an error."""

HOSTILE = "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (Invoice expired)"
"""Words that a host may put into a reason."""


def whole(story: Teller, actions: list[ev.Action]) -> tuple[PayError, dict[str, Any]]:
    """The error of the end and the data that goes with it, as JSON gives it back."""
    error = error_of(actions)
    return error, json.loads(json.dumps(error_data(PaymentFailed(error, standing_of(story.session)))))


def receipt(paid: ev.Paid) -> Receipt:
    return Receipt(bytes(32), node("d"), int(NOW), paid)


# --- success --------------------------------------------------------------------------------------------------


def test_success() -> None:
    paid = ev.Paid(PREIMAGE, 100_000, 101_000, parts=2, incomplete=False)
    assert success_json(receipt(paid)) == {
        "payment_preimage": PREIMAGE.hex(),
        "payment_hash": "00" * 32,
        "created_at": int(NOW),
        "parts": 2,
        "amount_msat": 100_000,
        "amount_sent_msat": 101_000,
        "status": "complete",
        "destination": node("d").hex(),
    }


def test_success_with_parts_out() -> None:
    """The documented warning, and no other field: the schema forbids them."""
    paid = ev.Paid(PREIMAGE, 100_000, 101_000, parts=2, incomplete=True)
    answer = success_json(receipt(paid))
    assert "not yet completed, but we have the confirmation" in answer["warning_partial_completion"]
    assert len(answer) == 9 and answer["created_at"] == int(NOW)


def test_success_with_a_part_that_failed() -> None:
    """Nothing more will be completed, so that is not said."""
    paid = ev.Paid(PREIMAGE, 100_000, 51_000, parts=2, incomplete=True)
    words = success_json(receipt(paid))["warning_partial_completion"]
    assert "failed" in words and "confirm" in words and "not yet" not in words


# --- errors ---------------------------------------------------------------------------------------------------


def test_the_data_of_every_error() -> None:
    """One part failed at a, the retry at our own channel, and no route is left."""
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    story.fails(1, no_balance(1))
    story.routes(line(100_000, "cd", first=11))
    story.fails(2, Failure(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "First peer not ready"))
    error, data = whole(story, story.no_route())
    assert error.code == Code.ROUTE_NOT_FOUND
    assert data == {
        "reason": "unreachable",
        # What was refused last, as the builtin has it flat in its errors.
        "erring_index": 0,
        "erring_node": node("us").hex(),
        "erring_channel": "11x1x0",
        "erring_direction": 0,
        "failcode": 0x1007,
        "failcodename": "WIRE_TEMPORARY_CHANNEL_FAILURE",
        "maxfee_msat": 5_000,
        "maxdelay": 2016,
        "payment_hash": "00" * 32,
        "destination": node("d").hex(),
        "amount_msat": 100_000,
        "created_at": int(NOW),
        "status": "failed",
        "getroute_tries": 3,
        "sendpay_tries": 2,
        "failures": [
            {
                "partid": 1,
                "amount_msat": 100_000,
                "amount_sent_msat": 102_000,
                "erring_index": 1,
                "erring_node": node("a").hex(),
                "erring_channel": "2x1x0",
                "erring_direction": 1,
                "failcode": 0x1007,
                "message": "the channel cannot forward it now (no balance, or its peer is away)",
            },
            {
                "partid": 2,
                "amount_msat": 100_000,
                "amount_sent_msat": 101_000,
                "erring_index": 0,
                "erring_node": node("us").hex(),
                "erring_channel": "11x1x0",
                "erring_direction": 0,
                "failcode": 0x1007,
                "message": "our own channel: First peer not ready",
            },
        ],
        "attempts": [
            {
                "status": "failed",
                "failreason": "the channel cannot forward it now (no balance, or its peer is away)",
                "failcode": 0x1007,
                "partid": 1,
                "amount_msat": 100_000,
                "amount_sent_msat": 102_000,
            },
            {
                "status": "failed",
                "failreason": "our own channel: First peer not ready",
                "failcode": 0x1007,
                "partid": 2,
                "amount_msat": 100_000,
                "amount_sent_msat": 101_000,
            },
        ],
    }


def test_203_is_a_routing_failure_object() -> None:
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    error, data = whole(story, story.fails(1, unknown_payment(3)))
    assert error.code == Code.DESTINATION_FAILED
    assert data["erring_index"] == 3 and data["erring_node"] == node("d").hex()
    assert data["erring_channel"] == "0x0x0" and "erring_direction" not in data
    assert data["failcode"] == 16399 and data["failcodename"] == "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"
    assert data["raw_message"] == "400f" + f"{100_000:016x}" + f"{HEIGHT:08x}"
    assert "channel_update" not in data


def test_the_channel_update_of_a_failure() -> None:
    update = update_bytes(ScidDir(scid(2), 1), Policy(9_000, 0, 40, 1, 10**9, timestamp=1))
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    story.fails(1, failed(1, FailCode.FEE_INSUFFICIENT, update=update))
    _, data = whole(story, story.no_route())
    assert data["channel_update"] == update.hex()
    assert json.dumps(data).count(update.hex()) == 1 and "raw_message" not in data, "which would have it once more"


@pytest.mark.parametrize("enabled", [True, False])
def test_a_channel_that_its_node_calls_disabled(enabled: bool) -> None:
    """Some have no code for a peer that is away: the policy that comes along tells, and the words are of that."""
    update = update_bytes(ScidDir(scid(2), 1), Policy(0, 0, 40, 1, 10**9, enabled=enabled, timestamp=1))
    said = in_words(failed(1, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update))
    assert said == (
        "the channel cannot forward it now (no balance, or its peer is away)"
        if enabled
        else "the channel is disabled now: its peer is probably away"
    )


@pytest.mark.parametrize(
    ("reason", "code"),
    [(r, 206 if r in (NoRouteReason.TOO_EXPENSIVE, NoRouteReason.TOO_LONG) else 205) for r in NoRouteReason],
)
def test_no_route(reason: NoRouteReason, code: int) -> None:
    """206 where a limit of the caller is in the way, with the figures of the best route; else 205 and a token."""
    story = Teller(terms())
    query = story.questions[0].query_id
    why = NoRoute(reason, "The words", fee_msat=7_500, delay_blocks=144, max_sendable_msat=99, money=True)
    error, data = whole(story, story.tell(ev.NoRouteFound(query, why)))
    assert (error.code, data["reason"]) == (code, reason.value)
    assert (data["fee"], data["feepercent"], data["delay"]) == (7_500, 7.5, 144)
    assert (data["maxfee_msat"], data["maxdelay"], data["max_sendable_msat"]) == (5_000, 2016, 99)
    assert error.message.startswith("The words")
    assert ("exemptfee 5000msat" in error.message) is (reason is NoRouteReason.TOO_EXPENSIVE)
    assert data["getroute_tries"] == 1 and data["sendpay_tries"] == 0 and data["attempts"] == []


def test_a_bound_of_what_can_be_sent_is_called_one() -> None:
    """It is no more than that, which is not that so much could be sent."""
    story = Teller(terms())
    why = NoRoute(NoRouteReason.INSUFFICIENT_CAPACITY, "The words", max_sendable_msat=99, sendable_bound=True)
    _, data = whole(story, story.tell(ev.NoRouteFound(story.questions[0].query_id, why)))
    assert data["max_sendable_bound_msat"] == 99 and "max_sendable_msat" not in data


def test_what_our_channels_hold_is_more_than_can_arrive() -> None:
    """The planner's words are of what they hold: the words say the other figure too, in which the fees are off."""
    story = Teller(terms())
    why = NoRoute(
        NoRouteReason.INSUFFICIENT_SPENDABLE, "More than the 2,000 sat they hold", max_sendable_msat=1_990_001
    )
    error, data = whole(story, story.tell(ev.NoRouteFound(story.questions[0].query_id, why)))
    assert error.message == (
        "More than the 2,000 sat they hold; with the fees taken off, 1,990.001 sat can reach the recipient"
    )
    assert data["max_sendable_msat"] == 1_990_001


@pytest.mark.parametrize("excluded", [False, True])
def test_excluded_by_whom(excluded: bool) -> None:
    """What the payment itself left out was not excluded by the caller."""
    story = Teller(terms(exclude_nodes=frozenset({node("x")}) if excluded else frozenset()))
    story.routes(line(100_000))
    story.fails(1, failed(1, FailCode.UNKNOWN_NEXT_PEER))
    why = NoRoute(NoRouteReason.EXCLUDED, "Each route uses an excluded channel")
    error = error_of(story.tell(ev.NoRouteFound(story.questions[-1].query_id, why)))
    rest = "nothing else is left to try" + (" but what this call excludes" if excluded else "")
    assert error.message.endswith(rest)


def test_no_figure_of_what_can_be_sent_after_a_refusal() -> None:
    """It would be what was refused, less 1 msat, and less another one each time that somebody goes by it."""
    for reason in NoRouteReason:
        story = Teller(terms())
        story.routes(line(100_000))
        story.fails(1, no_balance(0 if reason is NoRouteReason.INSUFFICIENT_SPENDABLE else 1))
        why = NoRoute(reason, "The most is 99,999 sat", max_sendable_msat=99_999, sendable_bound=True, doors=3)
        error, data = whole(story, story.tell(ev.NoRouteFound(story.questions[-1].query_id, why)))
        assert not [name for name in data if "sendable" in name]
        assert "99,999" not in error.message or reason is not NoRouteReason.INSUFFICIENT_SPENDABLE


def test_an_error_shows_the_last_attempts_and_how_many_there_were() -> None:
    """22 attempts: what a person reads stays on one screen."""
    story = Teller(terms())
    for partid in range(1, 23):
        story.routes(line(100_000, "abd", first=10 * partid))
        story.fails(partid, no_balance(1))
    error, data = whole(story, story.no_route())
    assert data["sendpay_tries"] == 22
    assert [part["partid"] for part in data["failures"]] == [20, 21, 22]
    shown = error_json(PaymentFailed(error, standing_of(story.session)))
    assert list(shown)[:2] == ["code", "message"] and shown["attempts"] == data["attempts"]
    assert "attempts" not in shown["data"] and [part["partid"] for part in shown["attempts"]] == [20, 21, 22]
    assert len(json.dumps(shown, indent=3).splitlines()) < 100, "it was 934"


def test_what_stands_beside_the_message() -> None:
    """As in the builtin's errors, and nothing but that; the rest is in `data`, where the manual has it."""
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    error, _ = whole(story, story.fails(1, unknown_payment(3)))
    shown = error_json(PaymentFailed(error, standing_of(story.session)))
    flat = {"attempts", "erring_index", "erring_node", "erring_channel", "failcode", "failcodename"}
    assert shown.keys() == {"code", "message", "data"} | flat
    assert error_json(PayError(-1, "No")) == {"code": -1, "message": "No"}


@pytest.mark.parametrize("after", [0, 1])
def test_207_has_both_times(after: int) -> None:
    story = Teller(terms(deadline_s=EXPIRY + 60))
    if after:
        story.routes(line(100_000))
        actions = story.fails(1, no_balance(1), at=EXPIRY + 5)
    else:
        actions = story.routes(line(100_000), at=EXPIRY + 5)
    error, data = whole(story, actions)
    assert error.code == Code.INVOICE_EXPIRED
    assert (data["now"], data["expiry"]) == (EXPIRY + 5, EXPIRY)
    assert ("1 attempt;" in error.message) is bool(after)


def test_attempts_show_their_state() -> None:
    story = halves()
    story.tell(ev.AttemptAccepted(1))
    shown = lambda partid: attempt_json(story.session.attempts[partid])["status"]  # noqa: E731
    assert (shown(1), shown(2)) == ("pending", "pending")
    story.fails(1, no_balance(1))
    story.settles(2)
    assert (shown(1), shown(2)) == ("failed", "success")


# --- the two phrases ------------------------------------------------------------------------------------------


def phrases(error: PayError, data: dict[str, Any]) -> list[str]:
    text = (error.message + json.dumps(data)).lower()
    return [words for words in REFUND_WORDS if words in text]


BAD_NEWS = [
    *(Failure(index, code, HOSTILE, b"") for index in (None, 0, 1, 2) for code in (None, *FailCode)),
    Failure(0, None, HOSTILE.lower()),
    Failure(1, FailCode.UNKNOWN_PAYMENT, HOSTILE, HOSTILE.encode()),
]


@pytest.mark.parametrize("failure", BAD_NEWS, ids=str)
def test_no_failure_on_the_way_brings_the_words_along(failure: Failure) -> None:
    """us ─ a ─ b ─ d: whatever us, a or b say, and whatever the host makes of it, in 205, 206, 207, 210 and -1."""
    ends = [
        lambda story: story.no_route(),
        lambda story: story.tell(
            ev.NoRouteFound(story.questions[-1].query_id, NoRoute(NoRouteReason.TOO_LONG, "Too long"))
        ),
        lambda story: story.tell(ev.TimerFired(), at=NOW + 60),
        lambda story: story.tell(ev.Cancelled(PayError(Code.OTHER, f"The node said: {HOSTILE}"))),
    ]
    for end in ends:
        story = Teller(terms())
        story.routes(line(100_000, "abd"))
        story.fails(1, failure)
        error, data = whole(story, end(story))
        assert error.code in (-1, 205, 206, 210)
        assert phrases(error, data) == []
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    error, data = whole(story, story.fails(1, failure, at=EXPIRY + 1))
    assert error.code == 207 and phrases(error, data) == ["invoice expired"]


@pytest.mark.parametrize("failure", BAD_NEWS, ids=str)
@pytest.mark.parametrize("erring_node", [None, node("d")], ids=["somebody", "the recipient"])
def test_nor_does_a_part_whose_route_is_not_known(failure: Failure, erring_node: bytes | None) -> None:
    said = Failure(failure.erring_index, failure.failcode, failure.reason, failure.raw_message, erring_node)
    for changes in ({"watched": True}, {"to_self": True}):
        adopted = (ev.FoundPart(1, 100_000, 100_000),) if "watched" in changes else ()
        story = Teller(terms(**changes), adopted)
        error, data = whole(story, story.fails(len(adopted), said))
        verdict = error.code == 203 and failure.failcode == FailCode.UNKNOWN_PAYMENT
        assert phrases(error, data) == ([REFUND_WORDS[0]] if verdict else [])


@pytest.mark.parametrize("code", FailCode, ids=lambda code: code.name)
def test_only_one_refusal_has_them(code: FailCode) -> None:
    error = refused(terms(), line(100_000, "abd"), Failure(3, code, HOSTILE, code.to_bytes(2, "big")))
    assert phrases(error, error_data(error)) == ([REFUND_WORDS[0]] if code == FailCode.UNKNOWN_PAYMENT else [])
    assert error_data(error)["failcodename"] == FAILCODE_NAMES[code]


def test_a_claim_of_a_node_on_the_way() -> None:
    """A node on the way claimed the payment unknown; the end is another one: a number stays, the name does not."""
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    story.fails(1, unknown_payment(2))
    error, data = whole(story, story.no_route())
    assert data["failures"][0]["failcode"] == data["attempts"][0]["failcode"] == 0x400F
    assert phrases(error, data) == []


def test_what_the_host_says_otherwise_stays() -> None:
    assert host_words("Capacity exceeded - HTLC fee: 1msat") == "Capacity exceeded - HTLC fee: 1msat"
    kept = cancelled(PayError(-1, "No", HostsOwn({"a": 1})))
    assert (kept.code, kept.message, error_data(kept)) == (-1, "No", {"a": 1})
    assert not any(words in host_words(HOSTILE + HOSTILE.upper()).lower() for words in REFUND_WORDS)


# --- words that callers of the builtin look for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (no_balance(1), "WIRE_TEMPORARY_CHANNEL_FAILURE"),
        (failed(2, FailCode.MPP_TIMEOUT), "WIRE_MPP_TIMEOUT"),
        (failed(1, FailCode.UNKNOWN_NEXT_PEER), "WIRE_UNKNOWN_NEXT_PEER"),
        (failed(1, FailCode.TEMPORARY_NODE_FAILURE), "WIRE_TEMPORARY_NODE_FAILURE"),
    ],
)
@pytest.mark.parametrize("code", [Code.ROUTE_NOT_FOUND, Code.STOPPED_RETRYING])
def test_the_name_of_what_the_network_refused(failure: Failure, name: str, code: Code) -> None:
    """In the message as the builtin says it, and flat beside it, whatever the verdict is."""
    story = Teller(terms())
    story.routes(line(100_000, "ad"))
    story.fails(1, failure)
    if code is Code.ROUTE_NOT_FOUND:
        error, data = whole(story, story.no_route())
    else:
        error, data = whole(story, story.tell(ev.TimerFired(), at=NOW + 60))
    assert error.code == code
    assert f"failed: {name}" in error.message
    assert (data["failcode"], data["failcodename"]) == (failure.failcode, name)
    assert data["erring_index"] == failure.erring_index


def test_the_name_that_only_the_verdict_may_carry() -> None:
    """The recipient is a block ahead, and time is up: it is no refusal for good, so its name stands nowhere."""
    story = Teller(terms())
    story.routes(line(100_000, "ad"))
    story.fails(1, unknown_payment(2, height=HEIGHT + 1))
    error, data = whole(story, story.tell(ev.TimerFired(), at=NOW + 60))
    assert error.code == Code.STOPPED_RETRYING
    assert data["failcode"] == FailCode.UNKNOWN_PAYMENT and "failcodename" not in data
    assert not any(words in (error.message + json.dumps(data)).lower() for words in REFUND_WORDS)


def test_an_invoice_of_our_own_that_is_gone() -> None:
    story = Teller(terms(to_self=True))
    gone = "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (Unknown invoice 00)"
    error, data = whole(story, story.fails(0, Failure(0, FailCode.UNKNOWN_PAYMENT, gone)))
    assert error.code == Code.DESTINATION_FAILED and "Unknown invoice" in error.message
    assert data["failcodename"] == "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"


def test_an_invoice_that_has_expired() -> None:
    story = Teller(terms())
    story.routes(line(100_000, "ad"), at=NOW)
    error = error_of(story.fails(1, no_balance(1), at=EXPIRY + 5))
    assert error.code == Code.INVOICE_EXPIRED and error.message.startswith("Invoice expired 5 s ago")
