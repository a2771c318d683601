"""What another plugin of the node tells of its parts: the next payment knows it. The world is box/learning's.

us ── hub ── far      hub has nothing left to forward to far, and gossip does not say so
 └─── alt ───┘
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.box.host import Host, hosting
from tests.support.box.learning import AMOUNT_MSAT, OPTIONS, drain, liquidity, of, tries
from tests.support.checkout import PLUGIN
from tests.support.plugins import ECHO

NAME = {"payment_hash": "4e" * 32, "groupid": 8454830020255695634, "partid": 1}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    topics = [{"method": "pay_part_start"}, {"method": "pay_part_end"}]
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"notifications": topics}))
    with hosting(tmp_path, plugin=[PLUGIN, ECHO], **OPTIONS) as host:
        drain(host, "hub")
        yield host


def tell(host: Host, topic: str, fields: dict[str, Any]) -> None:
    """By the other plugin."""
    host.call("echo-emit", {"topic": topic, "payload": {topic: {**NAME, **fields}}}).ok()


def started(host: Host, amount_msat: int = AMOUNT_MSAT) -> None:
    hops = [
        {"next_node": host.id(end).hex(), "short_channel_id": host.scid(start, end),
         "direction": int(host.id(start) > host.id(end)), "channel_in_msat": amount_msat,
         "channel_out_msat": amount_msat}
        for start, end in (("us", "hub"), ("hub", "far"))
    ]  # fmt: skip
    tell(host, "pay_part_start", {"total_payment_msat": amount_msat, "attempt_msat": amount_msat, "hops": hops})


def refused(host: Host) -> None:
    """By hub, which has not enough."""
    failure = {
        "status": "failure", "duration": 0.2, "failed_node_id": host.id("hub").hex(), "error_code": 0x1007,
        "failed_short_channel_id": host.scid("hub", "far"), "error_message": "temporary_channel_failure",
        "failed_direction": int(host.id("hub") > host.id("far")),
    }  # fmt: skip
    tell(host, "pay_part_end", failure)


def test_what_another_plugin_met_is_avoided(host: Host) -> None:
    """Without it the first try would be hub's, see test_liquidity.py."""
    started(host)
    refused(host)
    host.log("others_part_ended")
    assert tries(host) == ["alt"]
    assert of(host, "hub")["high_msat"] < AMOUNT_MSAT * 101 // 100


def test_what_it_moved_is_known(host: Host) -> None:
    """Half of the channel is on the other side now."""
    moved_msat = 50 * AMOUNT_MSAT
    started(host, moved_msat)
    tell(host, "pay_part_end", {"status": "success", "duration": 0.3})
    host.log("others_part_ended")
    shown = of(host, "hub")
    assert shown["capacity_msat"] == 2 * moved_msat and shown["high_msat"] < moved_msat * 105 // 100


def test_a_start_alone_and_an_end_alone_teach_nothing(host: Host) -> None:
    started(host)
    tell(host, "pay_part_end", {"status": "success", "duration": 0.3, "partid": 2})
    tell(host, "pay_part_end", {"status": "success", "duration": 0.3, "groupid": NAME["groupid"] + 1})
    tell(host, "pay_part_start", {"hops": "nonsense", "partid": 3})
    host.log("others_part_unreadable")
    assert liquidity(host)["channels"] == []
    assert tries(host) == ["hub", "alt"]


def test_our_own_come_back_and_are_known_already(host: Host) -> None:
    """The box tells them to who subscribed, as lightningd does: us too."""
    tries(host)
    tell(host, "pay_part_start", {"hops": "nonsense", "partid": 3})
    host.log("others_part_unreadable")
    assert host.lines("others_part_ended") == [] and len(host.lines("others_part_unreadable")) == 1
