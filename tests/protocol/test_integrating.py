"""docs/integrating.md, row by row: each answer is made to happen, and what is true of the money then is looked at.

paid               the recipient has the amount, and the preimage is the right one
surely unpaid      no row, no HTLC anywhere, no money of ours gone: nothing can settle
may still settle   both can happen: it is made to settle, and to fail
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import SAT, TEMPORARY_CHANNEL_FAILURE, Host, hosting
from tests.support.box.restarts import OPTIONS, kill_plugin, restart_node, start_plugin
from tests.support.box.worlds import executable
from tests.support.checkout import PLUGIN
from tests.support.documents import DOCS, code, section, table
from tests.support.plugins import ECHO
from tests.support.rawrpc import Answer, RawRpc

DOCUMENT = DOCS / "integrating.md"
ANSWERS = {row[0]: row[1] for row in table(section(DOCUMENT, "What an answer means"))}
AMOUNT_MSAT = 100_000 * SAT


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host")), **OPTIONS) as host:
        yield host


# --- what is true -----------------------------------------------------------------------------------------


def ours_msat(host: Host) -> int:
    """Our money, without what is on its way."""
    us = host.id("us")
    channels = host.box.world.channels.values()
    return host.world(lambda _: sum(c.balance_msat(us) for c in channels if us in {n.id for n in c.nodes}))


def out(host: Host, made: SimInvoice) -> int:
    """Its HTLCs in any channel of the network."""
    channels = host.box.world.channels.values()
    return host.world(
        lambda _: sum(htlc.payment_hash == made.payment_hash for c in channels for htlc in c.htlcs.values())
    )


def is_paid(host: Host, made: SimInvoice) -> None:
    (pays,) = [pay for pay in listed(host, made) if pay["status"] == "complete"]
    assert sha256(bytes.fromhex(pays["preimage"])).digest() == made.payment_hash
    assert made.received_msat == AMOUNT_MSAT


def is_unpaid(host: Host, made: SimInvoice, before_msat: int) -> None:
    """And stays so: there is nothing that could settle."""
    assert {row["status"] for row in host.rows(made)} <= {"failed"}
    assert out(host, made) == 0 and not made.parts and made.received_msat == 0
    assert ours_msat(host) == before_msat
    assert {pay["status"] for pay in listed(host, made)} <= {"failed"}


def listed(host: Host, made: SimInvoice) -> list[dict[str, str]]:
    return host.call("listpays", {"payment_hash": made.payment_hash.hex()}).ok()["pays"]


# --- surely unpaid ----------------------------------------------------------------------------------------


def bad_parameter(host: Host) -> tuple[SimInvoice, Answer]:
    made = host.invoice()
    return made, host.pay(made, amount_msat=5)


def refused_by_the_node(host: Host) -> tuple[SimInvoice, Answer]:
    made = host.invoice()
    with host.faults(errors={"sendpay": (-32602, "no such luck")}):
        return made, host.pay(made)


def refused_by_the_recipient(host: Host) -> tuple[SimInvoice, Answer]:
    made = host.invoice()
    host.cancel(made)
    return made, host.pay(made)


def no_route_left(host: Host) -> tuple[SimInvoice, Answer]:
    """After attempts, one of which was held for a while."""
    made = host.invoice()
    with (
        host.misbehaving("hub", fail_code=TEMPORARY_CHANNEL_FAILURE, delay_s=0.2),
        host.misbehaving("alt", fail_code=TEMPORARY_CHANNEL_FAILURE),
    ):
        return made, host.pay(made)


def too_expensive(host: Host) -> tuple[SimInvoice, Answer]:
    made = host.invoice()
    return made, host.pay(made, maxfee=0)


def expired(host: Host) -> tuple[SimInvoice, Answer]:
    made = host.invoice(created_at=int(time.time()) - 7200, expiry=60)
    return made, host.pay(made)


def out_of_time(host: Host) -> tuple[SimInvoice, Answer]:
    made = host.invoice()
    with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
        return made, host.pay(made, retry_for=0)


def declined(code: int) -> Callable[[Host], tuple[SimInvoice, Answer]]:
    def case(host: Host) -> tuple[SimInvoice, Answer]:
        made = host.invoice()
        with host.faults(errors={"preapproveinvoice": (code, "declined")}):
            return made, host.pay(made)

    return case


SURELY_UNPAID: dict[str, Callable[[Host], tuple[SimInvoice, Answer]]] = {
    "-32602": bad_parameter,
    "-1": refused_by_the_node,
    "203": refused_by_the_recipient,
    "205": no_route_left,
    "206": too_expensive,
    "207": expired,
    "210": out_of_time,
    "213": declined(213),
    "214": declined(214),
}


def test_every_row_is_tried_here() -> None:
    elsewhere = {"a result", "201", "-4", "-32601", "no answer", "any other code"}
    assert ANSWERS.keys() == SURELY_UNPAID.keys() | elsewhere
    sure = {code for code, means in ANSWERS.items() if means == "surely unpaid"}
    assert sure == SURELY_UNPAID.keys() - {"-32602"}


@pytest.mark.parametrize("code", SURELY_UNPAID)
def test_surely_unpaid(host: Host, code: str) -> None:
    host.call("payliquidity", ["reset"]).ok()
    before_msat = ours_msat(host)
    made, answer = SURELY_UNPAID[code](host)
    assert answer.code == int(code)
    is_unpaid(host, made, before_msat)


def test_a_bad_parameter_says_nothing_of_an_earlier_call(host: Host) -> None:
    """-32602 while the first call has its part out, which then settles."""
    assert ANSWERS["-32602"] == "not paid by this call"
    made = host.invoice(hold=True)
    pending = host.pay_held(made)
    assert host.pay(made, amount_msat=5).code == -32602
    host.release(made)
    assert pending.answer().ok()
    is_paid(host, made)


# --- paid -------------------------------------------------------------------------------------------------


def test_paid(host: Host) -> None:
    assert ANSWERS["a result"] == "paid"
    made = host.invoice()
    assert host.pay(made).ok()["status"] == "complete"
    is_paid(host, made)


@pytest.mark.parametrize("settles", [True, False])
def test_paid_or_being_paid_with_another_amount(host: Host, settles: bool) -> None:
    assert ANSWERS["201"] == "paid, or may still settle"
    before_msat, made = ours_msat(host), host.invoice(amount_msat=None, hold=True)
    pending = host.pay_soon(made, amount_msat=AMOUNT_MSAT)
    host.until(lambda: made.parts)
    assert host.pay(made, amount_msat=AMOUNT_MSAT + 1).code == 201
    end(host, made, settles)
    assert (pending.answer().error is None) is settles
    if settles:
        is_paid(host, made)
        assert host.pay(made, amount_msat=AMOUNT_MSAT + 1).code == 201
    else:
        is_unpaid(host, made, before_msat)


# --- may still settle -------------------------------------------------------------------------------------


def end(host: Host, made: SimInvoice, settles: bool) -> None:
    """The recipient takes what it holds, or gives it back for good."""
    (host.release if settles else host.cancel)(made)


def ends(host: Host, made: SimInvoice, settles: bool, before_msat: int) -> None:
    """The outcome comes after the answer, and the same call tells which it is."""
    assert out(host, made) == 2
    again = host.pay_soon(made)
    end(host, made, settles)
    answer = again.answer()
    if settles:
        assert answer.ok()["status"] == "complete"
        is_paid(host, made)
    else:
        # What was out has failed; then it is paid as the call asks, and that is refused.
        assert answer.code == 203
        is_unpaid(host, made, before_msat)


@pytest.mark.parametrize("settles", [True, False])
def test_the_plugin_ends(host: Host, settles: bool) -> None:
    """-4; without the plugin -32601, and the HTLC is out all the while."""
    assert (ANSWERS["-4"], ANSWERS["-32601"]) == ("may still settle", "as before")
    before_msat, made = ours_msat(host), host.invoice(hold=True)
    pending = host.pay_held(made)
    kill_plugin(host)
    assert pending.answer().code == -4
    assert host.pay(made).code == -32601
    start_plugin(host)
    ends(host, made, settles, before_msat)


@pytest.mark.parametrize("settles", [True, False])
def test_the_caller_stops_waiting(host: Host, settles: bool) -> None:
    assert ANSWERS["no answer"] == "may still settle"
    before_msat, made = ours_msat(host), host.invoice(hold=True)
    impatient = RawRpc(host.node.rpc_path, timeout_s=0.5)
    with pytest.raises(TimeoutError):
        impatient.call("pay", [made.bolt11])
    host.until(lambda: made.parts)
    ends(host, made, settles, before_msat)


@pytest.mark.parametrize("settles", [True, False])
def test_the_node_ends(host: Host, settles: bool) -> None:
    """The socket closes; after the start the same call waits for what is out."""
    before_msat, made = ours_msat(host), host.invoice(hold=True)
    pending = host.pay_held(made)
    restart_node(host)
    with pytest.raises(OSError, match=r"closed|reset"):
        pending.answer()
    ends(host, made, settles, before_msat)


@pytest.mark.parametrize("settles", [True, False])
def test_another_code(host: Host, settles: bool) -> None:
    """Somebody between us and the caller refuses a repeated call: that is no word about the first."""
    assert ANSWERS["any other code"] == "may still settle"
    before_msat, made = ours_msat(host), host.invoice(hold=True)
    pending = host.pay_held(made)
    with host.faults(errors={"pay": (1501, "Not authorized")}, only_plugin=False):
        assert host.rpc.call("pay", [made.bolt11]).code == 1501
    ends(host, made, settles, before_msat)
    assert (pending.answer().error is None) is settles


# --- asking again, and lists ------------------------------------------------------------------------------


def test_asking_again_pays_once(host: Host) -> None:
    """In work, paid, failed: one payment each time, and the first answer again."""
    made = host.invoice(hold=True)
    calls = [host.pay_held(made), host.pay_soon(made), host.pay_soon(made)]
    host.release(made)
    answers = [call.answer().ok() for call in calls]
    answers.append(host.pay(made).ok())
    assert all(answer == answers[0] for answer in answers)
    is_paid(host, made)
    failed = host.invoice()
    with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
        assert host.pay(failed, retry_for=0).code == 210
    assert host.pay(failed).ok()
    assert [pay["status"] for pay in listed(host, failed)] == ["failed", "complete"]
    is_paid(host, failed)


# --- notifications, and the plugin in the document ---------------------------------------------------------

TOPICS = table(section(DOCUMENT, "Notifications"))
FIELDS = {topic.strip("`"): {name.strip("`") for name in names.split(", ")} for topic, _, names in TOPICS}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A node on which the plugin runs as it is written, and one that hears what is announced."""
    (text,) = code(DOCUMENT.read_text(encoding="utf-8"), "python")
    buyer = executable(Path(tmp_path_factory.mktemp("buyer")) / "buy.py", text.split("\n", 1)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": list(FIELDS)}))
        with hosting(Path(tmp_path_factory.mktemp("shop")), plugin=[PLUGIN, buyer, ECHO], **OPTIONS) as host:
            yield host


def test_notifications_have_the_fields_of_the_table(shop: Host) -> None:
    """Each topic, and each field of it."""
    with shop.misbehaving("hub", fail_code=TEMPORARY_CHANNEL_FAILURE):
        assert shop.pay(shop.invoice()).ok()
    refused = shop.invoice()
    shop.cancel(refused)
    assert shop.pay(refused).code == 203
    told = shop.node.directory / "told"

    def heard() -> dict[str, set[str]]:
        fields: dict[str, set[str]] = {}
        for message in map(json.loads, told.read_text().splitlines()):
            if message["method"] in FIELDS:
                fields.setdefault(message["method"], set()).update(message["params"][message["method"]])
        return fields

    shop.until(lambda: "pay_failure" in heard())
    assert heard() == FIELDS


def test_it_pays(shop: Host) -> None:
    made = shop.invoice()
    assert shop.call("buy", [made.bolt11]).ok() == {"state": "paid", "preimage": made.preimage.hex()}
    is_paid(shop, made)


def test_it_says_unpaid(shop: Host) -> None:
    before_msat, made = ours_msat(shop), shop.invoice()
    shop.cancel(made)
    answer = shop.call("buy", [made.bolt11]).ok()
    assert answer["state"] == "unpaid" and "refuses" in answer["why"]
    is_unpaid(shop, made, before_msat)


def test_it_says_neither_of_another_amount(shop: Host) -> None:
    """Paid to another node under the same hash: this invoice is not what was paid."""
    first = shop.invoice("far", preimage=bytes(32))
    assert shop.pay(first).ok()
    shop.world(lambda world: world.invoices.pop(first.payment_hash))
    second = shop.invoice("hub", preimage=bytes(32))
    assert shop.call("buy", [second.bolt11]).ok()["state"] == "otherwise"


@pytest.mark.parametrize("settles", [True, False])
def test_it_waits_where_nobody_knows(shop: Host, settles: bool) -> None:
    """Our plugin dies with the part out and comes back later: no answer before there is one that holds."""
    before_msat, made = ours_msat(shop), shop.invoice(hold=True)
    pending = shop.soon("buy", [made.bolt11])
    shop.until(lambda: made.parts)
    ours = [plugin for plugin in shop.node.plugins.all if plugin.path == PLUGIN]
    shop.call("plugin", {"subcommand": "stop", "plugin": str(ours[0].path)}).ok()
    mark = shop.mark()
    shop.until(lambda: shop.methods(mark).count("pay") >= 2)
    assert not pending.answered
    start_plugin(shop)
    end(shop, made, settles)
    answer = pending.answer().ok()
    if settles:
        assert answer["state"] == "paid"
        is_paid(shop, made)
    else:
        assert answer["state"] == "unpaid"
        is_unpaid(shop, made, before_msat)


def test_it_waits_where_the_socket_breaks(shop: Host) -> None:
    made, mark = shop.invoice(hold=True), shop.mark()
    with shop.faults(hang_up={"pay"}):
        pending = shop.soon("buy", [made.bolt11])
        shop.until(lambda: made.parts)
        shop.release(made)
        shop.until(lambda: shop.methods(mark).count("pay") >= 2)
        assert not pending.answered
    assert pending.answer().ok()["state"] == "paid"
    is_paid(shop, made)
