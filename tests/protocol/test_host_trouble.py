"""The node loses answers and news, tells them twice, or cannot answer: payments go on and say nothing untrue."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.support.box.host import SAT, Host, hosting
from tests.support.waiting import PATIENCE_S, result_of

AMOUNT_MSAT = 100_000 * SAT


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(
        Path(tmp_path_factory.mktemp("host")), developer=True, options={"pay-dev-reconcile-ms": 300}
    ) as host:
        yield host


def asked(host: Host, mark: int, times: int) -> None:
    """Wait until the plugin has looked at the past so often."""
    host.until(lambda: host.methods(mark).count("decode") >= times)


# --- answers that were lost -------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang_up", "garbage"])
def test_answer_of_sendpay_is_lost(host: Host, fault: str) -> None:
    """It is repeated to the letter; the host takes it once."""
    made = host.invoice(hold=True)
    mark = host.mark()
    with host.faults(**{fault: {"sendpay"}}):
        pending = host.pay_soon(made)
        host.until(lambda: len(host.sendpays(mark)) >= 2)
    sent = host.sendpays(mark)
    assert all(call == sent[0] for call in sent)
    assert not pending.answered
    host.release(made)
    assert pending.answer().ok()["parts"] == 1
    assert len(host.rows(made)) == 1


@pytest.mark.parametrize("end", ["settled", "refused"])
def test_answer_is_lost_and_it_ends(host: Host, end: str) -> None:
    """The outcome is known before `sendpay` is ever answered: that is the answer, and the repeats end."""
    made = host.invoice()
    if end == "refused":
        host.cancel(made)
    log_mark = host.log_mark()
    with host.faults(hang_up={"sendpay"}):
        answer = host.pay(made)
    assert answer.code == (None if end == "settled" else 203)
    host.log("sendpay_unanswered", log_mark)
    mark = host.mark()
    assert host.pay(host.invoice()).ok()
    assert sum(call["payment_hash"] == made.payment_hash.hex() for call in host.sendpays(mark)) <= 1
    assert len(host.rows(made)) == 1


def test_outcome_before_the_answer(host: Host) -> None:
    """lightningd may tell the outcome first."""
    with host.faults(early_outcomes=True):
        made = host.invoice()
        assert host.pay(made).ok()["parts"] == 1
        refused = host.invoice()
        host.cancel(refused)
        assert host.pay(refused).code == 203


def test_answer_never_comes(tmp_path: Path) -> None:
    """A host that takes a part and never says so: after the time for an answer it is repeated."""
    options = {"pay-dev-answer-ms": 200, "pay-dev-reconcile-ms": 100}
    with hosting(tmp_path, developer=True, options=options) as host:
        made = host.invoice()
        mark = host.mark()
        with host.faults(ignore={"sendpay"}):
            pending = host.pay_soon(made)
            host.until(lambda: len(host.sendpays(mark)) >= 2)
            assert not pending.answered
        assert pending.answer().ok()["parts"] == 1
        held = host.invoice(hold=True)
        with host.faults(hang={"sendpay"}):
            pending = host.pay_held(held)
            host.release(held)
            assert pending.answer().ok()["parts"] == 1


# --- notifications ----------------------------------------------------------------------------------------


def test_notifications_twice(host: Host) -> None:
    with host.faults(double={"*"}), host.misbehaving("far", fail_code=0x2000 | 2, fail_times=1):
        made = host.invoice()
        assert host.pay(made).ok()["parts"] == 2
        assert [row["status"] for row in host.rows(made)] == ["failed", "complete"]


def test_success_is_not_told(host: Host) -> None:
    """It is found in the host's table."""
    with host.faults(drop={"sendpay_success"}):
        made = host.invoice()
        assert host.pay(made).ok()["payment_preimage"] == made.preimage.hex()


def test_all_that_is_known_is_the_row(host: Host) -> None:
    """No answer, no news, and the row is of a later second than the call: the answer has the row's time."""
    made = host.invoice()
    with host.faults(drop={"sendpay_success"}, hang={"sendpay"}, delay_s={"sendpay": 1.1}):
        answer = host.pay(made).ok()
    (row,) = host.rows(made)
    assert answer["created_at"] == row["created_at"]
    assert host.pay(made).ok() == answer


def test_failure_is_not_told(host: Host) -> None:
    """The reason is lost with it: another way is tried."""
    with host.faults(drop={"sendpay_failure"}), host.misbehaving("hub", fail_code=0x2000 | 2):
        made = host.invoice()
        assert host.pay(made).ok()["parts"] == 2


def test_refusal_is_not_told(host: Host) -> None:
    """Without its reason every way is tried once; then there is no route: 205, not a verdict of the recipient."""
    made = host.invoice()
    host.cancel(made)
    with host.faults(drop={"sendpay_failure"}):
        answer = host.pay(made)
    assert answer.code == 205
    assert answer.error is not None
    assert answer.error["data"]["sendpay_tries"] == 2


def test_late_failure_of_a_part_that_was_found_failed(host: Host) -> None:
    """The table told it first: the notification that comes later does not count again."""
    made = host.invoice(hold=True)
    with host.faults(late_s={"sendpay_failure": 0.4}), host.misbehaving("hub", fail_code=0x2000 | 2):
        pending = host.pay_held(made)
        mark = host.log_mark()
        host.log("AttemptFailed partid=1", mark)
    host.release(made)
    assert pending.answer().ok()["parts"] == 2


# --- the host has trouble ---------------------------------------------------------------------------------


def test_past_cannot_be_seen(host: Host) -> None:
    """No answer while the table cannot be read, whatever the invoice would deserve; then the true one."""
    paid = host.invoice()
    answer = host.pay(paid).ok()
    mark, log_mark = host.mark(), host.log_mark()
    with host.faults(errors={"listsendpays": (-1, "database is locked")}):
        again = host.pay_soon(paid)
        new = host.pay_soon(host.invoice())
        host.until(lambda: host.methods(mark).count("listsendpays") >= 4)
        assert not again.answered and not new.answered
        assert not {"preapproveinvoice", "sendpay"} & set(host.methods(mark))
        assert host.lines("host_trouble method=listsendpays", log_mark)
    assert again.answer().ok() == answer
    assert new.answer().ok()["status"] == "complete"


def test_search_for_lost_news_survives_trouble(host: Host) -> None:
    """The success is not told and the table cannot be read for a while: it is found all the same."""
    made = host.invoice(hold=True)
    pending = host.pay_held(made)
    mark = host.mark()
    with host.faults(drop={"sendpay_success"}, errors={"listsendpays": (-1, "database is locked")}):
        host.release(made)
        host.until(lambda: host.methods(mark).count("listsendpays") >= 2)
    assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()


def test_invoice_cannot_be_read(host: Host) -> None:
    """The host's reader of invoices is away for a while: that is nobody's bad parameter."""
    made = host.invoice()
    mark = host.mark()
    with host.faults(errors={"decode": (-4, "Plugin terminated before replying to RPC call.")}):
        pending = host.pay_soon(made)
        asked(host, mark, 2)
        assert not pending.answered
    assert pending.answer().ok()


@pytest.mark.parametrize(
    ("fault", "method"),
    [
        *product(("hang_up", "garbage"), ("decode", "listsendpays", "preapproveinvoice", "listpeerchannels")),
        *product(("empty",), ("decode", "listsendpays")),
    ],
)
def test_answers_are_lost(host: Host, method: str, fault: str) -> None:
    """Whatever is asked before the part is asked again; an answer without its fields is none either."""
    mark = host.mark()
    with host.faults(**{fault: {method}}):
        pending = host.pay_soon(host.invoice())
        host.until(lambda: host.methods(mark).count(method) >= 2)
        assert not pending.answered
    assert pending.answer().ok()["status"] == "complete"
    assert len(host.sendpays(mark)) == 1


def test_socket_refuses(host: Host) -> None:
    """Nobody listens for a while, then somebody does."""

    async def listen(on: bool) -> None:
        if on:
            await host.node._server.start()
        else:
            host.node._server.stop_listening()
            for connection in list(host.node._server._connections):
                if connection.peer_pid == host.pid:
                    connection.close()

    made = host.invoice()
    waiting = host.invoice(hold=True)
    pending = host.pay_held(waiting)
    mark = host.log_mark()
    # The caller is connected before the door shuts.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        known = set(host.node._server._connections)
        caller.connect(f"{host.directory}/lightning-rpc")
        host.until(lambda: set(host.node._server._connections) - known)
        host.box.run(listen(False))
        call = {"jsonrpc": "2.0", "id": "x", "method": "pay", "params": [made.bolt11]}
        caller.sendall(json.dumps(call).encode())
        host.log("host_unanswered", mark)
        host.release(waiting)
        assert result_of(pending.future).ok()
        host.box.run(listen(True))
        caller.settimeout(PATIENCE_S)
        answer = json.loads(caller.recv(1 << 16))
    assert answer["result"]["status"] == "complete"
