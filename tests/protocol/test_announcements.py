"""News of parts at another plugin, and words at a waiting caller, of payments by the running plugin."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.rpc.jsonstream import RpcError
from tests.support.box.host import CAPACITY_MSAT, SAT, TEMPORARY_CHANNEL_FAILURE, Host, hosting
from tests.support.box.narrow import SPLIT_MSAT, narrow
from tests.support.box.restarts import journal
from tests.support.checkout import PLUGIN
from tests.support.plugins import ECHO
from tests.support.waiting import result_of, until

TOPICS = ("pay_part_start", "pay_part_end", "pay_success", "pay_failure")
HINT = "channel_hint_update"
AMOUNT_MSAT = 100_000 * SAT


@pytest.fixture(scope="module", params=["v26.06.6", "v25.05"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": [*TOPICS, HINT]}))
        directory = Path(tmp_path_factory.mktemp("host"))
        with hosting(directory, version=request.param, plugin=[PLUGIN, ECHO]) as host:
            yield host


def news(host: Host, payment_hash: bytes) -> list[tuple[str, dict[str, Any]]]:
    """(topic, fields) that the other plugin has got about one payment, in order."""
    messages = [json.loads(line) for line in (host.node.directory / "told").read_text().splitlines()]
    heard = [(m["method"], m["params"]) for m in messages if m["method"] in TOPICS]
    flat = [(topic, params.get(topic) or params["payload"]) for topic, params in heard]
    return [(topic, fields) for topic, fields in flat if fields["payment_hash"] == payment_hash.hex()]


def test_a_payment_with_a_failed_part(host: Host) -> None:
    """Every start has its end, once; the numbers are those of the node's rows."""
    made = host.invoice(hold=True)
    messages: list[dict[str, Any]] = []
    pending = host.box.submit(host.node.call("pay", {"bolt11": made.bolt11}, messages.append))
    host.until(lambda: made.parts)
    first = list(made.parts)
    host.give_back(made)
    host.until(lambda: made.parts and made.parts != first)
    host.release(made)
    answer = result_of(pending)
    told = host.until(lambda: len(found := news(host, made.payment_hash)) == 5 and found)
    assert [topic for topic, _ in told] == [
        "pay_part_start", "pay_part_end", "pay_part_start", "pay_part_end", "pay_success",
    ]  # fmt: skip
    parts = [fields for topic, fields in told if topic != "pay_success"]
    assert [(part["partid"], part.get("status")) for part in parts] == [
        (1, None), (1, "failure"), (2, None), (2, "success"),
    ]  # fmt: skip
    assert {part["groupid"] for part in parts} == {host.rows(made)[0]["groupid"]} == {1}
    assert parts[1]["failed_node_id"] == host.id("far").hex() and parts[1]["error_code"] == 0x2002
    assert parts[2]["hops"][0]["channel_in_msat"] == answer["amount_sent_msat"]
    assert parts[2]["hops"][0]["short_channel_id"] == host.scid("us", "alt")
    assert parts[2]["hops"][-1]["channel_out_msat"] == parts[2]["attempt_msat"] == AMOUNT_MSAT
    assert all(type(part["duration"]) is float and 0 <= part["duration"] < 30 for part in parts[1::2])
    # Beside it there is what is said after two seconds, where it takes so long.
    words = [message["params"]["message"] for message in messages]
    assert [word for word in words if not word.startswith("Waiting after")] == [
        "Part 1 (100,000 sat) failed: the node failed for now"
    ]


def test_a_refused_payment(host: Host) -> None:
    made = host.invoice()
    host.cancel(made)
    error = host.pay(made).error
    told = host.until(lambda: len(found := news(host, made.payment_hash)) == 3 and found)
    assert [topic for topic, _ in told] == ["pay_part_start", "pay_part_end", "pay_failure"]
    ended = told[1][1]
    assert (ended["failed_msg"], ended["error_code"]) == (error["data"]["raw_message"], error["failcode"])


def test_a_channel_refuses(host: Host) -> None:
    """The hub has nothing left towards far: that is told of its channel, in the form of the host's own `pay`."""
    channel, hub = host.channel("hub", "far"), host.id("hub")
    side = channel.side(hub)
    made = host.invoice()
    # What earlier payments have taught would choose the other way at once.
    host.call("payliquidity", ["reset"]).ok()
    with host.misbehaving("hub", fail_code=TEMPORARY_CHANNEL_FAILURE):
        host.pay(made).ok()
    lines = [json.loads(line) for line in (host.node.directory / "told").read_text().splitlines()]
    (params,) = (message["params"] for message in lines if message["method"] == HINT)
    fields = params[HINT] if HINT in params else params["payload"]["channel_hint"]
    assert (HINT in params) == (host.node.version == "v26.06.6")
    assert abs(time.time() - fields.pop("timestamp")) < 60
    assert fields == {
        "scid": f"{host.scid('hub', 'far')}/{side}", "estimated_capacity_msat": AMOUNT_MSAT - 1,
        "total_capacity_msat": CAPACITY_MSAT, "enabled": True,
    }  # fmt: skip


def test_nothing_was_sent(host: Host) -> None:
    """Without a part there is only the end of the payment; a call that is refused is no payment."""
    made = host.invoice("island")
    assert host.pay(made).code == 205
    told = host.until(lambda: news(host, made.payment_hash))
    assert [topic for topic, _ in told] == ["pay_failure"]
    expired = host.invoice()
    assert host.pay(expired, amount_msat=5).code == -32602
    host.pay(host.invoice()).ok()
    assert news(host, expired.payment_hash) == []


def test_waiting_after_the_time_is_up(host: Host) -> None:
    """Two parts, one fails after retry_for: the caller hears what is waited for, and is answered after that."""
    amount_msat = 15_000_000 * SAT
    made = host.invoice(amount_msat=amount_msat, hold=True)
    messages: list[dict[str, Any]] = []
    params = {"bolt11": made.bolt11, "retry_for": 0}
    pending = host.box.submit(host.node.call("pay", params, messages.append))
    host.until(lambda: sum(part.amount_msat for part in made.parts) == amount_msat)

    def one_fails(_: Any) -> None:
        made.parts.pop().fail(bytes.fromhex("2002"))

    host.world(one_fails)
    host.until(lambda: len(messages) == 2)
    told = [message["params"]["message"] for message in messages]
    assert told[0].startswith("Part ") and "still out" in told[1] and "error 210" in told[1]
    assert not pending.done()
    host.give_back(made)
    with pytest.raises(RpcError) as answer:
        result_of(pending)
    assert answer.value.code == 210
    assert len(messages) == 3


@pytest.mark.parametrize("end", ["pay_success", "pay_failure"])
def test_the_end_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """The payment is only watched, as the node runs on: its end is told all the same; that of others is theirs."""
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": TOPICS}))
    with hosting(tmp_path, plugin=[PLUGIN, ECHO]) as host:
        ours, foreign = host.invoice(hold=True), host.invoice(hold=True)
        host.pay_held(ours)
        host.send_by_hand(foreign)
        host.until(lambda: foreign.parts)
        mark = host.log_mark()
        host.call("plugin", {"subcommand": "stop", "plugin": str(PLUGIN)}).ok()
        host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
        host.log("started version=", mark)
        assert len(host.lines("watched=True", mark)) == 2
        for made in (foreign, ours):
            if end == "pay_success":
                host.release(made)
            else:
                host.cancel(made)
        told = host.until(lambda: len(found := news(host, ours.payment_hash)) == 3 and found)
        assert [topic for topic, _ in told] == ["pay_part_start", "pay_part_end", end]
        assert told[1][1]["partid"] == 1 and told[2][1]["bolt11"] == ours.bolt11
        assert news(host, foreign.payment_hash) == []


def test_paid_while_the_plugin_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told at the next start, once: its entry in the journal is gone after that."""
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": TOPICS}))
    with hosting(tmp_path, plugin=[PLUGIN, ECHO]) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        for _ in range(2):
            mark = host.log_mark()
            host.call("plugin", {"subcommand": "stop", "plugin": str(PLUGIN)}).ok()
            host.release(made)
            host.settled(made)
            host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
            host.log("started version=", mark)
        told = host.until(lambda: len(found := news(host, made.payment_hash)) == 2 and found)
        assert [topic for topic, _ in told] == ["pay_part_start", "pay_success"]
        assert host.pay(made).ok()["parts"] == 1
        assert len(news(host, made.payment_hash)) == 2


def test_paid_with_a_part_still_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin ends after the first preimage, with the other half out: its next start does not tell it again."""
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": TOPICS}))
    with hosting(tmp_path, plugin=[PLUGIN, ECHO], build=narrow) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT, hold=True)
        pending = host.pay_soon(made)
        host.until(lambda: sum(part.amount_msat for part in made.parts) == SPLIT_MSAT)
        first, rest = made.parts[0], made.parts[1:]

        def settle_one(_: Any) -> None:
            made.parts[:] = []
            first.settle(made.preimage)

        host.world(settle_one)
        answer = pending.answer().ok()
        until(lambda: not journal(host))
        mark = host.log_mark()
        host.call("plugin", {"subcommand": "stop", "plugin": str(PLUGIN)}).ok()
        host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
        host.log("started version=", mark)
        assert host.pay(made).ok() == answer
        host.world(lambda _: [part.settle(made.preimage) for part in rest])
        host.until(lambda: host.box.world.in_flight == 0)
        assert [topic for topic, _ in news(host, made.payment_hash)].count("pay_success") == 1
