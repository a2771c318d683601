"""A node that is behind the chain, as after a start: what it says, and what the network says to its HTLCs.

us ── hub ── far        us: 100 blocks short of what everybody else has seen
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.encoding.failures import FailCode
from tests.support.box.worlds import invoice_of_far, line_box, part, topics
from tests.support.plugins import ECHO
from tests.support.waiting import result_of

BEHIND = 100


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with line_box(tmp_path) as box:
        box.on_world(lambda world: setattr(world.nodes[box.node.us], "extra_height", -BEHIND))
        yield box


def sent(box: Box, blocks: int) -> list[str]:
    """A part of 100,000 msat with so many blocks more than it needs; the arguments to wait for it."""
    invoice = invoice_of_far(box)
    params = part(box, invoice, 100_000)
    for hop in params["route"]:
        hop["delay"] += blocks
    box.call("sendpay", params)
    return [invoice.payment_hash.hex(), "10", "1"]


def blame(box: Box, blocks: int) -> dict[str, Any]:
    """What becomes of such a part."""
    with pytest.raises(RpcError) as failed:
        box.call("waitsendpay", sent(box, blocks))
    assert failed.value.data is not None
    return failed.value.data


def test_what_it_has_seen_and_what_bitcoind_has(box: Box) -> None:
    top = box.world.height
    assert box.call("getinfo")["blockheight"] == top - BEHIND
    synced = {"chain": "regtest", "headercount": top, "blockcount": top, "ibd": False}
    assert box.call("getchaininfo", {"last_height": 0}) == synced
    assert box.call("getchaininfo") == synced


@pytest.mark.parametrize(("ahead", "blocks", "ibd"), [(40, 40, False), (100, 100, False), (200, 100, False)])
def test_bitcoind_has_headers_without_blocks(box: Box, ahead: int, blocks: int, ibd: bool) -> None:
    """lightningd never has seen more than bitcoind has."""
    top = box.world.height
    box.node.faults.headers_ahead = ahead
    assert box.call("getchaininfo") == {
        "chain": "regtest", "headercount": top, "blockcount": top - blocks, "ibd": ibd,
    }  # fmt: skip


def test_bitcoind_in_its_initial_download(box: Box) -> None:
    box.on_world(lambda world: setattr(world.nodes[box.node.us], "extra_height", -500))
    box.node.faults.headers_ahead = 400
    assert box.call("getchaininfo")["ibd"] is True


def test_a_forwarder_refuses_what_is_due_by_its_own_height(box: Box) -> None:
    """Counted from our height the last HTLC ended 89 blocks ago; the hub is the first to see it."""
    said = blame(box, blocks=0)
    assert (said["erring_index"], said["failcode"]) == (1, FailCode.EXPIRY_TOO_SOON)


def test_a_recipient_refuses_what_leaves_it_too_little_and_says_its_height(box: Box) -> None:
    """98 blocks more pass the hub, and leave the recipient 9 of the 10 that it asks for."""
    said = blame(box, blocks=BEHIND - 2)
    assert (said["erring_index"], said["failcode"]) == (2, FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS)


def test_the_recipient_says_its_height_as_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notification has the message: the code, the amount, the height that the recipient has seen."""
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": ["sendpay_failure"]}))
    with line_box(tmp_path, plugin=ECHO) as box:
        box.on_world(lambda world: setattr(world.nodes[box.node.us], "extra_height", -BEHIND))
        sent(box, blocks=BEHIND - 2)
        told_so = box.until(lambda _: topics(box, "sendpay_failure"))[0]["params"]["sendpay_failure"]
        assert told_so["data"]["raw_message"] == f"400f{100_000:016x}{box.world.height:08x}"


def test_the_missing_blocks_added_to_every_hop_pay(box: Box) -> None:
    assert box.call("waitsendpay", sent(box, blocks=BEHIND - 1))["status"] == "complete"


def test_it_catches_up_block_by_block(box: Box) -> None:
    top = box.world.height
    waiting = box.call_soon("waitblockheight", {"blockheight": top - 1})
    box.until(lambda node: any(entry.method == "waitblockheight" for entry in node.recorded))
    box.on_world(lambda _: box.node.heights.catch_up(BEHIND - 2))
    assert not waiting.done()
    box.on_world(lambda _: box.node.heights.catch_up(1))
    assert result_of(waiting) == {"blockheight": top - 1}
    box.on_world(lambda world: world.mine())
    assert box.call("getinfo")["blockheight"] == top
