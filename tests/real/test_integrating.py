"""What docs/integrating.md says, on a real lightningd: the plugin in it, and the answers that are none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.support.bench import Line
from tests.real.support.paying import (
    UNKNOWN_DETAILS,
    begin,
    begin_other,
    held,
    invoice,
    pay,
    received,
    rows,
    wait_until,
)
from tests.real.support.road import OPTIONS, Road
from tests.support.box.worlds import executable
from tests.support.checkout import PLUGIN
from tests.support.documents import DOCS, code
from tests.support.rawrpc import RawRpc
from tests.support.waiting import result_of


@pytest.fixture(scope="module")
def road(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Road:
    """The plugin of the document runs on the payer, as it is written."""
    (text,) = code((DOCS / "integrating.md").read_text(encoding="utf-8"), "python")
    buyer = executable(Path(tmp_path_factory.mktemp("buyer")) / "buy.py", text.split("\n", 1)[1])
    (payer,) = line.regtest.start({**OPTIONS, "plugin": [str(PLUGIN), str(buyer)]})
    line.regtest.open_channels((payer, line.far), announce=False)
    scid = line.far.channel_to(line.end)["short_channel_id"]
    wait_until(lambda: len(payer.call("listchannels", short_channel_id=scid)["channels"]) == 2)
    return Road(payer, line.far, line.end)


def test_the_plugin_says_paid(road: Road) -> None:
    made = invoice(road.payee)
    answer = road.payer.call("buy", made["bolt11"])
    (paid,) = road.payee.call("listinvoices", payment_hash=made["payment_hash"])["invoices"]
    assert answer == {"state": "paid", "preimage": paid["payment_preimage"]}
    assert road.payer.call("buy", made["bolt11"]) == answer
    assert len(rows(road.payer, made)) == 1


def test_the_plugin_says_unpaid(road: Road) -> None:
    made = road.hold()
    answer = begin_other(road.payer, "buy", made["bolt11"])
    wait_until(lambda: held(road.payee, made) == 1)
    road.payee.call("release", made["payment_hash"], UNKNOWN_DETAILS)
    assert result_of(answer).ok()["state"] == "unpaid"
    assert [row["status"] for row in rows(road.payer, made)] == ["failed"]
    assert received(road.payee, made) is None


def test_the_plugin_waits_where_nobody_knows(road: Road) -> None:
    """Ours is killed with the part out, and started again."""
    made = road.hold()
    answer = begin_other(road.payer, "buy", made["bolt11"])
    wait_until(lambda: held(road.payee, made) == 1)
    road.kill_plugin(lambda: wait_until(lambda: pay(road.payer, made["bolt11"]).code == -32601))
    assert not answer.done()
    road.payee.call("release", made["payment_hash"])
    assert result_of(answer).ok()["state"] == "paid"
    assert received(road.payee, made) == 100_000


def test_a_call_that_our_end_ends(road: Road) -> None:
    """-4, and the part settles after it."""
    made = road.hold()
    answer = begin(road.payer, made["bolt11"])
    wait_until(lambda: held(road.payee, made) == 1)
    road.kill_plugin()
    assert result_of(answer).code == -4
    (listed,) = road.payer.call("listpays", payment_hash=made["payment_hash"])["pays"]
    assert listed["status"] == "pending"
    road.payee.call("release", made["payment_hash"])
    assert pay(road.payer, made["bolt11"]).ok()["status"] == "complete"
    assert received(road.payee, made) == 100_000 and len(rows(road.payer, made)) == 1


def test_a_caller_that_stops_waiting(road: Road) -> None:
    made = road.hold()
    with pytest.raises(TimeoutError):
        RawRpc(road.payer.raw.path, timeout_s=1.0).call("pay", [made["bolt11"]])
    wait_until(lambda: held(road.payee, made) == 1)
    road.payee.call("release", made["payment_hash"])
    assert pay(road.payer, made["bolt11"]).ok()["status"] == "complete"
    assert len(rows(road.payer, made)) == 1
