"""The lines of the table in `sendpay_table.py`."""

from __future__ import annotations

from typing import Any

from tests.support.lightningd.sendpay_table import (
    COMPLETE,
    COMPLETE_SELF,
    COMPLETE_SELF_NOW,
    FAILED_LATER,
    FAILED_LOCALLY_NOW,
    FAILED_NOW,
    FAILED_ROW,
    FAILED_SELF,
    FAILED_SELF_LATER,
    INVALID,
    LOCAL,
    LOCAL_CHANNEL,
    PENDING,
    Await,
    Call,
    Case,
    Fail,
    Notice,
    Ok,
    Payee,
    Refused,
    Send,
    Settle,
    Unplug,
)

MPP_TWICE = (Send(msat=60_000), Send(part=2, msat=39_000))
SELF: dict[str, Any] = {"to": Payee.HOST, "part": None, "group": None}


def failure(data: dict[str, str]) -> dict[str, object]:
    """Shape of a sendpay_failure."""
    return {"code": "integer", "message": "string", "data": data}


def wait(part: int = 1, group: int | None = 1, **more: object) -> Call:
    """A waitsendpay."""
    named = {"payment_hash": "{hash}", "partid": part, **more}
    return Call("waitsendpay", named if group is None else {**named, "groupid": group})


def delpay(status: str, **more: object) -> Call:
    """A delpay."""
    return Call("delpay", {"payment_hash": "{hash}", "status": status, **more})


REPEATS = (
    Case("first part", (), Send(), Ok(PENDING, {"status": "pending", "partid": 1}), ("1/1 pending 100000",)),
    Case("identical while pending", (Send(),), Send(), Ok(PENDING, {"status": "pending"}),
         ("1/1 pending 100000",)),
    Case("identical once complete", (Send(), Settle()), Send(), Ok(COMPLETE, {"status": "complete"}),
         ("1/1 complete 100000",), Notice("sendpay_success", COMPLETE, {"status": "complete"})),
    Case("identical once failed", (Send(), Fail()), Send(),
         Refused(201, "There already is a payment with payment_hash={hash}, groupid=1, partid=1. Either change the"
                      " partid, or wait for the payment to complete and start a new group."),
         ("1/1 failed 100000",)),
    Case("another route of the same part is not taken up", (Send(),), Send(delay=40), Ok(PENDING),
         ("1/1 pending 100000",)),
    Case("another amount of the same part", (Send(),), Send(msat=90_000),
         Refused(201, "Already pending with amount 100000msat (not 90000msat)"), ("1/1 pending 100000",)),
    Case("another recipient of the same part", (Send(),), Send(to=Payee.FAR),
         Refused(201, "Already pending to {hub}"), ("1/1 pending 100000",)),
    Case("another amount once complete", (Send(), Settle()), Send(msat=90_000),
         Refused(201, "Already succeeded with amount 100000msat (not 90000msat)"), ("1/1 complete 100000",)),
    Case("another recipient once complete", (Send(), Settle()), Send(to=Payee.FAR),
         Refused(201, "Already succeeded to {hub}"), ("1/1 complete 100000",)),
    Case("another amount once failed", (Send(), Fail()), Send(msat=90_000),
         Refused(201, "There already is a payment with payment_hash={hash}, groupid=1, partid=1. Either change the"
                      " partid, or wait for the payment to complete and start a new group."),
         ("1/1 failed 100000",)),
)  # fmt: skip

GROUPS = (
    Case("second group while one is pending", (Send(),), Send(group=2),
         Refused(200, "Payment with groupid=1 still in progress, cannot retry before that completes."),
         ("1/1 pending 100000",)),
    Case("second group while one is pending, another part", (Send(),), Send(group=2, part=2),
         Refused(200, "Payment with groupid=1 still in progress, cannot retry before that completes."),
         ("1/1 pending 100000",)),
    Case("lower group while one is pending", (Send(group=5),), Send(group=4),
         Refused(200, "Payment with groupid=5 still in progress, cannot retry before that completes."),
         ("5/1 pending 100000",)),
    Case("second group after success answers with the first", (Send(), Settle()), Send(group=2),
         Ok(COMPLETE, {"groupid": 1, "status": "complete"}), ("1/1 complete 100000",)),
    Case("another part after success", (Send(), Settle()), Send(part=2),
         Refused(201, "Already succeeded other parts"), ("1/1 complete 100000",)),
    Case("another part of another group after success", (Send(), Settle()), Send(part=2, group=2),
         Refused(201, "Already succeeded other parts"), ("1/1 complete 100000",)),
    Case("part 0 after success of a part", (Send(), Settle()), Send(part=None, group=2),
         Refused(201, "Already succeeded other parts"), ("1/1 complete 100000",)),
    Case("another part after failure", (Send(), Fail()), Send(part=2), Ok(PENDING),
         ("1/1 failed 100000", "1/2 pending 100000")),
    Case("new group after failure", (Send(), Fail()), Send(group=2), Ok(PENDING),
         ("1/1 failed 100000", "2/1 pending 100000")),
    Case("group left out counts on", (Send(group=7), Fail()), Send(group=None), Ok(PENDING, {"groupid": 8}),
         ("7/1 failed 100000", "8/1 pending 100000")),
    Case("part 0 beside a part", (Send(msat=60_000),), Send(part=None),
         Refused(200, "Already have parallel payment in progress"), ("1/1 pending 60000",)),
    Case("a part beside part 0", (Send(part=None),), Send(),
         Refused(200, "Already have non-parallel payment in progress"), ("1/0 pending 100000",)),
    Case("another total", (Send(msat=60_000),), Send(part=2, msat=40_000, total=110_000),
         Refused(INVALID, "msatoshi was previously 100000msat, now 110000msat"), ("1/1 pending 60000",)),
    Case("another total after failure of the first part", (Send(msat=60_000), Fail()),
         Send(part=2, msat=40_000, total=110_000), Ok(PENDING), ("1/1 failed 60000", "1/2 pending 40000")),
)  # fmt: skip

TOTALS = (
    Case("more than the total, as long as the total is not pending", MPP_TWICE, Send(part=3, msat=50_000),
         Ok(PENDING), ("1/1 pending 60000", "1/2 pending 39000", "1/3 pending 50000")),
    Case("and all of it arrives", (*MPP_TWICE, Send(part=3, msat=50_000), Settle()), wait(3), Ok(COMPLETE),
         ("1/1 complete 60000", "1/2 complete 39000", "1/3 complete 50000"), received_msat=149_000),
    Case("nothing more once the total is pending", (Send(msat=60_000), Send(part=2, msat=40_000)),
         Send(part=3, msat=1_000), Refused(200, "Already have 100000msat of 100000msat payments in progress"),
         ("1/1 pending 60000", "1/2 pending 40000")),
    Case("nothing more once more than the total is pending", (*MPP_TWICE, Send(part=3, msat=50_000)),
         Send(part=4, msat=1_000), Refused(200, "Already have 149000msat of 100000msat payments in progress"),
         ("1/1 pending 60000", "1/2 pending 39000", "1/3 pending 50000")),
    Case("a part above the total", (), Send(msat=100_001),
         Refused(INVALID, "Final amount 100001msat is greater than 100000msat, despite MPP")),
    Case("part 0 below the total", (), Send(part=None, msat=90_000),
         Refused(INVALID, "Do not specify msatoshi (100000msat) without partid: if you do, it must be exactly the"
                          " final amount (90000msat)")),
    Case("part 0 above the total", (), Send(part=None, msat=110_000),
         Refused(INVALID, "Do not specify msatoshi (100000msat) without partid: if you do, it must be exactly the"
                          " final amount (110000msat)")),
    Case("a part without payment_secret", (), Send(secret=None),
         Refused(INVALID, "partid requires payment_secret")),
    Case("a part without amount_msat", (), Send(total=None),
         Refused(INVALID, "Must specify msatoshi with partid")),
)  # fmt: skip

ITSELF = (
    Case("empty route without amount", (), Send(total=None, **SELF),
         Refused(INVALID, "Self-payment requires amount_msat")),
    Case("empty route with a part", (), Send(to=Payee.HOST),
         Refused(INVALID, "Self-payment does not allow (non-zero) partid")),
    Case("empty route to somebody else's invoice", (), Send(**SELF),
         Refused(203, "Unknown invoice {hash}", FAILED_SELF, {"status": "pending", "erring_node": "{host}"}),
         ("1/0 failed 100000",), Notice("sendpay_failure", failure(FAILED_SELF), {"status": "pending"})),
    Case("and asked for again", (Send(**SELF),), wait(0),
         Refused(203, "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (Unknown invoice {hash})",
                 FAILED_SELF_LATER), ("1/0 failed 100000",)),
    Case("own invoice", (), Send(**SELF), Ok(COMPLETE_SELF_NOW, {"status": "complete", "destination": "{host}"}),
         ("1/0 complete 100000",), Notice("sendpay_success", COMPLETE_SELF), payee=Payee.HOST,
         received_msat=100_000),
    Case("own invoice, too little", (), Send(msat=90_000, total=90_000, **SELF),
         Refused(203, "Attempt to pay {hash} with amount 90000msat < 100000msat", FAILED_SELF),
         ("1/0 failed 90000",), payee=Payee.HOST),
    Case("own invoice twice", (Send(**SELF),), Send(**SELF),
         Refused(203, "Already paid or expired invoice {hash}", FAILED_SELF),
         ("1/0 complete 100000", "2/0 failed 100000"), payee=Payee.HOST),
)  # fmt: skip

LOCAL_FAILURES = (
    Case("unknown first channel", (), Send(first_channel="1x1x1"),
         Refused(204, "No connection to first peer found", LOCAL,
                 {"erring_index": 0, "failcodename": "WIRE_UNKNOWN_NEXT_PEER", "erring_node": "{host}"})),
    Case("disconnected peer", (Unplug(),), Send(),
         Refused(204, "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (First peer not ready)", LOCAL_CHANNEL,
                 {"erring_index": 0, "failcode": 0x1007, "erring_node": "{host}"})),
    Case("more than the channel holds", (), Send(msat=2_000_000_000, total=2_000_000_000), Ok(PENDING),
         ("1/1 failed 2000000000",),
         Notice("sendpay_failure", failure(FAILED_LOCALLY_NOW),
                {"status": "pending", "erring_index": 0, "failcodename": "WIRE_TEMPORARY_CHANNEL_FAILURE",
                 "erring_node": "{host}"}), wait=True),
    Case("too many HTLCs", tuple(Send(part=k, msat=1_000) for k in range(1, 11)), Send(part=11, msat=1_000),
         Ok(PENDING), (*(f"1/{k} pending 1000" for k in range(1, 11)), "1/11 failed 1000"),
         Notice("sendpay_failure", failure(FAILED_LOCALLY_NOW),
                {"partid": 11, "erring_index": 0, "failcodename": "WIRE_TEMPORARY_CHANNEL_FAILURE"}), wait=True),
)  # fmt: skip

REMOTE_FAILURES = (
    Case("the payee refuses for good", (), Send(to=Payee.FAR, secret="11" * 32), Ok(PENDING),
         ("1/1 failed 100000",), Notice("sendpay_failure", failure(FAILED_NOW),
                {"status": "pending", "erring_index": 2, "failcode": 0x400F, "erring_node": "{far}"}),
         payee=Payee.FAR, held=False, wait=True),
    Case("and asked for again", (Send(to=Payee.FAR, secret="11" * 32), Await()), wait(),
         Refused(203, "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (reply from remote)", FAILED_LATER,
                 {"status": "failed", "erring_index": 2}), ("1/1 failed 100000",), payee=Payee.FAR, held=False),
    Case("the payee refuses for now", (Send(to=Payee.FAR), Fail()), wait(),
         Refused(204, "failed: WIRE_TEMPORARY_NODE_FAILURE (reply from remote)", FAILED_LATER,
                 {"erring_index": 2, "failcode": 0x2002}), ("1/1 failed 100000",), payee=Payee.FAR),
    Case("too small a fee on the way", (Send(to=Payee.FAR, fee_msat=0), Await()), wait(),
         Refused(204, "failed: WIRE_FEE_INSUFFICIENT (reply from remote)", FAILED_LATER,
                 {"erring_index": 1, "failcode": 0x100C, "erring_node": "{hub}"}), ("1/1 failed 100000",),
         Notice("sendpay_failure", failure(FAILED_NOW), {"erring_index": 1}), payee=Payee.FAR, held=False),
    Case("unknown channel on the way", (
        Send(to=Payee.FAR, change={"route": [
            {"id": "{hub}", "channel": "{first}", "amount_msat": 102_000, "delay": 26},
            {"id": "{far}", "channel": "1x1x1", "amount_msat": 100_000, "delay": 20}]}), Await()), wait(),
         Refused(204, "failed: WIRE_UNKNOWN_NEXT_PEER (reply from remote)", FAILED_LATER,
                 {"erring_index": 1, "failcode": 0x400A}), ("1/1 failed 100000",), payee=Payee.FAR, held=False),
    Case("too little for the recipient", (Send(msat=10_000, total=10_000), Await()), wait(),
         Refused(203, "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (reply from remote)", FAILED_LATER,
                 {"erring_index": 1, "failcode": 0x400F}), ("1/1 failed 10000",), held=False),
)  # fmt: skip

WAITING = (
    Case("of a part that was never sent", (Send(),), wait(7),
         Refused(208, "Never attempted payment part 7 for '{hash}'"), ("1/1 pending 100000",)),
    Case("of another group", (Send(),), wait(1, 2), Refused(208, "Never attempted payment part 1 for '{hash}'"),
         ("1/1 pending 100000",)),
    Case("of an unknown hash", (), wait(0, None, payment_hash="11" * 32),
         Refused(208, f"Never attempted payment part 0 for '{'11' * 32}'")),
    Case("not long enough", (Send(),), wait(timeout=1), Refused(200, "Timed out while waiting"),
         ("1/1 pending 100000",)),
    Case("of a complete part", (Send(), Settle()), wait(), Ok(COMPLETE), ("1/1 complete 100000",)),
    Case("of the last group when none is named", (Send(), Fail()), wait(1, None),
         Refused(204, "failed: WIRE_TEMPORARY_NODE_FAILURE (reply from remote)", FAILED_LATER, {"groupid": 1}),
         ("1/1 failed 100000",)),
)  # fmt: skip

DELETING = (
    Case("pending", (Send(),), delpay("pending"),
         Refused(INVALID, "status: Cannot delete pending status: invalid token"), ("1/1 pending 100000",)),
    Case("no status at all", (Send(),), delpay("nonsense"),
         Refused(INVALID, "status: should be an invoice status: invalid token"), ("1/1 pending 100000",)),
    Case("another status, pending", (Send(),), delpay("failed"),
         Refused(208, "Payment with hash {hash} has pending status but it different from the one provided failed"),
         ("1/1 pending 100000",)),
    Case("another status, complete", (Send(), Settle()), delpay("failed"),
         Refused(208, "Payment with hash {hash} has complete status but it different from the one provided"
                      " failed"),
         ("1/1 complete 100000",)),
    Case("an unknown hash", (), delpay("failed"),
         Refused(208, "Unknown payment with payment_hash: {hash}")),
    Case("a part without group", (Send(), Fail()), delpay("failed", partid=1),
         Refused(INVALID, "Must set both partid and groupid, or neither"), ("1/1 failed 100000",)),
    Case("a group without part", (Send(), Fail()), delpay("failed", groupid=1),
         Refused(INVALID, "Must set both partid and groupid, or neither"), ("1/1 failed 100000",)),
    Case("an unknown part", (Send(), Fail()), delpay("failed", partid=1, groupid=4),
         Refused(208, "No payment for that payment_hash with that partid and groupid"), ("1/1 failed 100000",)),
    Case("one part of a group", (Send(msat=50_000), Send(part=2, msat=40_000), Fail()),
         delpay("failed", partid=1, groupid=1), Ok({"payments": [FAILED_ROW]}), ("1/2 failed 40000",)),
    Case("everything", (Send(msat=50_000), Send(part=2, msat=40_000), Fail()), delpay("failed"),
         Ok({"payments": [FAILED_ROW]})),
    Case("complete", (Send(), Settle()), delpay("complete"), Ok({"payments": [COMPLETE]})),
    Case("a failed part can be sent again once it is deleted", (Send(), Fail(), delpay("failed")), Send(),
         Ok(PENDING), ("1/1 pending 100000",)),
    Case("a complete part can be paid again once it is deleted", (Send(), Settle(), delpay("complete")), Send(),
         Ok(PENDING), ("1/1 failed 100000",), wait=True),
)  # fmt: skip

PARAMETERS = (
    Case("no route", (), Call("sendpay", {"payment_hash": "{hash}"}),
         Refused(INVALID, "missing required parameter: route")),
    Case("no hash", (), Call("sendpay", {"route": []}),
         Refused(INVALID, "missing required parameter: payment_hash")),
    Case("unknown parameter", (), Send(change={"nonsense": 1}),
         Refused(INVALID, "unknown parameter: nonsense, this may be caused by a failure to autodetect"
                          " key=value-style parameters. Please try using the -k flag and explicit key=value pairs"
                          " of parameters.")),
    Case("not a hash", (), Send(change={"payment_hash": "x"}),
         Refused(INVALID, "payment_hash: should be a 32 byte hex value: invalid token")),
    Case("not a part", (), Send(change={"partid": "x"}),
         Refused(INVALID, "partid: should be an unsigned 64 bit integer: invalid token")),
    Case("hop without channel", (), Send(change={"route": [{"id": "{hub}", "amount_msat": 1, "delay": 1}]}),
         Refused(INVALID, "route: must have either short_channel_id_dir or channel: invalid token")),
    Case("hop with a bad channel", (),
         Send(change={"route": [{"id": "{hub}", "channel": "x", "amount_msat": 1, "delay": 1}]}),
         Refused(INVALID, "route: bad short_channel_id: invalid token")),
)  # fmt: skip

TABLE: dict[str, tuple[Case, ...]] = {
    "repeats": REPEATS, "groups": GROUPS, "totals": TOTALS, "itself": ITSELF, "local failures": LOCAL_FAILURES,
    "remote failures": REMOTE_FAILURES, "waiting": WAITING, "deleting": DELETING, "parameters": PARAMETERS,
}  # fmt: skip
CASES = {f"{chapter}: {case.name}": case for chapter, cases in TABLE.items() for case in cases}
assert len(CASES) == sum(map(len, TABLE.values()))
