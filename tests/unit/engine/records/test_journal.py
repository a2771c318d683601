"""Entries of the journal: what is written is read again to the field, and what contradicts itself is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from pay.engine.records import journal as kept
from pay.engine.records.entry import Entry, decode, encode
from pay.engine.records.journal import Earlier, Journal
from pay.host.calls import PartOrder
from pay.host.rpc import CallError, Unanswered
from pay.payment.events import FoundPart
from pay.payment.terms import Terms
from pay.units import ScidDir
from tests.support.payments import NOW, node, scid, terms
from tests.support.values import varied
from tests.support.waiting import played

US = node("us")
HASH = bytes([5]) * 32
TERMS: Terms = terms(
    101, payment_hash=HASH, groupid=102, total_msat=103, final_cltv=104, max_fee_msat=105, fee_limit_words="w",
    max_delay_blocks=106, deadline_s=107.5, expires_at_s=108, created_at_s=109.25, riskfactor=1.5,
    failure_cost_msat=110, failure_cost_ppm=111, second_cost_msat=112, max_parts=113, min_part_msat=114,
    max_attempts=115, exclude_nodes=frozenset({node("x"), node("y")}),
    exclude_channels=frozenset({ScidDir(scid(1), 0), ScidDir(scid(2), 1)}), seed=116, randomness=0.25,
    metadata_bytes=117, part_cost_msat=119, part_cost_ppm=120, shadow_blocks=118, shadow_fee_msat=100,
    usual_parts=121, parts_option="p", attempts_option="a",
)  # fmt: skip
ORDER = PartOrder(HASH.hex(), 103, 102, "lnbc1", "02" * 32, "03", "l", "d", "04" * 32)
ENTRY = Entry(TERMS, ORDER, (FoundPart(1, 60, 61, NOW), FoundPart(2, 0, 0, NOW + 0.5)))
NOT_KEPT = {"first_partid", "wakeable", "patient_until_s", "to_self", "watched", "behind_blocks"}
"""Fields of `Terms` that are found anew at a start, or that no payment with an entry has."""


def changed(change: Callable[[dict[str, Any]], Any], entry: Entry = ENTRY) -> str:
    stored = json.loads(encode(entry))
    change(stored)
    return json.dumps(stored)


def test_read_as_it_was_written() -> None:
    """Limits and preferences are asked of one by one, see `test_preferences`."""
    assert decode(HASH.hex(), encode(ENTRY), US) == ENTRY
    plain = {field.name for field in fields(Terms)} - NOT_KEPT
    defaults = terms()
    for name in plain - {"source", "destination"}:
        assert getattr(TERMS, name) != getattr(defaults, name), f"{name} would not be missed"


BEFORE = """
{"version": 1, "terms": {
  "groupid": 102, "amount_msat": 101, "total_msat": 103, "final_cltv": 104, "max_fee_msat": 105,
  "fee_limit_words": "w", "max_delay_blocks": 106, "deadline_s": 107.5, "expires_at_s": 108,
  "created_at_s": 109.25, "riskfactor": 1.5, "failure_cost_msat": 110, "failure_cost_ppm": 111, "max_parts": 113,
  "min_part_msat": 114, "max_attempts": 115, "seed": 116, "randomness": 0.25, "metadata_bytes": 117,
  "shadow_blocks": 118, "shadow_fee_msat": 100, "second_cost_msat": 112, "part_cost_msat": 119,
  "part_cost_ppm": 120, "usual_parts": 121, "parts_option": "p", "attempts_option": "a",
  "destination": "02642e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e",
  "exclude_nodes": ["02782e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e",
                    "02792e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e"],
  "exclude_channels": ["1x1x0/0", "2x1x0/1"]},
 "order": {
  "payment_hash": "0505050505050505050505050505050505050505050505050505050505050505", "total_msat": 103,
  "groupid": 102, "bolt11": "lnbc1",
  "payment_secret": "0202020202020202020202020202020202020202020202020202020202020202",
  "payment_metadata": "03", "label": "l", "description": "d",
  "localinvreqid": "0404040404040404040404040404040404040404040404040404040404040404"},
 "accepted": [
  {"partid": 1, "amount_msat": 60, "sent_msat": 61, "sent_at_s": 1700000000.0},
  {"partid": 2, "amount_msat": 0, "sent_msat": 0, "sent_at_s": 1700000000.5}]}
"""
"""An entry as it was written when terms had all these fields themselves, limits and preferences being none."""


def test_an_entry_of_the_version_before() -> None:
    """A payment that was out when the plugin was upgraded goes on within its limits, and by its preferences."""
    assert decode(HASH.hex(), BEFORE, US) == ENTRY


def test_an_entry_that_the_version_before_reads() -> None:
    """It wants these fields, no matter which others there are: a plugin may be put back."""
    written, wanted = json.loads(encode(ENTRY)), json.loads(BEFORE)
    assert {name: written["terms"].get(name) for name in wanted["terms"]} == wanted["terms"]
    assert {**written, "terms": wanted["terms"]} == wanted


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("shadow_blocks", 0),
        ("shadow_fee_msat", 0),
        ("second_cost_msat", 0),
        ("parts_option", None),
        ("attempts_option", None),
        ("part_cost_msat", 10_000),
        ("part_cost_ppm", 0),
        ("usual_parts", 30),
    ],
)
def test_an_entry_from_before_a_field_was_there(name: str, meant: int) -> None:
    text = changed(lambda stored: stored["terms"].pop(name))
    assert decode(HASH.hex(), text, US).terms == varied(TERMS, **{name: meant})


def test_an_entry_from_before_parts_were_marked() -> None:
    assert decode(HASH.hex(), changed(lambda stored: stored.pop("accepted")), US).accepted == ()


def put(where: str, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(stored: dict[str, Any]) -> None:
        at = stored[where] if where else stored
        (at[0] if isinstance(at, list) else at)[name] = value

    return change


SPOILT = {
    "a later version": put("", "version", 2),
    "another group": put("order", "groupid", 1),
    "another total": put("order", "total_msat", 102),
    "another hash": put("order", "payment_hash", "06" * 32),
    "a share above the whole": put("terms", "amount_msat", 104),
    "an amount of nothing": put("terms", "amount_msat", 0),
    "a shadow of all of it": put("terms", "shadow_fee_msat", 101),
    "a shadow of less than nothing": put("terms", "shadow_fee_msat", -1),
    "a shadow that is no delay": put("terms", "shadow_blocks", -1),
    "a whole number with a fraction": put("terms", "max_fee_msat", 105.0),
    "a number that is a truth": put("terms", "max_parts", True),
    "a number in words": put("terms", "max_parts", "113"),
    "words that are a number": put("terms", "fee_limit_words", 1),
    "a time in words": put("terms", "deadline_s", "107.5"),
    "a part without a number": put("accepted", "partid", None),
    "a part of less than nothing": put("accepted", "amount_msat", -1),
    "a part that is sent in words": put("accepted", "sent_msat", "61"),
    "a part that is a truth": put("accepted", "partid", True),
    "a part without a date": put("accepted", "sent_at_s", None),
}


@pytest.mark.parametrize("change", SPOILT.values(), ids=SPOILT)
def test_what_is_no_entry(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises((TypeError, ValueError)):
        decode(HASH.hex(), changed(change), US)


@pytest.mark.parametrize("change", [
    put("terms", "amount_msat", 103), put("terms", "shadow_fee_msat", 0), put("terms", "deadline_s", 107),
    put("terms", "shadow_blocks", 0), put("accepted", "partid", 0),
])  # fmt: skip
def test_what_is_one(change: Callable[[dict[str, Any]], None]) -> None:
    decode(HASH.hex(), changed(change), US)


# --- the datastore ----------------------------------------------------------------------------------------------


class Store:
    """The host's datastore; `error` is what it answers instead."""

    def __init__(self, error: Exception | None = None):
        self.error = error
        self.kept: dict[tuple[str, ...], str] = {}
        self.hangs = False

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        if self.hangs:
            await asyncio.Future()
        if self.error is not None:
            raise self.error
        key = tuple(params["key"])
        match method:
            case "datastore":
                assert params["mode"] == "create-or-replace"
                self.kept[key] = params["string"]
            case "deldatastore":
                del self.kept[key]
            case "listdatastore":
                found = {name: text for name, text in self.kept.items() if name[: len(key)] == key}
                return {"datastore": [{"key": list(name), "string": text} for name, text in found.items()]}
        return {}

    patient = call


ERRORS = [CallError("datastore", {"code": 1205, "message": "no"}), Unanswered("gone")]


def run(work: Any) -> Any:
    return played(work)


def journal(store: Store) -> Journal:
    node_: Any = store
    return Journal(node_)


def test_written_read_and_struck_out() -> None:
    store = Store()
    assert run(journal(store).write(ENTRY)) is True
    assert list(store.kept) == [("pay", "session", HASH.hex())]
    store.kept["pay", "session", "zz"] = "no entry"
    assert run(journal(store).read(US)) == {HASH.hex(): ENTRY, "zz": None}
    run(journal(store).remove(HASH.hex()))
    assert list(store.kept) == [("pay", "session", "zz")]


@pytest.mark.parametrize("error", ERRORS)
def test_a_datastore_that_refuses(error: Exception) -> None:
    """Payments go on without it: said in the log, and nothing is thrown."""
    store = Store(error)
    assert run(journal(store).write(ENTRY)) is False
    run(journal(store).remove(HASH.hex()))
    run(journal(store).keep_total(HASH, 5, 6))
    run(journal(store).forget_totals())


def test_a_datastore_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WRITE_TIMEOUT_S", "READ_TIMEOUT_S"):
        monkeypatch.setattr(kept, name, 0.01)
    refusing, hanging = Store(ERRORS[0]), Store()
    hanging.hangs = True
    for store in (refusing, hanging):
        assert run(journal(store).read(US)) is None
        assert run(journal(store).total(HASH)) is None
        run(journal(store).keep_total(HASH, 5, 6))
        run(journal(store).forget_totals())
        assert run(journal(store).write(ENTRY)) is False


def test_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept; what is no total is the first to go, and says nothing."""
    monkeypatch.setattr(kept, "MOST_TOTALS", 2)
    store = Store()
    for number, at in ((1, 50), (2, 70), (3, 60)):
        run(journal(store).keep_total(bytes([number]) * 32, 1_000 + number, at))
    store.kept["pay", "paid", "04" * 32] = "no total"
    assert json.loads(store.kept["pay", "paid", "02" * 32]) == {"amount_msat": 1_002, "at": 70}
    assert [run(journal(store).total(bytes([number]) * 32)) for number in range(1, 6)] == [
        1_001, 1_002, 1_003, None, None,
    ]  # fmt: skip
    run(journal(store).write(ENTRY))
    run(journal(store).forget_totals())
    assert set(store.kept) == {
        ("pay", "paid", "02" * 32), ("pay", "paid", "03" * 32), ("pay", "session", HASH.hex()),
    }  # fmt: skip


def test_totals_of_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked through after so many new ones: it never has more than twice as many."""
    monkeypatch.setattr(kept, "MOST_TOTALS", 3)
    store, most = Store(), 0
    one = journal(store)

    async def keep() -> None:
        nonlocal most
        for number in range(20):
            await one.keep_total(bytes([number]) * 32, 1_000, number)
            most = max(most, len(store.kept))

    run(keep())
    assert most <= 6 and ("pay", "paid", "13" * 32) in store.kept


def test_what_may_come_of_an_earlier_run() -> None:
    """Its group, apart from the entries; what is no number counts as the payment without its group."""
    store = Store()
    assert run(journal(store).earlier_groups()) == {}
    run(journal(store).keep_earlier(HASH.hex(), 7))
    for name, text in (("aa", "x"), ("bb", "-1"), ("cc", "9" * 30)):
        store.kept["pay", "earlier", name] = text
    assert run(journal(store).earlier_groups()) == {HASH.hex(): 7, "aa": 0, "bb": 0, "cc": 0}
    assert run(journal(store).read(US)) == {}
    for name in (HASH.hex(), "aa", "bb", "cc"):
        run(journal(store).forget_earlier(name))
    assert not store.kept
    assert run(journal(Store(ERRORS[0])).earlier_groups()) is None


@pytest.mark.parametrize(
    ("earlier", "may_come", "anything"),
    [
        (Earlier({HASH: 3}, queued=True), True, True),
        (Earlier({HASH: 0}, queued=True), True, True),
        (Earlier({bytes(32): 3}, queued=True), False, True),
        (Earlier({}, any_hash=True, queued=True), True, True),
        (Earlier({}, queued=True), False, False),
        # Nothing is queued in a host that was started with us.
        (Earlier({HASH: 3}, any_hash=True), False, False),
    ],
)
def test_whether_an_order_may_come(earlier: Earlier, may_come: bool, anything: bool) -> None:
    assert (earlier.may_come(HASH), earlier.anything_may_come) == (may_come, anything)
