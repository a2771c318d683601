"""Clients that look again after the node was killed and started: what was out, paid or failed is still that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pay.sim.network.encoding.failures import FailCode
from tests.support.box.host import hosting
from tests.support.clients import LABEL, OPTIONS, Look, Moment, Says, look
from tests.support.readers import (
    TIME,
    attempt_end,
    boltz_watches,
    btcpay_after_hanging_up,
    lnbits_socket_listpays,
    spark_tracks,
)

READERS: list[Callable[[Look], Says]] = [
    boltz_watches,
    btcpay_after_hanging_up,
    lnbits_socket_listpays,
    spark_tracks,
]


Looks = dict[Moment, Look]


@pytest.fixture(scope="module", params=["v26.06.6", "v25.09"])
def looks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looks]:
    """One held in flight, one paid, one failed; then the kill. At last the held one is paid, to a joined call."""
    directory = Path(tmp_path_factory.mktemp("host"))
    with hosting(directory, version=request.param, **OPTIONS) as host:
        held, paid, failed = host.invoice(hold=True), host.invoice(), host.invoice()
        host.pay(paid, label=LABEL).ok()
        with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
            assert host.pay(failed, label=LABEL, retry_for=0).code == 210
        host.pay_held(held, label=LABEL)
        mark = host.log_mark()
        host.box.kill()
        host.box.restart()
        host.log("started version=", mark)
        found = {
            Moment.IN_FLIGHT: look(host, held),
            Moment.PAID: look(host, paid),
            Moment.REFUSED: look(host, failed),
        }
        joined = host.pay_soon(held)
        host.log("payment_attached", mark)
        host.release(held)
        assert joined.answer().ok()["payment_preimage"] == held.preimage.hex()
        everything = host.call("paystatus").ok()["pay"]
        assert [entry["payment_hash"] for entry in everything] == [
            made.payment_hash.hex() for made in (paid, failed, held)
        ]
        assert [entry["session_status"] for entry in everything] == ["Success", "Failed", "Success"]
        assert "route_unknown" in everything[0]["attempts"][0]
        yield found


MOMENTS = [Moment.IN_FLIGHT, Moment.PAID, Moment.REFUSED]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.value)
def test_looks_again(looks: Looks, moment: Moment, reader: Callable[[Look], Says]) -> None:
    assert reader(looks[moment]) is moment.truth


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.value)
def test_paystatus(looks: Looks, moment: Moment) -> None:
    """From the node's rows: no routes and no reasons any more, but the same shape."""
    seen = looks[moment]
    (entry,) = seen.paystatus["pay"]
    assert (entry["bolt11"], entry["label"], entry["payment_hash"]) == (seen.made.bolt11, LABEL, seen.payment_hash)
    assert entry["amount_msat"] == seen.made.amount_msat and len(entry["destination"]) == 66
    words = {Moment.IN_FLIGHT: "Inflight", Moment.PAID: "Success", Moment.REFUSED: "Failed"}
    assert entry["session_status"] == words[moment]
    (attempt,) = entry["attempts"]
    assert attempt["strategy"] == "Initial attempt" and attempt["route_unknown"] is True
    assert TIME.fullmatch(attempt["start_time"]) and type(attempt["age_in_seconds"]) is int
    ends = {Moment.IN_FLIGHT: "pending", Moment.PAID: "success", Moment.REFUSED: "failure"}
    assert attempt_end(attempt) == ends[moment]
    assert attempt["state"] == ("pending" if moment is Moment.IN_FLIGHT else "completed")
    assert ("end_time" in attempt) == (moment is not Moment.IN_FLIGHT)
