"""The hook in the box: calls of commands that others have are led to us, and what is on the way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pay.host.pulse import FRESH_S
from tests.support.box.host import Host, hosting
from tests.support.checkout import PLUGIN
from tests.support.puppets import Puppet, replace_by

HOOK: dict[str, Any] = {
    "builtin_pay": True, "allow_deprecated": True, "environment": {"CLNPAY_ENTRY": "hook"},
}  # fmt: skip
"""Where deprecated commands are not allowed a host refuses `paystatus` before any hook is asked."""

STALL_S = 3.0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Its builtin `pay` runs."""
    with hosting(Path(tmp_path_factory.mktemp("host")), developer=True, **HOOK) as host:
        yield host


def behind(host: Host, directory: Path, **wishes: Any) -> Puppet:
    """Another plugin that changes calls, behind us."""
    puppet = Puppet(directory, "meddler", filters=["pay", "xpay", "listpays"], owns=["meddled"], **wishes)
    host.call("plugin", {"subcommand": "start", "plugin": str(puppet.path)}).ok()
    return puppet


def ours(host: Host, invoice: Any) -> bool:
    return bool(host.lines(f"payment_start payment_hash={invoice.payment_hash.hex()}"))


def by_the_host(host: Host, method: str, invoice: Any) -> bool:
    """Whether the host's own sender pays it: in its own form, of which our schemas know nothing."""
    return bool(host.rpc.call(method, [invoice.bolt11]).ok()) and not ours(host, invoice)


@pytest.mark.parametrize("method", ["pay", "xpay"])
def test_a_call_of_the_hosts_command_is_answered_by_us(method: str, host: Host) -> None:
    for params in (lambda text: [text], lambda text: {"invstring": text}):
        invoice = host.invoice()
        assert host.call(method, params(invoice.bolt11)).ok()["payment_preimage"] == invoice.preimage.hex()
        assert ours(host, invoice)


def test_both_commands_at_once_are_one_payment(host: Host) -> None:
    invoice = host.invoice(hold=True)
    first = host.soon("pay", [invoice.bolt11])
    host.until(lambda: invoice.parts)
    second = host.soon("xpay", [invoice.bolt11])
    host.log("payment_attached")
    assert not first.answered and not second.answered
    host.release(invoice)
    assert first.answer().ok()["payment_preimage"] == second.answer().ok()["payment_preimage"]
    assert len(host.rows(invoice)) == 1


def test_lists_show_what_is_in_work(host: Host) -> None:
    invoice = host.invoice(hold=True)
    pending = host.soon("pay", [invoice.bolt11])
    host.until(lambda: invoice.parts)
    host.give_back(invoice)
    (shown,) = host.call("listpays", [invoice.bolt11]).ok()["pays"]
    assert shown["status"] == "pending"
    host.until(lambda: invoice.parts)
    host.release(invoice)
    pending.answer().ok()


def test_what_is_not_served_is_the_hosts(host: Host) -> None:
    with host.option("pay-serve", "xpay,paystatus,listpays"):
        assert by_the_host(host, "pay", host.invoice())
    assert host.call("pay", [host.invoice().bolt11]).ok()
    refused = host.call("setconfig", {"config": "pay-serve", "val": "sendpay"}).error
    assert refused is not None and "pay-serve should be" in refused["message"]


def test_a_stuck_loop_lets_calls_go_on(host: Host) -> None:
    """But for what it is at: that waits."""
    held = host.invoice(hold=True)
    pending = host.soon("pay", [held.bolt11])
    host.until(lambda: held.parts)
    host.call("clnpay-dev-stall", [STALL_S]).ok()
    threading.Event().wait(2 * FRESH_S)
    assert by_the_host(host, "pay", host.invoice())
    assert by_the_host(host, "xpay", host.invoice())
    (shown,) = host.call("help", ["pay"]).ok()["help"]
    assert "partial_msat" in shown["command"]
    (shown,) = host.call("listpays", [None, held.payment_hash.hex()]).ok()["pays"]
    assert shown["status"] == "pending"
    host.release(held)
    assert pending.answer().ok()
    assert host.call("pay", [host.invoice().bolt11]).ok()


def test_one_behind_us_that_changes_calls_as_well(tmp_path: Path) -> None:
    """lightningd ignores its answer, where it would end if ours had been `return`."""
    with hosting(tmp_path, **HOOK) as host:
        behind(host, tmp_path / "plugins", hook={name: replace_by("meddled") for name in ("pay", "listpays")})
        invoice = host.invoice(hold=True)
        pending = host.soon("pay", [invoice.bolt11])
        host.until(lambda: pending.answered or invoice.parts)
        (shown,) = host.call("listpays", [invoice.bolt11]).ok()["pays"]
        assert shown["status"] == "pending"
        host.release(invoice)
        assert pending.answer().ok()["status"] == "complete"
        assert ours(host, invoice)


def test_killed_with_a_payment_out(tmp_path: Path) -> None:
    """The caller reads the host's -4; calls go on to the host until the plugin is there again, and is right."""
    with hosting(tmp_path, **HOOK) as host:
        invoice = host.invoice(hold=True)
        pending = host.soon("pay", [invoice.bolt11])
        host.until(lambda: invoice.parts)
        os.kill(host.pid, signal.SIGKILL)
        assert pending.answer().code == -4
        assert by_the_host(host, "pay", host.invoice())
        host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
        again = host.soon("pay", [invoice.bolt11])
        host.log("payment_attached")
        host.release(invoice)
        assert again.answer().ok()["status"] == "complete"


def test_stopped_with_calls_at_the_hook(tmp_path: Path) -> None:
    """They wait, all others go on; once it is killed they are the host's."""
    with hosting(tmp_path, **HOOK) as host:
        os.kill(host.pid, signal.SIGSTOP)
        invoice = host.invoice(amount_msat=None)
        waiting = [host.soon(method, params) for method, params in
                   (("pay", [invoice.bolt11]), ("paystatus", []), ("listpays", []))]  # fmt: skip
        for method in ("getinfo", "listsendpays", "listpeerchannels"):
            host.call(method).ok()
        assert not any(call.answered for call in waiting)
        os.kill(host.pid, signal.SIGKILL)
        paid, status, listed = [call.answer() for call in waiting]
        # The builtin's words.
        assert paid.error == {"code": -32602, "message": "msatoshi parameter required"}
        assert status.ok() == {"pay": []} and listed.ok() == {"pays": []}


def test_the_builtins_disable_mpp_is_heeded(tmp_path: Path) -> None:
    """It is its option, and ours is not registered: a taken one ends a node at its start."""
    options = {"disable-mpp": True, "pay-usual-parts": 5}
    with hosting(tmp_path, options=options, **HOOK) as host:
        amount_msat = 12_000_000_000
        refused = host.pay(host.invoice(amount_msat=amount_msat), retry_for=0)
        assert refused.code == 205
        assert refused.error is not None and "disable-mpp" in refused.error["message"]


def test_none_of_our_own_calls_comes_back_to_us(tmp_path: Path) -> None:
    """A plugin in front that is asked of everything sees our calls with an id that only we know."""
    with hosting(tmp_path, **HOOK) as host:
        first = Puppet(tmp_path / "plugins", "first", everything=True, before=["plugin.py"])
        host.call("plugin", {"subcommand": "start", "plugin": str(first.path)}).ok()
        assert host.pay(host.invoice()).ok()
        ids = [str(request["id"]) for request in first.asked("sendpay")]
        assert ids and all(ident.startswith("clnpay-") for ident in ids)


def test_five_hundred_at_once(tmp_path: Path) -> None:
    """Each is answered, and nearly all are ours: on a loaded machine the loop may stand still for a moment."""
    with hosting(tmp_path, **HOOK) as host:
        invoices = [host.invoice(amount_msat=1_000_000) for _ in range(500)]
        with ThreadPoolExecutor(max_workers=64) as threads:
            answers = list(threads.map(lambda invoice: host.rpc.call("pay", [invoice.bolt11]), invoices))
        assert [answer.error for answer in answers] == [None] * len(invoices)
        left = [invoice for invoice in invoices if not ours(host, invoice)]
        assert len(left) < 50, len(left)
