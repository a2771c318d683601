"""A new option is a field, a row of options and a sentence in the documents: nothing between may forget it.

    option ─► Settings ─► Terms ─► RouteQuery
                            └────► journal ─► Terms

Asked of the fields themselves, so that one that is added is asked of too.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from pay.app.options import ALLOW_XPAY, DISABLE_MPP, DYNAMIC, NUMBERS, Amount, Number, Word, remembering, settings
from pay.app.served import Names
from pay.engine.records.entry import Entry, decode, encode
from pay.host.calls import PartOrder
from pay.payment.attempt import Attempt
from pay.payment.route_query import route_query, whole
from pay.payment.settings import PartLimits, Settings, Shadow
from pay.payment.states import AttemptStatus
from pay.payment.terms import Limits, Terms
from pay.router.scorer import Remembering
from pay.routing.preferences import Preferences
from pay.units import ScidDir
from tests.support.checkout import ROOT
from tests.support.payments import NOW, line, node, scid, terms
from tests.support.values import varied

HASH = bytes([5]) * 32

OF_A_CALL = {"riskfactor", "seed"}
"""Preferences without an option: one is a parameter of `pay`, the other is drawn."""

BY_NAME = {"parts_option", "attempts_option"}
"""Limits that say where another one is from."""


class Host:
    """Options as lightningd has them; `given` in the place of defaults."""

    def __init__(self, **given: Any):
        self.options: dict[str, Any] = {option.name: option.shown for option in DYNAMIC}
        self.options |= {DISABLE_MPP: False, ALLOW_XPAY: False, **given}

    def get_option(self, name: str) -> Any:
        return self.options[name]


def chosen(**given: Any) -> Settings:
    host: Any = Host(**given)
    return settings(host)


def other(value: Any) -> Any:
    """What it is not."""
    match value:
        case None:
            return "pay-else"
        case str():
            return value + "!"
        case int() | float():
            return value + 1
        case frozenset():
            return frozenset()
    raise AssertionError(f"{value!r}: say here what else there is of its kind")


# --- options ----------------------------------------------------------------------------------------------------


def test_all_that_can_be_chosen_has_an_option() -> None:
    rows = {type(row.of): {beside.field for beside in NUMBERS if beside.of is row.of} for row in NUMBERS}
    names = {of: {field.name for field in fields(of)} for of in (Preferences, PartLimits, Remembering)}
    assert rows == {
        Preferences: names[Preferences] - OF_A_CALL,
        PartLimits: names[PartLimits] - BY_NAME,
        Remembering: names[Remembering] - {"prior"},
    }


def test_what_nobody_chooses() -> None:
    """As the fields' defaults have it; more attempts can be allowed, more than a hundred parts cannot."""
    assert chosen() == Settings(Preferences(), PartLimits(attempts_option="pay-max-attempts"), Shadow.DELAY)
    host: Any = Host()
    assert remembering(host) == Remembering()


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
def test_an_option_sets_its_field_and_no_other(row: Number) -> None:
    value = row.default // 2 + 1
    host: Any = Host(**{row.name: f"{value}msat" if isinstance(row, Amount) else value})
    wall = {} if row.wall is None else {row.wall: row.name}
    parts = PartLimits(attempts_option="pay-max-attempts")
    expected = {Preferences: Preferences(), PartLimits: parts, Remembering: Remembering()}
    expected[type(row.of)] = varied(expected[type(row.of)], **{row.field: row.meant(value)}, **wall)
    now = settings(host)
    assert {Preferences: now.preferences, PartLimits: now.parts, Remembering: remembering(host)} == expected


def test_shares_are_given_in_percent() -> None:
    assert chosen(**{"pay-randomness": 7}).preferences.randomness == 0.07


def test_one_part_only() -> None:
    """The option that says so is the one to change, whatever the number of parts is."""
    parts = chosen(**{DISABLE_MPP: True, "pay-max-parts": 5}).parts
    assert (parts.max_parts, parts.parts_option) == (1, DISABLE_MPP)


def rows_of(document: str, name: str) -> list[list[str]]:
    """The cells of the rows of a table that begin with this option."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    return [cells for cells in rows if cells[0] == f"`{name}`"]


@pytest.mark.parametrize("option", DYNAMIC, ids=lambda option: option.name)
def test_the_documents_have_it_with_its_default(option: Any) -> None:
    """README in short, docs/options.md with its range or its words."""
    for document in ("README.md", "docs/options.md"):
        ((_, kind, words),) = rows_of(document, option.name)
        assert str(option.shown) in re.findall(r"\w+", kind) and len(words) > 20
    match option:
        case Word(words=words) | Names(names=words):
            bounds = [f"`{word}`" for word in words]
        case _:
            bounds = [within(option)]
    assert all(bound in kind for bound in bounds)


def within(option: Number) -> str:
    """Its range as docs/options.md writes it."""
    return f"{option.least:,} to {option.most:,}{'msat' if isinstance(option, Amount) else ''};"


@pytest.mark.parametrize("name", [ALLOW_XPAY, DISABLE_MPP])
def test_the_documents_have_those_that_only_a_start_changes(name: str) -> None:
    assert rows_of("README.md", name) and rows_of("docs/options.md", name)


# --- the question and the journal -------------------------------------------------------------------------------


def each(of: type, *others: type) -> list[str]:
    return [field.name for one in (of, *others) for field in fields(one)]


@pytest.mark.parametrize("name", each(Preferences))
def test_preferences_go_whole_into_every_question(name: str) -> None:
    """For what is left, and for all of it, where parts are out."""
    prefer = varied(terms().preferences, **{name: other(getattr(terms().preferences, name))})
    asked = route_query(varied(terms(), preferences=prefer), 40_000, 0, 1, 1)
    out = Attempt(1, line(60_000), 60_000, 62_000, AttemptStatus.INFLIGHT, NOW)
    everything = whole(asked, [out])
    assert everything is not None and asked.preferences == everything.preferences == prefer


@pytest.mark.parametrize("name", [name for name in each(Preferences, Limits, PartLimits) if name != "parts"])
def test_the_journal_has_them_all(name: str) -> None:
    """What is not written would be something else after a restart."""
    excluded = {
        "exclude_nodes": frozenset({node("else")}), "exclude_channels": frozenset({ScidDir(scid(1), 1)}),
    }  # fmt: skip
    plain = terms(payment_hash=HASH, **excluded)
    inner = plain.preferences, plain.limits, plain.limits.parts
    (value,) = [getattr(of, name) for of in inner if hasattr(of, name)]
    changed = varied(plain, **{name: other(value)})
    order = PartOrder(HASH.hex(), plain.total_msat, plain.groupid, "lnbc1", "02" * 32, None, None, None, None)
    assert changed != plain and decode(HASH.hex(), encode(Entry(changed, order)), plain.source).terms == changed


def test_no_two_fields_have_the_same_name() -> None:
    """The journal has them on one level."""
    names = each(Terms, Limits, PartLimits, Preferences)
    assert len(names) == len(set(names))


# --- prices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount_msat", "nat_msat", "more_part_msat"), [
    (1_000, 700, 310), (129_999, 725, 311), (600_000, 820, 319), (10**12, 200_000_700, 15_000_310),
])  # fmt: skip
def test_prices_are_those_of_the_amount_that_is_asked_for(
    amount_msat: int, nat_msat: int, more_part_msat: int
) -> None:
    """200 and 15 ppm on top, rounded down."""
    payment = terms(failure_cost_msat=700, failure_cost_ppm=200, part_cost_msat=310, part_cost_ppm=15)
    asked = route_query(payment, amount_msat, 0, 0, 0)
    assert (asked.nat_msat, asked.more_part_msat) == (nat_msat, more_part_msat)


def test_crumbs_are_asked_for_with_all_else_the_same() -> None:
    asked = route_query(terms(min_part_msat=9, seed=3, max_parts=4), 1_000, 0, 0, 0)
    assert asked.with_parts_of_any_size == varied(asked, min_part_msat=0)
