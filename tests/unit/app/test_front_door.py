"""Whose a call is: the table of decisions, in words of callers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pay.app.entry import Entry
from pay.app.front_door import Door, State, decide
from pay.app.reach import reach
from pay.commands.table import COMMANDS
from pay.engine.live.in_work import InWork
from pay.host.version import Version

INVOICE = "lnbcrt100n1pnew"
LIVE = "lnbcrt100n1plive"
LIVE_HASH = "ab" * 32
OTHER_HASH = "cd" * 32
OFFER, BOLT12 = "lno1qcp4256ypq", "lni1qqgds4gweqxey37"
VERSION = Version(26, 6)


def never() -> bool:
    raise AssertionError("the loop is not to be asked")


def door(names: InWork | None = None, beats: Callable[[], bool] = lambda: True, **more: Any) -> Door:
    """In front of a host whose builtin `pay` runs; ready unless something else is said."""
    hooked = reach(Entry.HOOK, VERSION, COMMANDS).hooked
    names = InWork() if names is None else names
    more = {"state": State.READY, **more}
    return Door(VERSION, False, hooked, names, beats, lambda ident: ident == "ours", **more)


def at_work() -> InWork:
    names = InWork()
    names.enter(LIVE, LIVE_HASH)
    return names


def call(method: str, params: Any, ident: Any = "cli:pay#1") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}


OURS: dict[str, tuple[str, Any]] = {
    "pay by position": ("pay", [INVOICE]),
    "pay by name": ("pay", {"bolt11": INVOICE}),
    "pay by its newer name": ("pay", {"invstring": INVOICE, "maxfee": None}),
    "pay of a link": ("pay", [f"LIGHTNING:{INVOICE.upper()}"]),
    "pay of an invoice for any amount": ("pay", ["lnbc1pany"]),
    "pay with what no command knows": ("pay", {"bolt11": INVOICE, "nonsense": 1}),
    "pay with too much": ("pay", [INVOICE, *range(30)]),
    "paystatus of all": ("paystatus", {}),
    "paystatus of a hash": ("paystatus", {"payment_hash": OTHER_HASH}),
    "paystatus of an invoice": ("paystatus", [INVOICE]),
}
HOSTS: dict[str, tuple[str, Any]] = {
    "pay of an offer": ("pay", [OFFER]),
    "pay of an offer by name": ("pay", {"bolt11": OFFER}),
    "pay of a BOLT 12 invoice": ("pay", {"invstring": BOLT12}),
    "pay of an address": ("pay", ["user@example.com"]),
    "pay of nothing": ("pay", []),
    "pay of null": ("pay", [None]),
    "pay of a list": ("pay", [[INVOICE]]),
    "pay of a number": ("pay", {"bolt11": 7}),
    "pay of an object": ("pay", {"bolt11": {"bolt11": INVOICE}}),
    "pay of a text": ("pay", INVOICE),
    "pay without params": ("pay", None),
    "pay of the empty text": ("pay", [""]),
    "pay of half an invoice": ("pay", ["ln"]),
    "paystatus of a BOLT 12 invoice": ("paystatus", [BOLT12]),
    "listpays with nothing in work": ("listpays", {}),
    "listpays that cannot be read": ("listpays", {"status": "nonsense"}),
    "check": ("check", ["pay", INVOICE]),
    "help for all": ("help", []),
    "help for null": ("help", {"command": None}),
    "help for another": ("help", ["getinfo"]),
    "help for a list": ("help", [["pay"]]),
    "help for listpays": ("help", {"command": "listpays"}),
    "a command that nobody asked us of": ("getinfo", {}),
    "a command whose name is none": ([["pay"]], [INVOICE]),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", OURS)
def test_ours(name: str) -> None:
    """Where the loop takes turns, and while an earlier run's payments are looked up; not where it is stuck."""
    method, params = OURS[name]
    assert decide(call(method, params), door()) == f"clnpay-{method}"
    assert decide(call(method, params), door(state=State.STARTING, beats=never)) == f"clnpay-{method}"
    assert decide(call(method, params), door(beats=lambda: False)) is None


@pytest.mark.parametrize("name", HOSTS)
def test_the_hosts(name: str) -> None:
    """Whatever the loop is at; it is not asked."""
    method, params = HOSTS[name]
    assert decide(call(method, params), door(beats=never)) is None


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "closed",
    [{"state": State.UNKNOWN}, {"state": State.DOWN}, {"served": frozenset[str]()}],
    ids=["before init", "not started", "not served"],
)
def test_a_door_that_is_closed(name: str, closed: dict[str, Any]) -> None:
    method, params = OURS[name]
    assert decide(call(method, params), door(beats=never, **closed)) is None


@pytest.mark.parametrize("name", OURS)
def test_a_call_of_our_own_does_not_come_back(name: str) -> None:
    method, params = OURS[name]
    assert decide(call(method, params, "ours"), door(at_work(), beats=never)) is None


IN_WORK: dict[str, tuple[str, Any, bool]] = {
    "pay": ("pay", [LIVE], True),
    "pay of a link": ("pay", {"bolt11": f"lightning:{LIVE.upper()}"}, True),
    "pay of another": ("pay", [INVOICE], False),
    "paystatus": ("paystatus", [LIVE], True),
    "paystatus by hash": ("paystatus", {"payment_hash": LIVE_HASH}, True),
    "paystatus of all": ("paystatus", [], True),
    "paystatus of another": ("paystatus", [OTHER_HASH], False),
    "listpays": ("listpays", [LIVE], True),
    "listpays by hash": ("listpays", [None, LIVE_HASH.upper()], True),
    "listpays of all": ("listpays", {"status": "failed"}, True),
    "listpays of another": ("listpays", [None, OTHER_HASH], False),
    "listpays of another invoice": ("listpays", [INVOICE], False),
}


@pytest.mark.parametrize("name", IN_WORK)
def test_what_we_are_at_is_ours_whatever_the_loop_does(name: str) -> None:
    """The host's own `xpay` would fail it while it may succeed, its own lists would show it as failed."""
    method, params, ours = IN_WORK[name]
    stuck = door(at_work(), beats=lambda: False)
    assert decide(call(method, params), stuck) == (f"clnpay-{method}" if ours else None)


def test_lists_of_a_call_whose_hash_is_not_known_yet() -> None:
    """Whoever asks by a hash may mean it."""
    names = InWork()
    names.enter(LIVE)
    asked = call("listpays", {"payment_hash": OTHER_HASH})
    assert decide(asked, door(names)) is None
    names.unread = 1
    assert decide(asked, door(names)) == "clnpay-listpays"
    assert decide(call("listpays", [INVOICE]), door(names)) is None


def test_what_we_are_at_is_ours_whatever_is_to_be_served() -> None:
    """Who takes `xpay` out while a payment is in work does not want it told wrongly."""
    none = door(at_work(), beats=never, served=frozenset[str]())
    assert decide(call("pay", [LIVE]), none) == "clnpay-pay"
    assert decide(call("listpays", [None, LIVE_HASH]), none) == "clnpay-listpays"
    assert decide(call("pay", [INVOICE]), none) is None


def test_help_is_ours_even_where_the_loop_is_stuck() -> None:
    """The thread that reads answers it."""
    for params in (["pay"], {"command": "paystatus"}):
        assert decide(call("help", params), door(beats=never)) == "clnpay-help"
    assert decide(call("help", ["pay"]), replace(door(), served=frozenset({"xpay"}))) is None


def test_lists_are_ours_while_it_is_not_known_what_is_in_work() -> None:
    starting = door(state=State.STARTING, beats=never)
    assert decide(call("listpays", {}), starting) == "clnpay-listpays"
    assert decide(call("listpays", {"status": "nonsense"}), starting) is None


@pytest.mark.parametrize("called", [{}, {"method": "pay"}, {"params": [INVOICE]}, {"method": None, "params": {}}])
def test_what_is_no_call(called: dict[str, Any]) -> None:
    assert decide(called, door(beats=never)) is None
