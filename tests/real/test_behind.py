"""A node that has not processed all that bitcoind has, on nodes of its own: payer ── middle ── payee.

From what its `sendpay` counts expiries, and what follows for a payment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pay.host.chain import FRESH_S
from tests.real.support.network import Node, Regtest
from tests.real.support.paying import begin, held, invoice, wait_until
from tests.real.support.shop import WITH_PLUGIN
from tests.support.waiting import result_of

BEHIND = 100


@dataclass(frozen=True, slots=True)
class Road:
    regtest: Regtest
    payer: Node
    middle: Node
    payee: Node


@pytest.fixture(scope="module")
def road(regtest: Regtest) -> Road:
    payer, middle, payee = regtest.start({**WITH_PLUGIN, "xpay-handle-pay": "false"}, {}, {})
    regtest.open_channels((payer, middle), (middle, payee))
    for node in (payer, payee):
        regtest.wait_for_channels(node, 2)
    return Road(regtest, payer, middle, payee)


@contextmanager
def left_behind(road: Road) -> Iterator[int]:
    """The payer is given no block more, and there are `BEHIND` of them; its height."""
    height = road.payer.call("getinfo")["blockheight"]

    def out_of_range(request: dict[str, Any]) -> dict[str, Any] | None:
        if int(request["params"][0]) <= height:
            return None
        return {"id": request["id"], "error": {"code": -8, "message": "Block height out of range"}}

    proxy = road.payer.peer.daemon.rpcproxy
    proxy.mock_rpc("getblockhash", out_of_range)
    try:
        road.regtest.mine(BEHIND, road.middle, road.payee)
        yield height
    finally:
        proxy.mock_rpc("getblockhash", None)
        road.regtest.mine(1, road.payer, road.middle, road.payee)


@pytest.mark.parametrize("restarted", [True, False])
def test_paid_all_the_same(road: Road, restarted: bool) -> None:
    """Started behind, lightningd counts from bitcoind's headers itself, and nothing is added; left behind later,
    it counts from its own height, and what is missing is added. So both HTLCs have one and the same expiry, and
    pass a forwarder and a recipient that are 100 blocks ahead."""
    with left_behind(road) as height:
        if restarted:
            road.payer.peer.restart()
            road.payer.peer.connect(road.middle.peer)
            wait_until(lambda: road.payer.channel_to(road.middle).get("reestablished") is True)
        else:
            # An answer about the chain is good for some seconds; the last can have been given just now.
            stale_s = time.monotonic() + FRESH_S
            wait_until(lambda: time.monotonic() > stale_s, "what was said of the chain is stale")
        assert road.payer.call("getinfo")["blockheight"] == height
        assert road.payer.call("getchaininfo", last_height=0)["headercount"] == height + BEHIND
        made = invoice(road.payee)
        road.payee.call("hold", made["payment_hash"])
        answer = begin(road.payer, bolt11=made["bolt11"], dev_use_shadow=False)
        wait_until(lambda: held(road.payee, made) == 1 or answer.done())
        (htlc,) = road.payer.channel_to(road.middle)["htlcs"]
        assert htlc["payment_hash"] == made["payment_hash"]
        # The host counts from the next block; the recipient asks for five and the forwarder for six.
        assert htlc["expiry"] == height + BEHIND + 1 + 5 + 6
        road.payee.call("release", made["payment_hash"])
        assert result_of(answer).ok()["parts"] == 1
