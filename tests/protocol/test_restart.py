"""The plugin or the node dies with payments under way and comes back: they are taken up, nothing is doubled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pay.sim.lightningd.faults import LightningdFaults
from tests.support.box.host import hosting
from tests.support.box.narrow import SPLIT_MSAT, narrow
from tests.support.box.restarts import (
    AMOUNT_MSAT,
    FAST,
    OPTIONS,
    journal,
    kill_plugin,
    over,
    restart_node,
    split_with_a_part_missing,
    start_plugin,
)
from tests.support.waiting import until

# --- the plugin alone -------------------------------------------------------------------------------------


def test_plugin_restarted_alone(tmp_path: Path) -> None:
    """The part is watched, none is added; a call attaches and gets the outcome; the journal is empty after it."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        cut_off = host.pay_held(made, label="tea")
        assert len(journal(host)) == 1
        kill_plugin(host)
        assert cut_off.answer().code == -4
        calls, mark = host.mark(), host.log_mark()
        start_plugin(host)
        (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
        assert (shown["session_status"], shown["amount_msat"], shown["label"]) == ("Inflight", AMOUNT_MSAT, "tea")
        assert [(a["status"], a["partid"]) for a in shown["attempts"]] == [("Inflight", 1)]
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        host.release(made)
        answer = pending.answer().ok()
        assert answer["payment_preimage"] == made.preimage.hex()
        assert host.pay(made).ok() == answer
        assert host.sendpays(calls) == []
        over(host)
        assert host.call("paystatus", [made.bolt11]).ok()["pay"][0]["session_status"] == "Success"


def test_plugin_restarted_alone_and_a_part_fails(tmp_path: Path) -> None:
    """An order of the earlier run may still be queued in the host: nothing is added although there is time."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        kill_plugin(host)
        calls, mark = host.mark(), host.log_mark()
        start_plugin(host)
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        host.give_back(made)
        assert pending.answer().code == 210
        assert host.sendpays(calls) == []
        over(host)
        # What was given up can be paid anew, in another group.
        host.world(lambda _: setattr(made, "hold", False))
        assert host.pay(made).ok()["parts"] == 1
        assert [row["groupid"] for row in host.rows(made)] == [1, 2]


def test_plugin_restarted_alone_with_an_order_unseen(tmp_path: Path) -> None:
    """Its order comes late in the host: what is paid meanwhile is another group, beside which it is refused."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.node.faults.ignore = {"sendpay"}
        mark = host.mark()
        host.pay_soon(made)
        host.until(lambda: host.sendpays(mark))
        late = host.sendpays(mark)[0]
        kill_plugin(host)
        host.node.faults = LightningdFaults()
        start_plugin(host)
        assert journal(host) == []
        mark = host.mark()
        pending = host.pay_soon(made)
        host.until(lambda: made.parts)
        assert (late["groupid"], host.sendpays(mark)[0]["groupid"]) == (1, 2)
        assert host.call("sendpay", late).code == 200
        host.release(made)
        assert pending.answer().ok()["parts"] == 1
        assert made.received_msat == AMOUNT_MSAT


# --- the node ---------------------------------------------------------------------------------------------


def test_node_restarted(tmp_path: Path) -> None:
    """The payment is resumed with its own limits; a part that fails is tried again, in the same group."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made, retry_for=600, maxfee=60_000)
        mark = host.log_mark()
        restart_node(host)
        assert host.lines("payment_resumed", mark)
        assert any("maxfee_msat=60000" in line for line in host.lines("payment_start", mark))
        pending = host.pay_soon(made, maxfee=1)
        host.log("payment_attached", mark)
        host.give_back(made)
        host.until(lambda: made.parts)
        assert not pending.answered
        host.release(made)
        answer = pending.answer().ok()
        rows = host.rows(made)
        assert [(row["groupid"], row["partid"], row["status"]) for row in rows] == [
            (1, 1, "failed"), (1, 2, "complete"),
        ]  # fmt: skip
        assert (answer["created_at"], answer["parts"]) == (rows[0]["created_at"], 2)
        over(host)
        restart_node(host)
        assert host.pay(made).ok() == answer


def test_settled_while_the_node_was_away(tmp_path: Path) -> None:
    """The recipient takes the money meanwhile: the next call is a success."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        restart_node(host, lambda: host.release(made))
        assert host.pay(made).ok()["payment_preimage"] == made.preimage.hex()
        assert len(host.rows(made)) == 1
        over(host)


@pytest.mark.parametrize("why", ["deadline", "expiry", "journal"])
def test_node_restarted_and_nothing_may_be_added(tmp_path: Path, why: str) -> None:
    """Its time has passed, or the invoice's has, or nothing was written down: what is out is watched."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True, expiry=6 if why == "expiry" else 3600)
        if why == "journal":
            with host.faults(errors={"datastore": (-1, "no space")}):
                host.pay_held(made, retry_for=600)
        else:
            host.pay_held(made, retry_for=600 if why == "expiry" else 0)
        host.until(lambda: why != "expiry" or host.box.world.clock.now() > made.expires_at)
        calls, mark = host.mark(), host.log_mark()
        restart_node(host)
        assert not host.lines("payment_resumed", mark)
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        assert host.sendpays(calls) == []
        host.world(lambda _: setattr(made, "hold", False))
        host.give_back(made)
        if why == "journal":
            # For all that is known it was somebody else's: the call goes on to pay itself.
            assert pending.answer().ok()["parts"] == 1
            return
        assert pending.answer().code == 210
        assert host.sendpays(calls) == []
        over(host)
        assert host.pay(made).code == (207 if why == "expiry" else None)


@pytest.mark.parametrize("shadow", ["delay", "full"])
def test_node_restarted_with_a_part_missing(tmp_path: Path, shadow: str) -> None:
    """One part waits, one is missing: the missing one is sent, and no more than that; with a shadow fee, what the
    first part announced."""
    options = {"developer": True, "options": {**OPTIONS["options"], "pay-shadow": shadow}}
    with hosting(tmp_path, build=narrow, **options) as host:
        made = split_with_a_part_missing(host)
        host.node.faults = LightningdFaults()
        restart_node(host)
        answer = host.pay(made).ok()
        over(host)
        (total_msat,) = {part["amount_msat"] for part in host.sendpays()}
        assert made.received_msat == total_msat and (total_msat > SPLIT_MSAT) == (shadow == "full")
        assert answer["amount_msat"] == SPLIT_MSAT
        rows = host.rows(made)
        assert {row["groupid"] for row in rows} == {1}
        assert sum(row["amount_msat"] for row in rows if row["status"] == "complete") == total_msat
        assert answer["parts"] == max(row["partid"] for row in rows)
        # At the first preimage the other part may still have been out.
        answer.pop("warning_partial_completion", None)
        assert host.pay(made).ok() == answer


def test_plugin_restarted_alone_with_a_part_missing(tmp_path: Path) -> None:
    """The part that waits is watched until the recipient gives it back; nothing is added."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = split_with_a_part_missing(host)
        kill_plugin(host)
        host.node.faults = LightningdFaults()
        calls = host.mark()
        start_plugin(host)
        mark = host.log_mark()
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        host.give_back(made)
        assert pending.answer().code == 210
        assert host.sendpays(calls) == []
        over(host)


def test_what_was_watched_for_a_while_keeps_its_limits(tmp_path: Path) -> None:
    """The plugin dies, its successor watches the part and marks it in the journal; then the node is restarted.

    A part that fails is tried again within the payment's own limits, which a session that watches does not have.
    """
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made, retry_for=600, maxfee=60_000)
        kill_plugin(host)
        start_plugin(host)
        until(lambda: any(json.loads(entry["string"])["accepted"] for entry in journal(host)))
        mark = host.log_mark()
        restart_node(host)
        assert host.lines("payment_resumed", mark)
        assert any("maxfee_msat=60000" in line for line in host.lines("payment_start", mark))
        host.give_back(made)
        host.until(lambda: made.parts)
        host.release(made)
        assert host.pay(made).ok()["parts"] == 2


# --- while it starts --------------------------------------------------------------------------------------


def test_pay_during_the_adoption(tmp_path: Path) -> None:
    """A call that comes before old parts have been looked for waits for that, and so does `paystatus`."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        mark = host.log_mark()

        def trouble() -> None:
            host.node.faults.only_plugin = True
            host.node.faults.errors = {"listsendpays": (-1, "database is locked")}

        restart_node(host, trouble, wait=False)
        calls = host.mark()
        pending, status = host.pay_soon(made), host.soon("paystatus", [made.bolt11])
        host.until(lambda: host.methods(calls).count("listsendpays") >= 3)
        assert not pending.answered and not status.answered
        host.node.faults = LightningdFaults()
        host.log("payment_attached", mark)
        assert status.answer().ok()["pay"][0]["session_status"] == "Inflight"
        host.release(made)
        assert pending.answer().ok()["parts"] == 1
        assert len(host.rows(made)) == 1


@pytest.mark.parametrize("version", ["v26.06.6", "v25.09"])
def test_listpays_after_a_restart(tmp_path: Path, version: str) -> None:
    """A payment in work is pending there, between two attempts too; with the hook and with our own command."""
    with hosting(tmp_path, build=narrow, version=version, developer=True, options=FAST) as host:
        made = split_with_a_part_missing(host)
        host.node.faults = LightningdFaults()

        def no_plans() -> None:
            host.node.faults.only_plugin = True
            host.node.faults.delay_s = {"listpeerchannels": 0.3}

        def shown() -> list[str]:
            return [pay["status"] for pay in host.call("listpays", {"bolt11": made.bolt11}).ok()["pays"]]

        assert shown() == ["pending"]
        restart_node(host, no_plans)
        assert shown() in (["pending"], ["complete"])
        until(lambda: shown() == ["complete"])
        over(host)


def test_paystatus_of_what_ended_before(tmp_path: Path) -> None:
    """Rebuilt from the host's rows, without routes; no attempt is Retrying."""
    with hosting(tmp_path, **OPTIONS) as host:
        paid, refused = host.invoice(), host.invoice()
        host.cancel(refused)
        assert host.pay(paid).ok() and host.pay(refused).code == 203
        restart_node(host)
        for made, word, attempt in ((paid, "Success", "Settled"), (refused, "Failed", "Failed")):
            for wanted in (made.bolt11, made.payment_hash.hex()):
                (entry,) = host.call("paystatus", [wanted]).ok()["pay"]
                assert entry["session_status"] == word
                assert [a["status"] for a in entry["attempts"]] == [attempt]
                assert all(a["route_unknown"] for a in entry["attempts"])
