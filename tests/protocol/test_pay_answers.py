"""What callers read: the success object, every error with its data, and the words that must not be there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.faults import Faults
from pay.units import Scid, format_scid
from tests.support.box.errors import error_of
from tests.support.box.host import (
    SAT,
    TEMPORARY_CHANNEL_FAILURE,
    UNKNOWN_DETAILS,
    Host,
    hosting,
)
from tests.support.rawrpc import Answer
from tests.support.waiting import PATIENCE_S

ALWAYS = {"payment_preimage", "payment_hash", "created_at", "parts", "amount_msat", "amount_sent_msat", "status"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    # One part at a time: what is tried, and in which order, is then certain.
    with hosting(Path(tmp_path_factory.mktemp("host")), options={"disable-mpp": True}) as host:
        yield host


# --- success ----------------------------------------------------------------------------------------------


def test_success(host: Host) -> None:
    """Exactly the documented fields, with what the recipient and our channel say of the amounts."""
    made = host.invoice()
    before = host.channel("us", "hub").balance_msat(host.id("us"))
    answer = host.pay(made).ok()
    assert answer.keys() == ALWAYS | {"destination"}
    assert answer["payment_preimage"] == made.preimage.hex()
    assert answer["payment_hash"] == made.payment_hash.hex()
    assert answer["destination"] == host.id("far").hex()
    assert answer["amount_msat"] == made.amount_msat == made.received_msat
    spent = before - host.channel("us", "hub").balance_msat(host.id("us"))
    assert answer["amount_sent_msat"] == spent == 100_000 * SAT + 11 * SAT
    assert (answer["parts"], answer["status"]) == (1, "complete")
    assert abs(answer["created_at"] - time.time()) < 10


def test_repeat_is_the_same_object(host: Host) -> None:
    """Also after a failed attempt, which counts as a part: and nothing is sent for it."""
    made = host.invoice()
    first = host.channel("hub", "far")
    once = Faults(fail_code=TEMPORARY_CHANNEL_FAILURE, fail_times=1)
    host.world(lambda world: world.set_channel_faults(first, host.id("hub"), once))
    answer = host.pay(made).ok()
    host.world(lambda world: world.set_channel_faults(first, host.id("hub"), None))
    assert answer["parts"] == 2
    mark = host.mark()
    assert host.pay(made).ok() == answer
    assert host.methods(mark) == ["decode", "listsendpays"]


class Once(dict[str, tuple[int, str]]):
    """An error that is met once."""

    def get(self, method: str, default: Any = None) -> Any:
        return self.pop(method, default)


def test_repeat_after_a_refusal_without_row(host: Host) -> None:
    """The host refuses the first part before it has a row: the repeat counts it all the same."""
    made = host.invoice()
    refusal = (204, "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (First peer not ready)")
    with host.faults(errors=Once(sendpay=refusal)):
        answer = host.pay(made).ok()
    assert answer["parts"] == 2
    assert [row["partid"] for row in host.rows(made)] == [2]
    assert host.pay(made).ok() == answer


def test_repeat_of_an_expired_invoice(host: Host) -> None:
    """It was paid, so it is no error that it has expired meanwhile."""
    made = host.invoice(expiry=5)
    answer = host.pay(made).ok()
    host.until(lambda: time.time() > made.expires_at + 1)
    assert host.pay(made).ok() == answer


def test_repeat_survives_restarts(tmp_path: Path) -> None:
    """The host's table is what remembers."""
    with hosting(tmp_path) as host:
        made, again = host.invoice(), host.invoice()
        answer = host.pay(made).ok()
        host.box.stop()
        host.box.restart()
        host.until(lambda: len(host.lines("started version=")) == 2)
        assert host.pay(made).ok() == answer
        plugin = str(host.node.plugins.all[0].path)
        host.call("plugin", {"subcommand": "stop", "plugin": plugin}).ok()
        host.call("plugin", {"subcommand": "start", "plugin": plugin}).ok()
        assert host.pay(made).ok() == answer
        assert host.pay(again).ok()["status"] == "complete"


def test_to_ourselves(host: Host) -> None:
    """Our own invoice is settled by the host, once; then it is paid before."""
    made = host.invoice("us")
    answer = host.pay(made).ok()
    assert answer["amount_sent_msat"] == answer["amount_msat"] == made.amount_msat
    assert answer["destination"] == host.id("us").hex()
    assert host.pay(made).ok() == answer


def test_to_ourselves_refused(host: Host) -> None:
    made = host.invoice("us")
    host.cancel(made)
    error_of(host.pay(made), 203)


def test_unannounced_recipient(host: Host) -> None:
    """The route hint is followed under its alias."""
    hint = host.channel("hub", "phone").hint_for(host.id("phone"))
    made = host.invoice("phone", hints=[hint])
    assert host.pay(made).ok()["status"] == "complete"


# --- 201 --------------------------------------------------------------------------------------------------


def test_paid_with_another_amount(host: Host) -> None:
    """Who means another amount would take the old payment for his."""
    made = host.invoice(amount_msat=None)
    assert host.pay(made, amount_msat=5000).ok()
    error_of(host.pay(made, amount_msat=6000), 201, "5000msat", "6000msat", routed=False)
    error_of(host.pay(made, amount_msat=6000, partial_msat=4000), 201, routed=False)
    assert host.pay(made, amount_msat=5000).ok()["amount_msat"] == 5000


def test_paid_to_another(host: Host) -> None:
    """Two invoices of one preimage: paying the second must not look like success."""
    first = host.invoice("far")
    assert host.pay(first).ok()
    text = host.world(lambda world: _same_hash(world, host.id("hub"), first))
    error_of(host.pay(text), 201, host.id("far").hex(), routed=False)


def _same_hash(world: Any, node: Any, first: Any) -> str:
    del world.invoices[first.payment_hash]
    made = world.create_invoice(node, first.amount_msat, "copy", preimage=first.preimage)
    text: str = made.bolt11
    world.invoices[first.payment_hash] = first
    return text


# --- 203 --------------------------------------------------------------------------------------------------


def test_refused_for_good(host: Host) -> None:
    """The recipient's answer with its place in the route, as the manual lists it; one attempt, no more."""
    made = host.invoice()
    host.cancel(made)
    error = error_of(host.pay(made), 203, "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")
    assert error["erring_index"] == 2
    assert error["erring_node"] == host.id("far").hex()
    assert error["erring_channel"] == "0x0x0"
    assert error["failcode"] == UNKNOWN_DETAILS
    assert error["failcodename"] == "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"
    assert error["raw_message"].startswith("400f")
    assert error["sendpay_tries"] == 1
    assert error["attempts"][0]["failcode"] == UNKNOWN_DETAILS


def test_failed_payment_is_paid_later(host: Host) -> None:
    """A new call is a new group: part numbers of the old one are used up."""
    made = host.invoice()
    with host.misbehaving("far", fail_code=UNKNOWN_DETAILS):
        error_of(host.pay(made), 203)
    assert host.pay(made).ok()["parts"] == 1
    assert [(row["groupid"], row["status"]) for row in host.rows(made)] == [(1, "failed"), (2, "complete")]


# --- 207, 210, -1 -----------------------------------------------------------------------------------------


def test_expired(host: Host) -> None:
    """At the start: nothing is asked of the signer, nothing is sent."""
    now = int(time.time())
    made = host.invoice(created_at=now - 100, expiry=50)
    mark = host.mark()
    error = error_of(host.pay(made), 207, "expired", routed=False)
    assert error["expiry"] == made.expires_at
    assert abs(error["now"] - now) < PATIENCE_S
    assert host.methods(mark) == ["decode", "listsendpays"]


def test_retry_for_over(host: Host) -> None:
    """A network that fails slowly: with retry_for 1 the answer is 210 once the last HTLC is back; nothing that was
    learnt before keeps the first part from going there."""
    host.call("payliquidity", ["reset"]).ok()
    made = host.invoice()
    with host.misbehaving("hub", fail_code=TEMPORARY_CHANNEL_FAILURE, delay_s=1.2):
        began = time.monotonic()
        error = error_of(host.pay(made, retry_for=1), 210, "retry_for", "1 s")
        assert time.monotonic() - began >= 1.0
    assert error["sendpay_tries"] == 1


def test_retry_for_zero_tries_once(host: Host) -> None:
    assert host.pay(host.invoice(), retry_for=0).ok()
    with host.misbehaving("far", offline=True):
        error = error_of(host.pay(host.invoice(), retry_for=0), 210)
    assert error["sendpay_tries"] == 1


def test_host_refuses_a_part(host: Host) -> None:
    """An error of `sendpay` that is no failure of a route ends the payment: -1."""
    with host.faults(errors={"sendpay": (-32602, "no such luck")}):
        error = error_of(host.pay(host.invoice()), -1, "no such luck")
    assert error["sendpay_tries"] == 1


def test_channels_cannot_be_listed(host: Host) -> None:
    with host.faults(errors={"listpeerchannels": (-1, "database is locked")}):
        error = error_of(host.pay(host.invoice()), -1, "database is locked")
    assert error["sendpay_tries"] == 0


def test_failures_do_not_name_a_verdict(host: Host) -> None:
    """A node on the way may say anything: only the recipient's last word is repeated by its name."""
    made = host.invoice()
    with host.misbehaving("hub", fail_code=UNKNOWN_DETAILS), host.misbehaving("alt", fail_code=UNKNOWN_DETAILS):
        error_of(host.pay(made), 205)


def test_parts_of_the_route_are_ours(host: Host) -> None:
    """The first hop is our channel, the last one the recipient, amounts grow backwards by the fees."""
    host.call("payliquidity", ["reset"]).ok()
    made = host.invoice()
    mark = host.mark()
    with host.option("pay-shadow", "off"):
        host.pay(made).ok()
    first, last = host.sendpays(mark)[0]["route"]
    assert (first["channel"], last["channel"]) == (host.scid("us", "hub"), host.scid("hub", "far"))
    assert (first["amount_msat"], last["amount_msat"]) == (100_011 * SAT, 100_000 * SAT)
    assert (first["delay"], last["delay"]) == (50, 10)
    assert format_scid(Scid(host.channel("us", "hub").scid)) == first["channel"]


# --- preapproval ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "words"), [(213, "invoice was declined"), (214, "hsmd said no")])
def test_declined(host: Host, code: int, words: str) -> None:
    """The host's word is passed on as it is, before anything is sent."""
    mark = host.mark()
    with host.faults(errors={"preapproveinvoice": (code, words)}):
        error_of(host.pay(host.invoice()), code, words, routed=False)
    assert _but_channels(host, mark) == ["decode", "listsendpays", "preapproveinvoice"]


def test_order_of_calls(host: Host) -> None:
    """decode, the past, the signer, the journal, the part; our channels are listed once, beside any of them."""
    mark = host.mark()
    host.pay(host.invoice()).ok()
    assert _but_channels(host, mark) == ["decode", "listsendpays", "preapproveinvoice", "datastore", "sendpay"]
    assert host.methods(mark).count("listpeerchannels") == 1


def _but_channels(host: Host, mark: int) -> list[str]:
    """A plan is made ahead of the approval, and looks at our channels for it: that changes nothing."""
    return [method for method in host.methods(mark) if method != "listpeerchannels"]


# --- check ------------------------------------------------------------------------------------------------


def check(host: Host, **params: Any) -> Answer:
    return host.call("check", {"command_to_check": "pay", **params})


def test_check(host: Host) -> None:
    """Says what `pay` would say of the call, and does nothing."""
    mark = host.mark()
    assert check(host, bolt11=host.invoice().bolt11).ok() == {"command_to_check": "pay"}
    assert check(host, bolt11="nonsense").code == -32602
    assert check(host, bolt11=host.invoice().bolt11, maxfee="x").code == -32602
    assert check(host, bolt11=host.invoice().bolt11, amount_msat=5).code == -32602
    answer = host.call("check", ["pay", host.invoice().bolt11])
    assert answer.ok() == {"command_to_check": "pay"}
    assert not {"preapproveinvoice", "sendpay"} & set(host.methods(mark))


def test_check_declined(host: Host) -> None:
    """As the host words it."""
    with host.faults(decline_preapproval=True):
        answer = check(host, bolt11=host.invoice().bolt11)
    assert (answer.code, answer.error and answer.error["message"]) == (213, "invoice was declined")
