"""The running plugin: many payments at once, news for others, and the end of its node."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pay.host import calls
from pay.host.calls import SendpayRow, SendpayStatus
from pay.host.dead_rows import DeadRows, host_started_s
from tests.support.box.host import SAT, TEMPORARY_CHANNEL_FAILURE, Host, hosting
from tests.support.checkout import PLUGIN
from tests.support.plugins import WITNESS
from tests.support.waiting import played, result_of


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host"))) as host:
        yield host


# --- many -------------------------------------------------------------------------------------------------


def test_fifty_at_once(host: Host) -> None:
    """No thread and no socket a payment; what is held delays nobody; each gets its own answer."""
    host.pay(host.invoice()).ok()
    threads = host.threads
    held = [host.invoice(amount_msat=(10 + n) * SAT, hold=True) for n in range(50)]
    pending = [host.pay_soon(made) for made in held]
    host.until(lambda: all(made.parts for made in held))
    assert host.threads == threads <= 5
    assert host.sockets == 1
    assert host.pay(host.invoice()).ok()["status"] == "complete"
    assert not any(call.answered for call in pending)
    for made in reversed(held):
        host.release(made)
    for made, call in zip(held, pending, strict=True):
        answer = call.answer().ok()
        assert answer["payment_hash"] == made.payment_hash.hex()
        assert answer["amount_msat"] == made.amount_msat == made.received_msat
    assert host.threads == threads
    assert host.sockets == 1


def test_slow_host(host: Host) -> None:
    """The host takes its time for every command: calls queue, nothing grows."""
    made = [host.invoice(amount_msat=(100 + n) * SAT) for n in range(30)]
    with host.faults(delay_s={"*": 0.2}):
        pending = [host.pay_soon(one) for one in made]
        host.until(lambda: len(host.sendpays()) > 0)
        assert host.threads <= 5
        assert host.sockets == 1
        assert all(call.answer().ok()["parts"] >= 1 for call in pending)


# --- what callers and others are told ----------------------------------------------------------------------


def test_progress_reaches_the_caller(host: Host) -> None:
    """Who enabled notifications reads what is going on; who did not reads the answer only."""
    made = host.invoice()
    far = host.box.world.nodes[host.id("far")]
    host.world(lambda _: setattr(far, "extra_height", 2))
    messages: list[dict[str, Any]] = []
    with host.option("pay-shadow", "off"):
        call = host.box.submit(host.node.call("pay", {"bolt11": made.bolt11}, messages.append))
        host.until(lambda: any("block" in m["params"].get("message", "") for m in messages))
        host.world(lambda _: setattr(far, "extra_height", 0))
        host.world(lambda world: world.mine(2))
        assert result_of(call)["status"] == "complete"
    assert all(m["method"] in ("message", "progress") for m in messages)


def told(host: Host, topic: str) -> list[dict[str, Any]]:
    """What the witness has read of a topic."""
    file = host.node.directory / "notifications.jsonl"
    messages = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [message["params"] for message in messages if message["method"] == topic]


@pytest.mark.parametrize("version", ["v25.05", "v26.06.6"])
def test_ends_are_announced(version: str, tmp_path: Path) -> None:
    """In the form of the host's own pay: as payload up to v25.05, under the topic's name since v25.09."""
    with hosting(tmp_path, plugin=[PLUGIN, WITNESS], version=version) as host:
        paid, refused = host.invoice(), host.invoice()
        host.pay(paid).ok()
        host.pay(paid).ok()
        host.cancel(refused)
        error = host.pay(refused).error
        host.until(lambda: told(host, "pay_failure"))
        inner = "payload" if version == "v25.05" else "pay_success"
        (success,) = told(host, "pay_success")
        assert success[inner] == {"payment_hash": paid.payment_hash.hex(), "bolt11": paid.bolt11}
        (failure,) = told(host, "pay_failure")
        fields = failure["payload" if version == "v25.05" else "pay_failure"]
        assert fields["payment_hash"] == refused.payment_hash.hex()
        assert fields["bolt11"] == refused.bolt11
        assert error is not None
        assert fields["error"]["message"] == error["message"]


def test_log_of_a_failed_payment(host: Host) -> None:
    """Info for start and end with the hash, debug for decisions, nothing that looks like a bug."""
    made = host.invoice()
    mark = host.log_mark()
    with host.misbehaving("hub", fail_code=TEMPORARY_CHANNEL_FAILURE), host.misbehaving("alt", offline=True):
        assert host.pay(made).code in (205, 210)
    lines = [line for line in list(host.node.lines)[mark:] if line.source == "plugin-plugin.py"]
    mine = [line for line in lines if made.payment_hash.hex() in line.text]
    info = [line.text.split()[0] for line in mine if line.level == "info"]
    assert info == ["payment_start", "payment_failed"]
    assert {line.level for line in lines} <= {"info", "debug"}


@pytest.mark.parametrize(("level", "kept"), [("info", {"info"}), ("debug", {"info", "debug"})])
def test_lines_below_the_hosts_level_are_not_made(tmp_path: Path, level: str, kept: set[str]) -> None:
    with hosting(tmp_path, options={"log-level": level}) as host:
        mark = host.log_mark()
        host.pay(host.invoice()).ok()
        lines = [line for line in list(host.node.lines)[mark:] if line.source == "plugin-plugin.py"]
        assert {line.level for line in lines} == kept
        assert {"payment_start", "payment_paid"} <= {line.text.split()[0] for line in lines}


# --- the start of the node --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["getinfo", "listsendpays", "listdatastore", "help", "listconfigs"])
def test_trouble_at_the_start(method: str, tmp_path: Path) -> None:
    """The host is not ready for a command when we start: a call waits for it, and none is forgotten."""

    def spoil(node: Any) -> None:
        node.faults.only_plugin = True
        node.faults.errors[method] = (-1, "not yet")

    # A host on which cln-xpay leaves `pay` alone, or it would take the call before we are there.
    with hosting(tmp_path, prepare=spoil, wait=False, version="v26.04") as host:
        made = host.invoice(hold=True)
        host.send_by_hand(made)
        pending = host.pay_soon(made)
        host.until(lambda: pending.answered or method in host.methods())
        host.node.faults.errors.clear()
        host.until(lambda: made.parts)
        host.release(made)
        assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()
        assert host.sendpays() == []


# --- the end of the node ----------------------------------------------------------------------------------


def test_node_is_killed(tmp_path: Path) -> None:
    """The plugin notices and ends by itself, with a payment under way; after the restart that is found paid."""
    with hosting(tmp_path) as host:
        made, other = host.invoice(hold=True), host.invoice()
        pending = host.pay_held(made)
        pid = host.pid
        assert host.box.kill() == []
        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises((ConnectionError, AssertionError)):
            pending.answer()
        host.release(made)
        mark = host.log_mark()
        host.box.restart()
        host.log("started version=", mark)
        answer = host.pay(made).ok()
        assert answer["amount_sent_msat"] == host.rows(made)[0]["amount_sent_msat"]
        assert host.pay(other).ok()
        assert len(host.rows(made)) == 1


def test_node_is_killed_and_the_htlc_is_out(tmp_path: Path) -> None:
    """After the restart a repeated call waits for the old part and sends none."""
    with hosting(tmp_path) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        host.box.kill()
        mark, calls = host.log_mark(), host.mark()
        host.box.restart()
        host.log("started version=", mark)
        pending = host.pay_soon(made)
        host.until(lambda: "decode" in host.methods(calls) and "listsendpays" in host.methods(calls))
        assert not pending.answered
        host.release(made)
        assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()
        assert len(host.rows(made)) == 1
        assert host.sendpays(calls) == []


def test_row_without_htlc(tmp_path: Path) -> None:
    """Killed between row and HTLC, the node keeps a row that never ends: that is said, not waited for."""
    with hosting(tmp_path) as host:
        made = host.invoice()
        with host.faults(no_commitment=True):
            host.pay_soon(made)
            host.log("AttemptAccepted")
            host.box.kill()
        (row,) = host.node_rows(made)
        # Rows are dated in whole seconds; the node comes back in a later one.
        host.until(lambda: time.time() > row.created_at + 1)
        mark = host.log_mark()
        host.box.restart()
        host.log("started version=", mark)
        calls = host.mark()
        answer = host.pay(made)
        assert answer.code == -1
        assert answer.error is not None
        assert "row is repaired" in answer.error["message"]
        assert host.sendpays(calls) == []
        assert host.pay(host.invoice()).ok()


def test_row_in_the_second_of_the_start() -> None:
    """Its HTLC may be yet to come: it is no orphan, whatever the channels show."""

    class Silent:
        async def patient(self, method: str, _params: dict[str, Any]) -> dict[str, Any]:
            return {"listpeerchannels": {"channels": []}}[method]

        async def rows(self, _payment_hash: bytes) -> list[SendpayRow]:
            return table

    def row(created_at: int) -> SendpayRow:
        return SendpayRow(1, created_at, SendpayStatus.PENDING, 1000, 1000, created_at, None, None)

    now = int(time.time())
    table = [row(now - 1), row(now), row(now + 1)]
    listed = [{"payment_hash": "", "groupid": 1, "partid": now + n} for n in (-1, 0, 1)]
    orphans = DeadRows(cast(calls.Host, Silent()), host_started_s=now + 0.9)
    # What was not there when we started is no orphan, whatever its date: clocks are set right after a boot.
    assert played(orphans.among(b"", table)) == frozenset()
    orphans.found_at_start(listed)
    assert played(orphans.among(b"", table)) == {now - 1}
    # A while later its HTLC is not to come any more.
    later = DeadRows(cast(calls.Host, Silent()), host_started_s=now + 0.9, doubt_s=-2.0)
    later.found_at_start(listed)
    assert played(later.among(b"", table)) == {now - 1, now}


def test_the_host_started_before_us() -> None:
    """Whatever the system says: of what it has since then nothing is an orphan."""
    began = host_started_s(latest_s=time.time())
    assert 0 < began <= time.time()
    assert host_started_s(latest_s=began - 100) == began - 100


def test_node_stops(tmp_path: Path) -> None:
    """Told of the shutdown, the plugin ends at once."""
    with hosting(tmp_path) as host:
        host.pay_held(host.invoice(hold=True))
        pid = host.pid
        host.box.stop()
        assert not Path(f"/proc/{pid}").exists()
        assert host.lines("Killing plugin: node stops") == []


def test_input_ends(tmp_path: Path) -> None:
    """Without a node on its pipes the process is gone, whatever its threads do."""
    with hosting(tmp_path) as host:
        pid = host.pid
        (process,) = host.node.plugins.all
        host.box.run(_close(process))
        host.until(lambda: not os.path.exists(f"/proc/{pid}"))


async def _close(process: Any) -> None:
    process._process.stdin.close()
