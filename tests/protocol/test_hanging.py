"""A hundred calls that hang, each in another place, and one that does not: it is paid at once."""

from __future__ import annotations

from pathlib import Path

from tests.support.box.host import hosting
from tests.support.waiting import result_of

HANGING = 100


def test_a_hundred_invoices_that_a_person_has_to_approve(tmp_path: Path) -> None:
    """The signer asks for these and knows the next payee; then the person says yes to all."""
    with hosting(tmp_path) as host:
        made = [host.invoice(amount_msat=1_000_000) for _ in range(HANGING)]
        asked = {invoice.bolt11 for invoice in made}
        with host.faults(hold_if={"preapproveinvoice": lambda params: params["bolt11"] in asked}):
            waiting = [host.box.submit(host.node.call("pay", {"bolt11": text})) for text in asked]
            host.until(lambda: len(host.node.dispatcher.held) == HANGING)
            assert host.pay(host.invoice()).ok()["status"] == "complete"
            assert not any(call.done() for call in waiting)
        assert host.let_go() == HANGING
        assert {result_of(call)["status"] for call in waiting} == {"complete"}


def test_a_hundred_parts_in_a_slow_hook(tmp_path: Path) -> None:
    """Their payments have no answer, and there is none to give; what was paid before is answered all the same."""
    with hosting(tmp_path) as host:
        paid = host.invoice(amount_msat=1_000_000)
        host.pay(paid).ok()
        made = [host.invoice(amount_msat=1_000_000) for _ in range(HANGING)]
        with host.faults(hold={"sendpay"}):
            waiting = [host.box.submit(host.node.call("pay", {"bolt11": invoice.bolt11})) for invoice in made]
            host.until(lambda: len(host.node.dispatcher.held) == HANGING)
            assert host.pay(paid).ok()["status"] == "complete"
            assert host.pay(host.invoice("island", 1_000_000)).code == 205
            assert not any(call.done() for call in waiting)
        assert host.let_go() == HANGING
        assert {result_of(call)["status"] for call in waiting} == {"complete"}
