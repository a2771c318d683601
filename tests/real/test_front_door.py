"""The hook on a real node: `pay` reaches us beside the builtin, and nothing that happens to us costs the node.

payer ── payee; the builtin `pay` and cln-xpay run on both.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pay.host.pulse import FRESH_S
from pay.host.version import HOOK_FILTERS_SINCE, PAY_DEPRECATED_SINCE
from tests.real.support.network import Node, Regtest
from tests.real.support.paying import begin_other, held, invoice, rows, wait_until
from tests.real.support.release import host, since
from tests.support.checkout import PLUGIN
from tests.support.plugins import MEDDLER
from tests.support.rawrpc import Answer, RawRpc
from tests.support.schemas import answer_schema, problems
from tests.support.waiting import PATIENCE_S, result_of, stays

pytestmark = since(HOOK_FILTERS_SINCE, "hook that is asked of some commands alone")

OPTIONS = {"plugin": [str(PLUGIN), str(MEDDLER)], "allow-deprecated-apis": True}
"""Else a host refuses `paystatus` before any hook is asked, and so does its builtin `pay` itself."""

STALL_S = 15.0


@dataclass(frozen=True, slots=True)
class Front:
    """The payer, whose plugin can be hurt, and whom it pays."""

    payer: Node
    payee: Node

    def call(self, method: str, params: Any) -> Answer:
        return self.payer.raw.call(method, params)

    def lines(self, text: str, mark: int = 0) -> list[str]:
        self.payer.peer.daemon.logs_catchup()
        return [line for line in self.payer.peer.daemon.logs[mark:] if text in line]

    @property
    def mark(self) -> int:
        self.payer.peer.daemon.logs_catchup()
        return len(self.payer.peer.daemon.logs)

    @property
    def pid(self) -> int:
        """Of our process."""
        started = [line for line in self.lines("plugin-manager: started(") if line.endswith(PLUGIN.name)]
        return int(started[-1].split("started(")[1].split(")")[0])

    def ours(self, made: dict[str, Any]) -> bool:
        """Whether our engine has begun the payment."""
        return bool(self.lines(f"payment_start payment_hash={made['payment_hash']}"))

    def held_invoice(self) -> dict[str, Any]:
        made = invoice(self.payee)
        self.payee.call("hold", made["payment_hash"])
        return made

    def stop(self) -> None:
        self.payer.raw.call("plugin", {"subcommand": "stop", "plugin": str(PLUGIN)})
        wait_until(lambda: not self.running)

    def start(self) -> None:
        """Start it unless it runs, and wait until it serves."""
        if not self.running:
            mark = self.mark
            self.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
            wait_until(lambda: bool(self.lines("started version=", mark)))

    @property
    def running(self) -> bool:
        return any(each["name"] == str(PLUGIN) for each in self.payer.call("plugin", "list")["plugins"])

    def alive(self) -> None:
        """The node is."""
        assert self.payer.call("getinfo")["id"] == self.payer.id


@pytest.fixture(scope="module")
def front(regtest: Regtest) -> Front:
    payer, payee = regtest.start(OPTIONS, {})
    regtest.open_channels((payer, payee))
    front = Front(payer, payee)
    wait_until(lambda: bool(front.lines("started version=")))
    return front


@pytest.fixture
def door(front: Front) -> Iterator[Front]:
    """It serves, and does so again afterwards."""
    front.start()
    yield front
    for method in ("pay", "xpay", "paystatus", "listpays"):
        front.call("meddle", [method, "continue"])
    front.start()
    front.alive()


@pytest.fixture
def behind(door: Front) -> Front:
    """The other plugin that changes calls is behind us: it has been started later."""
    for subcommand in ("stop", "start"):
        door.call("plugin", {"subcommand": subcommand, "plugin": str(MEDDLER)}).ok()
    return door


def forms(bolt11: str) -> list[Any]:
    return [
        [bolt11], {"bolt11": bolt11}, {"invstring": f"lightning:{bolt11.upper()}", "label": None},
        [bolt11, None, "a label", None, None, 30],
    ]  # fmt: skip


@pytest.mark.parametrize("form", range(4))
def test_pay_is_ours_beside_the_builtin(form: int, door: Front) -> None:
    made = invoice(door.payee)
    paid = door.call("pay", forms(made["bolt11"])[form]).ok()
    assert problems(answer_schema("pay"), paid) == []
    assert door.ours(made)
    (shown,) = door.call("paystatus", [made["bolt11"]]).ok()["pay"]
    assert shown["session_status"] == "Success"


def test_what_we_cannot_pay_is_paid_by_the_host(door: Front) -> None:
    """A BOLT 12 invoice, by the builtin: its answer, and not a word of ours."""
    offer = door.payee.call("offer", amount="7000msat", description="tea")["bolt12"]
    fetched = door.payer.call("fetchinvoice", offer=offer)["invoice"]
    mark = door.mark
    paid = door.call("pay", [fetched]).ok()
    assert paid["status"] == "complete"
    assert not door.lines("pay_refused", mark) and not door.lines("payment_start ", mark)
    (shown,) = door.call("paystatus", [fetched]).ok()["pay"]
    assert "session_status" not in shown


BAD: list[tuple[str, Any]] = [
    ("pay", []), ("pay", [None]), ("pay", [7]), ("pay", [[1]]), ("pay", {"bolt11": {}}), ("pay", {"nonsense": 1}),
    ("pay", ["lnbcrt1nonsense"]), ("paystatus", [7]), ("paystatus", [[None]]), ("paystatus", [1, 2, 3]),
    ("listpays", {"status": "nonsense"}), ("listpays", [1, 2, 3, 4, 5, 6, 7, 8]), ("check", ["pay"]),
    ("check", ["pay", "lnbcrt1nonsense"]), ("check", {"command_to_check": "pay"}), ("check", []),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(BAD)), ids=lambda index: json.dumps(BAD[index]))
def test_bad_parameters_are_an_error_of_the_command(index: int, door: Front) -> None:
    """Of the host's or of ours; never of a method that the caller does not know, and never the end of anything."""
    method, params = BAD[index]
    error = door.call(method, params).error
    assert error is not None
    assert error["code"] in (-32602, -1), error
    assert "clnpay-" not in error["message"]


@pytest.mark.parametrize("params", ['"text"', "7", "null", '{"a":{"b":[[[[]]]]}}', "[" * 200 + "]" * 200])
def test_params_that_are_none(params: str, door: Front) -> None:
    for method in ("pay", "paystatus", "listpays", "check", "help", "xpay"):
        door.payer.raw.write(method, params)
    door.alive()


def test_check_and_help_tell_of_ours(door: Front) -> None:
    made = invoice(door.payee)
    assert door.call("check", ["clnpay-pay", made["bolt11"]]).ok() == {"command_to_check": "pay"}
    refused = door.call(
        "check", {"command_to_check": "clnpay-pay", "bolt11": made["bolt11"], "maxfee": "much"}
    ).error
    assert refused is not None and refused["message"].startswith("maxfee: ")
    assert door.call("check", ["pay", made["bolt11"]]).ok() == {"command_to_check": "pay"}
    (shown,) = door.call("help", ["pay"]).ok()["help"]
    assert "[partial_msat]" in shown["command"]
    assert len(door.call("help", {}).ok()["help"]) > 50
    assert rows(door.payer, made) == []


def test_others_go_on_while_we_are_stopped(door: Front) -> None:
    """SIGSTOP: what passes our filter waits, nothing else does; afterwards it is served."""
    made = invoice(door.payee)
    os.kill(door.pid, signal.SIGSTOP)
    try:
        paying = begin_other(door.payer, "pay", made["bolt11"])
        for method in ("getinfo", "listfunds", "listsendpays"):
            door.payer.call(method)
        # A node of v26.06.6 ends where its caller goes away while it is at anybody's hook.
        door.call("check", ["pay", made["bolt11"]]).ok()
        stays(lambda: not paying.done(), 0.3)
    finally:
        os.kill(door.pid, signal.SIGCONT)
    assert result_of(paying).ok()["status"] == "complete"
    assert door.ours(made)


def test_callers_that_go_away_meanwhile(door: Front) -> None:
    """Their payments are made all the same, as those of any caller, and the node lives."""
    kept, lost = invoice(door.payee), invoice(door.payee)
    os.kill(door.pid, signal.SIGSTOP)
    impatient = RawRpc(door.payer.raw.path, timeout_s=0.3)
    for method, params in [("pay", [lost["bolt11"]]), ("paystatus", []), ("listpays", []), ("help", ["pay"])]:
        with pytest.raises(OSError):
            impatient.call(method, params)
    paying = begin_other(door.payer, "pay", kept["bolt11"])
    os.kill(door.pid, signal.SIGCONT)
    assert result_of(paying).ok()["status"] == "complete"
    assert door.call("pay", [lost["bolt11"]]).ok()["status"] == "complete"
    assert [row["status"] for row in rows(door.payer, lost)] == ["complete"]


def test_killed_with_calls_at_the_hook(door: Front) -> None:
    """They go on to the host's own commands at once, and the node lives."""
    made = invoice(door.payee)
    os.kill(door.pid, signal.SIGSTOP)
    calls = [begin_other(door.payer, method, *params) for method, params in [
        ("pay", [made["bolt11"]]), ("paystatus", []), ("listpays", []), ("help", ["pay"]),
    ]]  # fmt: skip
    stays(lambda: not any(call.done() for call in calls), 0.3)
    os.kill(door.pid, signal.SIGKILL)
    paid, *_ = [result_of(call).ok() for call in calls]
    assert paid["status"] == "complete"
    assert not door.ours(made)


def test_killed_with_a_payment_out(door: Front) -> None:
    """The caller reads the host's -4, which is no verdict on the money; started again, `pay` is right about it."""
    made = door.held_invoice()
    paying = begin_other(door.payer, "pay", made["bolt11"])
    wait_until(lambda: held(door.payee, made) == 1)
    os.kill(door.pid, signal.SIGKILL)
    error = result_of(paying).error
    assert error is not None and error["code"] == -4
    door.start()
    again = begin_other(door.payer, "pay", made["bolt11"])
    door.payee.call("release", made["payment_hash"])
    assert result_of(again).ok()["status"] == "complete"
    assert len([row for row in rows(door.payer, made) if row["status"] == "complete"]) == 1


def test_killed_between_the_answer_of_the_hook_and_the_call(behind: Front) -> None:
    """The host has nobody to call: an error of its own, -32600, and nothing was sent."""
    made = invoice(behind.payee)
    behind.call("meddle", ["pay", "hold"]).ok()
    paying = begin_other(behind.payer, "pay", made["bolt11"])
    stays(lambda: not paying.done(), 0.5)
    os.kill(behind.pid, signal.SIGKILL)
    wait_until(lambda: not behind.running)
    behind.call("meddle", ["pay", "continue"]).ok()
    error = result_of(paying).error
    assert error is not None and error["code"] == -32600
    assert "redirected to unknown method" in error["message"]
    assert rows(behind.payer, made) == []


def test_a_plugin_behind_us_that_changes_calls_too(behind: Front) -> None:
    """Ours is the first answer, and counts; lightningd ignores the other, and lives."""
    for method in ("pay", "listpays", "paystatus"):
        behind.call("meddle", [method, "replace"]).ok()
    made = behind.held_invoice()
    paying = begin_other(behind.payer, "pay", made["bolt11"])
    wait_until(lambda: held(behind.payee, made) == 1)
    (shown,) = behind.call("listpays", [made["bolt11"]]).ok()["pays"]
    assert shown["status"] == "pending"
    behind.payee.call("release", made["payment_hash"])
    assert result_of(paying).ok()["status"] == "complete"
    # Not about anything in work: the next one is asked, and has it.
    assert behind.call("listpays", [made["bolt11"]]).ok() == {"meddled": True}


def test_stopped_and_started(door: Front) -> None:
    """As often as anybody likes: the builtin serves in between, and calls are ours again."""
    for _ in range(3):
        door.stop()
        made = invoice(door.payee)
        assert door.call("pay", [made["bolt11"]]).ok()["status"] == "complete"
        assert not door.ours(made)
        door.start()
        made = invoice(door.payee)
        assert door.call("pay", [made["bolt11"]]).ok()["status"] == "complete"
        assert door.ours(made)


def test_called_while_we_start(door: Front) -> None:
    """One call after the other from before the start: each is answered, by the builtin first and then by us."""
    door.stop()
    starting = begin_other(door.payer, "plugin", "start", str(PLUGIN))
    began_s, seen = time.monotonic(), []
    while time.monotonic() - began_s < PATIENCE_S and sum(seen) < 3:
        made = invoice(door.payee)
        assert door.call("pay", [made["bolt11"]]).ok()["status"] == "complete"
        seen.append(door.ours(made))
    result_of(starting).ok()
    assert sum(seen) == 3 and sorted(seen) == seen


def test_own_pay_hands_on_what_it_cannot_pay(front: Front, regtest: Regtest) -> None:
    """A BOLT 12 invoice, where no builtin is: the node's `xpay` pays it, and `pay` answers in its own form."""
    (payer,) = regtest.start({**OPTIONS, "disable-plugin": "pay"})
    regtest.open_channels((payer, front.payee))
    alone = Front(payer, front.payee)
    wait_until(lambda: bool(alone.lines("started version=")))
    offer = alone.payee.call("offer", amount="7000msat", description="coffee")["bolt12"]
    fetched = alone.payer.call("fetchinvoice", offer=offer)["invoice"]
    paid = alone.call("pay", {"bolt11": fetched, "label": "mine"}).ok()
    assert problems(answer_schema("pay"), paid) == []
    assert (paid["amount_msat"], paid["status"], paid["parts"]) == (7000, "complete", 1)
    assert alone.call("pay", [fetched]).ok() == paid
    assert len(alone.lines("payment_handed_on")) == 1
    other = alone.payer.call("fetchinvoice", offer=offer)["invoice"]
    assert alone.call("pay", {"bolt11": other, "exclude": ["1x1x1"]}).code == -32602
    dear = alone.call("pay", {"bolt11": other, "retry_for": 1, "maxdelay": 1}).error
    assert dear is not None and dear["message"].startswith("xpay: "), dear
    assert alone.call("pay", [other]).ok()["status"] == "complete"


def test_deprecated_apis_are_off(front: Front, regtest: Regtest) -> None:
    """`pay` is ours; the builtin's `paystatus` is refused before any hook is asked, and ours has another name.

    Once we are stopped it is cln-xpay that serves `pay`, since it is given back what it had.
    """
    (payer,) = regtest.start({"plugin": str(PLUGIN)})
    regtest.open_channels((payer, front.payee))
    strict = Front(payer, front.payee)
    wait_until(lambda: bool(strict.lines("started version=")))
    made = invoice(strict.payee)
    assert strict.call("pay", [made["bolt11"]]).ok()["status"] == "complete"
    assert strict.ours(made)
    refused = host().since(PAY_DEPRECATED_SINCE)
    assert strict.call("paystatus", []).code == (-32601 if refused else None)
    (shown,) = strict.call("clnpay-paystatus", [made["bolt11"]]).ok()["pay"]
    assert shown["session_status"] == "Success"
    strict.stop()
    assert strict.call("pay", [invoice(strict.payee)["bolt11"]]).ok()["status"] == "complete"


@pytest.fixture(scope="module")
def stuck(front: Front, regtest: Regtest) -> Front:
    """A payer of its own, in developer mode: its plugin's loop can be made to stand still."""
    (payer,) = regtest.start(OPTIONS)
    regtest.open_channels((payer, front.payee))
    front = Front(payer, front.payee)
    wait_until(lambda: bool(front.lines("started version=")))
    return front


def test_a_loop_that_is_stuck(stuck: Front) -> None:
    """The host serves within a moment; what we are at waits for us."""
    made, free = stuck.held_invoice(), invoice(stuck.payee)
    paying = begin_other(stuck.payer, "pay", made["bolt11"])
    wait_until(lambda: held(stuck.payee, made) == 1)
    began_s = time.monotonic()
    stuck.call("clnpay-dev-stall", [STALL_S]).ok()
    # A moment ago it has done something: so it counts as one that gets on.
    stays(lambda: not paying.done(), 2 * FRESH_S)
    asked = []
    for _ in range(5):
        asked_s = time.monotonic()
        assert stuck.call("paystatus", ["00" * 32]).ok() == {"pay": []}
        asked.append(time.monotonic() - asked_s)
    assert min(asked) < 0.1 and max(asked) < STALL_S / 3, asked
    assert stuck.call("pay", [free["bolt11"]]).ok()["status"] == "complete"
    assert not stuck.ours(free)
    again = begin_other(stuck.payer, "pay", made["bolt11"])
    listed = begin_other(stuck.payer, "listpays", made["bolt11"])
    stays(lambda: not again.done() and not listed.done(), 0.3)
    assert time.monotonic() - began_s < STALL_S, "too slow a machine to tell"
    (shown,) = result_of(listed).ok()["pays"]
    assert shown["status"] == "pending"
    stuck.payee.call("release", made["payment_hash"])
    assert result_of(again).ok() == result_of(paying).ok()
