"""`pay` by the plugin on a real lightningd: several channels between the same two nodes.

    twin ══ mid ══ end      two channels of a million sat each between neighbours; one of mid's is nearly empty

Gossip shows both channels of mid alike, and a node may forward over either: what passes is found out by trying.
"""

from __future__ import annotations

from tests.real.support.network import Node
from tests.real.support.paying import invoice, pay, received, rows, wait_until
from tests.real.support.shop import WITH_PLUGIN, Shop

LEFT_MSAT = 150_000_000
AMOUNT_MSAT = 1_050_000_000


def spendable(source: Node, target: Node) -> list[int]:
    """Of each channel between them, the fullest first."""
    channels = source.call("listpeerchannels", id=target.id)["channels"]
    return sorted((int(channel["spendable_msat"]) for channel in channels), reverse=True)


def test_parts_over_parallel_channels(shop: Shop) -> None:
    """1,050,000 sat need two channels at either step; one of mid's has only 150,000 left: split, and again."""
    regtest = shop.line.regtest
    twin, mid, end = regtest.start(WITH_PLUGIN, {}, {})
    regtest.open_channels((twin, mid), (mid, end))
    regtest.open_channels((twin, mid), (mid, end))
    regtest.wait_for_channels(twin, 4)
    surplus_msat = spendable(mid, end)[0] - LEFT_MSAT
    mid.call("xpay", invoice(end, surplus_msat)["bolt11"])
    wait_until(lambda: spendable(mid, end)[1] < LEFT_MSAT * 11 // 10)
    made = invoice(end, AMOUNT_MSAT)
    result = pay(twin, made["bolt11"]).ok()
    assert received(end, made) == result["amount_msat"] == AMOUNT_MSAT
    wait_until(lambda: all(row["status"] != "pending" for row in rows(twin, made)))
    sent = [row for row in rows(twin, made) if row["status"] == "complete"]
    assert len(sent) >= 2 and {row["groupid"] for row in sent} == {1}
    assert sum(row["amount_msat"] for row in sent) == AMOUNT_MSAT
    (shown,) = twin.call("paystatus", made["bolt11"])["pay"]
    settled = [attempt["route"] for attempt in shown["attempts"] if attempt["status"] == "Settled"]
    assert len({route[0]["channel"] for route in settled}) == 2
    assert all([hop["id"] for hop in route] == [mid.id, end.id] for route in settled)
