"""HTLC slots of our own channel: whose HTLCs lightningd counts before it says "Too many HTLCs".

host ══ hub     ten HTLCs at most each way, by the configuration of both
"""

from __future__ import annotations

from typing import Any

from tests.real.support.bench import Line, RealBench
from tests.support.lightningd.sendpay_table import Invoice, Payee, Send, take

SLOTS = 10
INCOMING = 5


def _from_hub(line: Line, bench: RealBench, invoice: Invoice, amount_msat: int) -> None:
    """`INCOMING` parts of a payment from hub to host, which host keeps back."""
    hop = {"id": bench.node_id(Payee.HOST), "channel": bench.scid(0), "amount_msat": amount_msat // INCOMING,
           "delay": 20}  # fmt: skip
    for part in range(1, INCOMING + 1):
        line.hub.call(
            "sendpay", route=[hop], payment_hash=invoice.payment_hash, partid=part, groupid=1,
            amount_msat=amount_msat, payment_secret=invoice.payment_secret,
        )  # fmt: skip


def _shown(line: Line) -> list[str]:
    htlcs: list[dict[str, Any]] = line.host.channel_to(line.hub)["htlcs"]
    return sorted(htlc["direction"] for htlc in htlcs)


def test_incoming_htlcs_take_no_slots_of_ours(line: Line, bench: RealBench) -> None:
    """Five are on their way to us: ten of ours still go out, the eleventh does not."""
    first = bench.invoice(Payee.NEAR, 50_000_000)
    take(Send(part=1, msat=50_000_000, total=50_000_000), bench, first)
    bench.wait_until(lambda: bench.received_msat(first) is not None)
    ours = bench.invoice(Payee.HOST, 5_000_000)
    theirs = bench.invoice(Payee.NEAR, 20_000_000)
    bench.hold(ours)
    bench.hold(theirs)
    try:
        _from_hub(line, bench, ours, 5_000_000)
        bench.wait_until(lambda: bench.held(ours) == INCOMING)
        for part in range(1, SLOTS + 1):
            take(Send(part=part, msat=1_000_000, total=20_000_000), bench, theirs)
        bench.wait_until(lambda: bench.held(theirs) == SLOTS)
        assert _shown(line) == ["in"] * INCOMING + ["out"] * SLOTS
        take(Send(part=SLOTS + 1, msat=1_000_000, total=20_000_000), bench, theirs)
        last = {"payment_hash": theirs.payment_hash, "partid": SLOTS + 1, "groupid": 1}
        failed = bench.call("waitsendpay", last)
        assert failed.error is not None and "Too many HTLCs" in failed.error["message"]
        assert bench.held(theirs) == SLOTS
    finally:
        bench.release(theirs, "2002")
        bench.release(ours, "2002")
        bench.wait_until(lambda: _shown(line) == [])
