"""Between a call and its end: what lists show of it at exact moments, and what the caller reads meanwhile."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.encoding.failures import FailCode, failure
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.recipient import fail_parts
from tests.support.box.host import Host, hosting
from tests.support.box.narrow import THIRDS_MSAT, thirds
from tests.support.checkout import PLUGIN
from tests.support.waiting import result_of, until


@pytest.fixture(scope="module", params=["v26.04", "v26.06.6"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host where `listpays` is ours, and one where it is cln-xpay's and we have a hook on it."""
    with hosting(Path(tmp_path_factory.mktemp("host")), version=request.param) as host:
        yield host


def listed(host: Host, made: SimInvoice) -> list[str]:
    """The states that `listpays` has of it, as a wallet asks: by hash, by invoice, and among all."""
    by_hash, by_invoice = {"payment_hash": made.payment_hash.hex()}, {"bolt11": made.bolt11}
    asked = [host.call("listpays", params).ok()["pays"] for params in (by_hash, by_invoice)]
    shown = [[pay["status"] for pay in pays] for pays in asked]
    among = [
        pay["status"] for pay in host.call("listpays").ok()["pays"]
        if pay["payment_hash"] == made.payment_hash.hex()
    ]  # fmt: skip
    assert shown[0] == shown[1] == among
    return among


def the_first_of(method: str) -> dict[str, Callable[[Any], bool]]:
    """Hold the first call of a method, and let those that come after it pass."""
    seen: list[Any] = []

    def holds(params: Any) -> bool:
        seen.append(params)
        return len(seen) == 1

    return {method: holds}


@pytest.mark.parametrize("method", ["listsendpays", "preapproveinvoice", "sendpay"])
def test_a_payment_is_pending_from_the_call_on(method: str, host: Host) -> None:
    """The look at its past, the approval and the first order: at each moment the host has no row of it."""
    made = host.invoice(hold=True)
    assert listed(host, made) == []
    with host.faults(hold_if=the_first_of(method)):
        pending = host.pay_soon(made)
        host.until(lambda: len(host.node.dispatcher.held) == 1)
        assert host.rows(made) == [] and listed(host, made) == ["pending"]
    host.let_go()
    host.until(lambda: made.parts)
    assert listed(host, made) == ["pending"]
    host.release(made)
    pending.answer().ok()
    assert listed(host, made) == ["complete"]


def test_the_next_try_of_a_payment_that_failed(host: Host) -> None:
    """The row of the try before says failed, and an entry after it that it is being paid, until it is refused."""
    made = host.invoice(hold=True)
    pending = host.pay_held(made)
    host.world(lambda _: fail_parts(made, lambda _: failure(FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS)))
    assert pending.answer().code == 203
    assert listed(host, made) == ["failed"]
    with host.faults(hold_if=the_first_of("listsendpays")):
        again = host.pay_soon(made)
        host.until(lambda: len(host.node.dispatcher.held) == 1)
        assert listed(host, made) == ["failed", "pending"]
    host.let_go()
    host.until(lambda: made.parts or again.answered)
    assert listed(host, made) == ["failed", "pending"]
    host.cancel(made)
    assert again.answer().code == 203
    assert listed(host, made) == ["failed", "failed"]


def test_a_list_waits_until_the_invoice_of_a_call_is_read(host: Host) -> None:
    """Asked for while the node still reads it, which takes a moment: the list has the payment that came before."""
    made = host.invoice(hold=True)
    with host.faults(hold={"decode"}):
        pending = host.pay_soon(made)
        host.until(lambda: len(host.node.dispatcher.held) == 1)
        mark = host.mark()
        listing = host.soon("listpays", {"payment_hash": made.payment_hash.hex()})
        host.until(lambda: any(entry.method == "listpays" for entry in list(host.node.recorded)[mark:]))
        # What the plugin answers to has come after the list to it.
        host.call("payliquidity").ok()
        assert not listing.answered
        host.let_go()
    assert [pay["status"] for pay in listing.answer().ok()["pays"]] == ["pending"]
    host.until(lambda: made.parts)
    host.release(made)
    pending.answer().ok()


def test_a_host_that_does_not_read_invoices_keeps_no_list_waiting(host: Host) -> None:
    """Of which payment the call is nobody knows: a list waits for that for two seconds, then goes on without."""
    made = host.invoice()
    with host.faults(hold={"decode"}):
        pending = host.pay_soon(made)
        host.until(lambda: len(host.node.dispatcher.held) == 1)
        assert host.call("listpays", {"payment_hash": made.payment_hash.hex()}).ok()["pays"] == []
    host.let_go()
    pending.answer().ok()


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("decode", "for the node to read the invoice"),
        ("preapproveinvoice", "for the node to approve the payment"),
        ("sendpay", "1 part is out, 100,000 sat"),
    ],
)  # fmt: skip
def test_a_caller_reads_soon_what_is_waited_for(method: str, words: str, host: Host) -> None:
    """Two seconds after the call or the beginning, not half a minute, and also where nothing has failed."""
    made, messages = host.invoice(), []
    with host.faults(hold={method}):
        call = host.box.submit(host.node.call("pay", {"bolt11": made.bolt11}, messages.append))
        host.until(lambda: messages)
        (message, *_) = (message["params"]["message"] for message in messages)
        after = re.match(r"Waiting after (\d+) s: ", message)
        assert after is not None and 2 <= int(after[1]) < 20 and words in message
    host.let_go()
    assert result_of(call)["status"] == "complete"


def test_the_plugin_dies_between_the_preimage_and_its_answer(tmp_path: Path) -> None:
    """A success waits a second for its last parts. Whatever happens in that second: asked again, it is one."""
    with hosting(tmp_path, build=thirds) as host:
        made = host.invoice(amount_msat=THIRDS_MSAT, hold=True)
        pending = host.pay_soon(made)
        host.until(lambda: len(made.parts) == 3)
        first, *others = made.parts
        made.parts[:] = []
        mark = host.log_mark()
        host.world(lambda _: first.settle(made.preimage))
        host.log("payment_paid", mark)
        os.kill(host.pid, signal.SIGKILL)
        assert pending.answer().error is not None, "it was answered within a second already"
        host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
        again = host.pay(made).ok()
        assert again["payment_preimage"] == made.preimage.hex()
        assert (again["parts"], again["amount_msat"]) == (3, THIRDS_MSAT)
        assert "not yet completed" in again["warning_partial_completion"]
        host.world(lambda _: [part.settle(made.preimage) for part in others])
        until(lambda: "warning_partial_completion" not in host.pay(made).ok())


def test_what_does_not_change_is_said_once(tmp_path: Path) -> None:
    """A part that is held is compared with the table again and again: one line of the log has it as there."""
    options = {"pay-dev-reconcile-ms": 20}
    with hosting(tmp_path, developer=True, options=options) as host:
        made = host.invoice(hold=True)
        pending = host.pay_held(made)
        calls, mark = host.mark(), host.log_mark()
        host.until(lambda: host.methods(calls).count("listsendpays") >= 5)
        said = [line for line in host.lines(made.payment_hash.hex(), mark) if "AttemptAccepted" in line]
        assert len(said) <= 1, "that of the answer of sendpay may have come after the mark"
        host.release(made)
        pending.answer().ok()
