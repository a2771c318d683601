"""What cln-xpay pays beside the plugin on a node: the beliefs learn from it, and `paystatus` says whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from pay.host.version import NOTIFICATIONS_NAMED_SINCE, Version
from tests.real.support.network import Node, Regtest
from tests.real.support.paying import begin_other, held, invoice, pay, rows, wait_until
from tests.real.support.shop import WITH_PLUGIN
from tests.support.waiting import result_of

SAT = 1_000
CLN_XPAY = {"layers": ["auto.sourcefree"]}
"""A call with that is left to the node's own `xpay`, and pays as without, over its own channels for nothing."""
TEMPORARY_CHANNEL_FAILURE = "10070000"

Line = tuple[Node, Node, Node]


@pytest.fixture(scope="module")
def line(regtest: Regtest) -> Line:
    """payer ── middle ── payee, all on the left."""
    payer, middle, payee = regtest.start(WITH_PLUGIN, {}, {})
    if not Version.parse(payer.call("getinfo")["version"]).since(NOTIFICATIONS_NAMED_SINCE):
        pytest.skip("before v25.09 cln-xpay tells of no parts")
    regtest.open_channels((payer, middle), (middle, payee))
    regtest.wait_for_channels(payer, 2)
    return payer, middle, payee


def believed(line: Line) -> dict[str, Any] | None:
    """Of the second channel from middle on: what payments have shown of it."""
    payer, middle, payee = line
    scid = middle.channel_to(payee)["short_channel_id"]
    channels = payer.call("payliquidity", short_channel_id=scid)["channels"]
    directions = [way for channel in channels for way in channel["directions"] if way["source"] == middle.id]
    return directions[0] if directions else None


def shown(node: Node, made: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = node.call("paystatus", made["bolt11"])["pay"]
    return entries


def test_a_success_teaches(line: Line) -> None:
    payer, middle, payee = line
    payer.call("payliquidity", "reset")
    assert believed(line) is None
    made = invoice(payee, 300_000 * SAT)
    payer.call("xpay", invstring=made["bolt11"], **CLN_XPAY)
    wait_until(lambda: believed(line) is not None)
    wait_until(lambda: not middle.channel_to(payee)["htlcs"] and not payee.channel_to(middle)["htlcs"])
    bounds = believed(line)
    assert bounds is not None
    assert bounds["low_msat"] <= middle.channel_to(payee)["spendable_msat"] <= bounds["high_msat"] < 720_000 * SAT
    (entry,) = shown(payer, made)
    (row,) = rows(payer, made)
    assert (entry["by"], entry["session_status"], entry["groupid"]) == ("cln-xpay", "Success", row["groupid"])
    everything = payer.call("paystatus")["pay"]
    assert [e["by"] for e in everything if e["payment_hash"] == made["payment_hash"]] == ["cln-xpay"]


def test_a_failure_on_the_way_teaches(line: Line) -> None:
    """Middle says that its channel to payee has not enough; before, it was believed to have all."""
    payer, middle, payee = line
    payer.call("payliquidity", "reset")
    made = invoice(payee, 200_000 * SAT)
    middle.call("hold", made["payment_hash"])
    answer = begin_other(payer, "xpay", invstring=made["bolt11"], **CLN_XPAY)
    wait_until(lambda: held(middle, made) == 1)
    (entry,) = shown(payer, made)
    assert (entry["by"], entry["session_status"]) == ("cln-xpay", "Inflight")
    assert believed(line) is None, "a start alone teaches nothing"
    middle.call("refuse", made["payment_hash"], TEMPORARY_CHANNEL_FAILURE)

    def learnt() -> bool:
        bounds = believed(line)
        return bounds is not None and bounds["high_msat"] < 201_000 * SAT

    wait_until(learnt)
    middle.call("release", made["payment_hash"], TEMPORARY_CHANNEL_FAILURE)
    assert result_of(answer).error is not None
    wait_until(lambda: {entry["session_status"] for entry in shown(payer, made)} == {"Failed"})
    assert {entry["by"] for entry in shown(payer, made)} == {"cln-xpay"}


def test_a_start_without_an_end(line: Line) -> None:
    """The host refuses the second payment of a hash after it was announced: nothing is out, nothing is learnt."""
    payer, _, payee = line
    made = invoice(payee, 1_000 * SAT)
    payer.call("xpay", invstring=made["bolt11"], **CLN_XPAY)
    wait_until(lambda: believed(line) is not None)
    payer.call("payliquidity", "reset")
    assert payer.raw.call("xpay", {"invstring": made["bolt11"], **CLN_XPAY}).code in (218, 219)
    (entry,) = shown(payer, made)
    assert (entry["by"], entry["session_status"], len(entry["attempts"])) == ("cln-xpay", "Success", 1)
    assert believed(line) is None


def test_our_own_are_ours(line: Line) -> None:
    """What we tell others comes back to us as well: it is learnt once, and shown as it was."""
    payer, _, payee = line
    payer.call("payliquidity", "reset")
    made = invoice(payee, 1_000 * SAT)
    pay(payer, made["bolt11"]).ok()
    (entry,) = shown(payer, made)
    assert "by" not in entry and "route" in entry["attempts"][0]
    assert not payer.peer.daemon.is_in_log(f"others_part_ended payment_hash={made['payment_hash']}")
    assert not payer.peer.daemon.is_in_log("others_part_unreadable")


def test_both_send_the_same_invoice(line: Line) -> None:
    """The node's own command has sent it: ours waits for that, each in its form, and adds nothing."""
    payer, _, payee = line
    made = invoice(payee, 1_000 * SAT)
    payee.call("hold", made["payment_hash"])
    first = begin_other(payer, "xpay", invstring=made["bolt11"], **CLN_XPAY)
    wait_until(lambda: held(payee, made) == 1)
    others = [begin_other(payer, method, made["bolt11"]) for method in ("pay", "xpay")]
    payer.peer.daemon.wait_for_log(f"payment_attached payment_hash={made['payment_hash']}")
    (entry,) = shown(payer, made)
    assert (entry["by"], entry["waiting_for"]) == ("cln-xpay", "parts_sent_before")
    payee.call("release", made["payment_hash"])
    answers = [result_of(answer).ok() for answer in (first, *others)]
    assert len({answer["payment_preimage"] for answer in answers}) == 1
    assert list(answers[0]) == list(answers[2])
    assert len(rows(payer, made)) == 1
