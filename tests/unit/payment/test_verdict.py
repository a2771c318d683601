"""Every message that an error can have, against what is so: none denies it, none advises what cannot help.

The situations are drawn as a table (our channels, the recipient's, hints, parts, what failed), and what a message
may say is asked of the situation, not of the code that wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from pay.commands.form.errors import error_data
from pay.commands.pay import parse_request
from pay.engine.checks import check_invoice, check_limits, check_request
from pay.errors import Code, PayError
from pay.feedback.failure import FailCode, Failure
from pay.invoice import normalise
from pay.invoice.unreadable import unreadable
from pay.network import HintHop
from pay.payment.attempt import FailedPart
from pay.payment.verdict import (
    FAILCODE_NAMES,
    expired,
    in_words,
    no_route,
    orphaned,
    outcome_lost,
    refused,
    stopped_retrying,
    too_many_attempts,
    watched_failed,
)
from pay.routing import NoRoute, NoRouteReason, RouteQuery, plan
from pay.units import ScidDir
from tests.support.invoices import EXPIRES, INVOICE, OPEN, TEXTS
from tests.support.invoices import US as WE
from tests.support.networks import SAT, US, Net, node, query, scid
from tests.support.payments import line, terms
from tests.support.values import varied

MOST_LETTERS = 300
AMOUNT = 100_000 * SAT
ENOUGH = 500_000 * SAT
"""In a channel."""

NAMES = {name for code, name in FAILCODE_NAMES.items()} | {code.name for code in FailCode}


THEIRS = "\u00fc\u00df"
"""What callers and other plugins may write: that is handed on as it is."""


def fit(message: str, most_letters: int = MOST_LETTERS) -> None:
    """What holds for every message: it arrives, it is read, and it is for people."""
    for letter in THEIRS:
        message = message.replace(letter, "?")
    assert message.isascii(), "anything else arrives in the log as question marks"
    assert 10 < len(message) <= most_letters, f"{len(message)} letters: {message}"
    assert "\n" not in message and not message.startswith(("{", "["))
    assert not re.search(r"\bNone\b|msat msat|sat sat|  |;;|\b1 (channels|attempts|parts|hints|hops)\b", message)
    assert not re.search(r"\de[+-]\d", message), "a figure is for people"
    for name in re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b", message):
        assert name.startswith("WIRE_") and name in NAMES, f"{name} is a name of the code"


# --- no route: our channels × the recipient's × hints × parts ----------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """us ─1─ a ─2─ b is the road; ─5─ our own channel with d, ─3─ another one of d, ┄9┄ a hint."""

    road: str
    ours: str
    theirs: str
    hint: str
    parts: int
    fees: int

    @property
    def net(self) -> Net:
        net = Net().link(2, "a", "b", base=1_000, ppm=0)
        states: dict[str, dict[str, object]] = {
            "open": {},
            "away": {"connected": False},
            "empty": {"spendable_msat": 0},
            "full": {"live_htlcs": 30},
            "little": {"spendable_msat": AMOUNT // 10},
            "in flight": {"spendable_msat": 0, "outgoing_msat": ENOUGH},
        }
        if self.road != "none":
            net.own(1, "a", **{"spendable_msat": ENOUGH, **states[self.road]})
        if self.ours != "none":
            net.own(5, "d", **{"spendable_msat": ENOUGH, "announced": False, **states[self.ours]})
        match self.theirs:
            case "open":
                net.link(3, "b", "d", base=1_000, ppm=0)
            case "disabled":
                net.link(3, "b", "d", enabled=False)
            case "small":
                net.link(3, "b", "d", AMOUNT // 20)
            case "dear":
                net.link(3, "b", "d", base=2_000 * SAT)
            case "long":
                net.link(3, "b", "d", ppm=0, cltv=3_000)
        return net

    @property
    def hints(self) -> list[tuple[HintHop, ...]]:
        match self.hint:
            case "from b":
                return [(HintHop(node("b"), scid(9), 0, 0, 0),)]
            case "absurd":
                return [(HintHop(node("b"), scid(9), 0, 1_000_000_000, 0),)]
            case "from nowhere":
                return [(HintHop(node("x"), scid(9), 0, 0, 0),)]
            case "ours":
                return [(HintHop(node(US), scid(5), 0, 0, 0),)]
        return []

    @property
    def asked(self) -> RouteQuery:
        limits = {"max_fee_msat": self.fees, "max_delay": 2_016}
        return query("d", AMOUNT, max_parts=self.parts, **limits)

    def answer(self, **changes: object) -> object:
        return plan(self.net.overlay("d", hints=self.hints), varied(self.asked, **changes))


def scenes() -> Iterator[Scene]:
    """All that differ in what may be said of them."""
    for road, ours, theirs, hint, parts in product(
        ("open", "none", "away", "little", "in flight"),
        ("none", "away", "empty", "full", "little", "in flight"),
        ("none", "open", "disabled", "small", "dear", "long"),
        ("none", "from b", "absurd", "from nowhere", "ours"),
        (1, 6),
    ):
        if road != "open" and (theirs not in ("none", "open") or hint not in ("none", "absurd")):
            continue
        if hint == "ours" and (ours == "none" or theirs != "none"):
            continue
        yield Scene(road, ours, theirs, hint, parts, 500 * SAT)
        if road == "open" and ours in ("none", "little"):
            yield Scene(road, ours, theirs, hint, parts, 0)


SCENES = list(scenes())


@pytest.fixture(scope="module")
def answers() -> list[tuple[Scene, NoRoute]]:
    found = [(scene, scene.answer()) for scene in SCENES]
    return [(scene, none) for scene, none in found if isinstance(none, NoRoute)]


def test_all_that_a_planner_says_is_fit_to_be_read(answers: list[tuple[Scene, NoRoute]]) -> None:
    assert len(answers) > 400
    for _, none in answers:
        fit(none.message)


def test_no_answer_denies_a_channel_of_ours(answers: list[tuple[Scene, NoRoute]]) -> None:
    """Who reads that there is no channel, and has one, looks for the fault in the wrong place."""
    for scene, none in answers:
        has_one, words = scene.ours != "none", none.message
        if has_one:
            assert not re.match(r"node \w+ has no", words), (scene, words)
            assert not re.search("no channels lead from us", words), (scene, words)
        if has_one or scene.road != "none":
            assert "we have no open channel" not in words, (scene, words)
        if "probably offline" in words:
            assert scene.ours in ("none", "away"), (scene, words)
        if scene.hint != "none":
            assert "no route hint" not in words, (scene, words)
        if "only open one" in words:
            assert scene.theirs in ("none", "disabled") and scene.hint in ("none", "ours"), (scene, words)


def test_a_channel_of_ours_that_cannot_be_used_is_named(answers: list[tuple[Scene, NoRoute]]) -> None:
    """Unless a limit of the caller stands in the way, or that our channels have too little."""
    for scene, none in answers:
        limited = none.code == Code.ROUTE_TOO_EXPENSIVE
        if limited or scene.ours not in ("away", "empty", "full", "in flight"):
            continue
        words = none.message
        if none.reason is NoRouteReason.INSUFFICIENT_SPENDABLE:
            away = "away" in (scene.ours, scene.road)
            assert away is ("not connected" in words), (scene, words)
        else:
            state = {"away": "is not connected and holds 500,000 sat", "empty": "has nothing to spend now",
                     "full": "is full of HTLCs, 30 of 30",
                     "in flight": "has nothing to spend now; 500,000 sat of it is in flight"}  # fmt: skip
            named = (f"5x1x0 with the recipient {state[scene.ours]}", "none of our 2 channels can send now: ",
                     f"our only channel, 5x1x0, {state[scene.ours]}")  # fmt: skip
            assert any(each in words for each in named), (scene, words)


def test_what_is_advised_helps(answers: list[tuple[Scene, NoRoute]]) -> None:
    """Whoever does as told has a way then."""
    advised = set()
    for scene, none in answers:
        words = none.message
        if "raise" in words:
            assert none.fee_msat is not None and none.delay_blocks is not None
            what = words.rpartition("raise ")[2]
            changes = {"max_fee_msat": none.fee_msat} if "maxfee" in what else {}
            changes |= {"max_delay": none.delay_blocks} if "maxdelay" in what else {}
            helped = scene.answer(**changes)
        elif "another one" in words or "new invoice" in words or "invoice with route hints" in words:
            assert scene.hint != "from b" or scene.theirs == "none"
            better = replace(scene, hint="from b", road="open", fees=10**12)
            helped, what = better.answer(), "invoice"
        else:
            continue
        advised.add(what)
        assert not isinstance(helped, NoRoute), (scene, words, helped)
    both = "maxfee or maxfeepercent and maxdelay to pay"
    assert advised == {"maxfee or maxfeepercent to pay", "maxdelay to pay", both, "invoice"}


def test_figures_are_there_and_true(answers: list[tuple[Scene, NoRoute]]) -> None:
    for scene, none in answers:
        words = none.message
        match none.reason:
            case NoRouteReason.INSUFFICIENT_SPENDABLE | NoRouteReason.INSUFFICIENT_CAPACITY:
                assert "100,000 sat" in words, (scene, words)
            case NoRouteReason.TOO_EXPENSIVE:
                assert "is allowed" in words and none.fee_msat is not None and none.fee_msat > scene.fees
                assert ("500 sat is allowed" if scene.fees else "at most 0 sat") in words
            case NoRouteReason.TOO_LONG:
                assert "at most 2016 are allowed" in words
            case NoRouteReason.GAVE_UP:
                assert "100,000 sat" in words and "there may be one" in words
            case _:
                assert scene.ours == "none" or "5x1x0" in words or "none of our 2" in words, (scene, words)
        if none.max_sendable_msat and not none.sendable_bound:
            smaller = scene.answer(amount_msat=none.max_sendable_msat)
            assert not isinstance(smaller, NoRoute), (scene, words, smaller)


def test_the_absurd_fee_of_a_hint_is_never_hidden(answers: list[tuple[Scene, NoRoute]]) -> None:
    """Where nothing else is in the way: the hint is the only way there is, and the road to it is open."""
    found = 0
    for scene, none in answers:
        if (scene.road, scene.ours, scene.hint) == ("open", "none", "absurd") and scene.theirs == "none":
            found += 1
            assert none.reason is NoRouteReason.TOO_EXPENSIVE and "route hint asks for it" in none.message, none
    assert found == 4


# --- verdicts: reason × what failed before -----------------------------------------------------------------------

LONG = "Peer said: " + "words without end " * 40
FAILURES = [
    *(Failure(index, code, "", code.to_bytes(2, "big")) for code in FailCode for index in (1, 2, 3)),
    *(Failure(0, None, reason) for reason in ("First peer not ready", "Too many HTLCs", LONG, "Schlo\u00df zu")),
    Failure(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Capacity exceeded - HTLC fee: 0sat"),
    Failure(None, None, "the node has it as failed, its reason was not heard"),
    Failure(None, None, ""),
    Failure(1, 0x4FFF, "", b"\x4f\xff"),
]


def verdicts() -> Iterator[tuple[PayError, Failure | None, NoRouteReason | None]]:
    ours = terms(100_000_000, exclude_nodes=frozenset({node("x")}), attempts_option="pay-max-attempts")
    for failure in (None, *FAILURES):
        failures = [] if failure is None else [FailedPart(1, failure)]
        for reason in NoRouteReason:
            for payment in (terms(100_000_000), ours):
                why = NoRoute(reason, "the words of the planner, 99,999.999 sat", 7, 40, 99_999_999)
                yield no_route(payment, why, failures, len(failures)), failure, reason
                yield no_route(payment, why, failures, len(failures), late=len(failures)), failure, reason
        yield stopped_retrying(ours, failures, len(failures)), failure, None
        yield too_many_attempts(ours, failures, 100), failure, None
        yield expired(ours, int(ours.expires_at_s) + 5, failures, len(failures)), failure, None
        if failure is not None:
            yield refused(ours, line(100_000, "abd"), failure), None, None
            yield refused(terms(to_self=True), None, failure), None, None
    yield orphaned(), None, None
    yield outcome_lost(3), None, None
    yield watched_failed(ours), None, None


def test_all_verdicts_are_fit_to_be_read() -> None:
    seen = set()
    for error, failure, _ in verdicts():
        fit(error.message)
        seen.add(error.code)
        if failure is not None:
            assert in_words(failure)[:60].encode("ascii", "ignore").decode()[:20] in error.message
    assert seen == {-1, 203, 205, 206, 207, 210}


def test_a_verdict_that_repeats_the_planner_is_short_enough(answers: list[tuple[Scene, NoRoute]]) -> None:
    """The longest of both together."""
    longest = {none.reason: none for _, none in sorted(answers, key=lambda answer: len(answer[1].message))}
    failure = max(FAILURES, key=lambda failure: len(in_words(failure)))
    for none in longest.values():
        for payment in (terms(10**11, fee_limit_words="maxfeepercent 0.5 % = 500000000msat"), terms(10**11)):
            fit(no_route(payment, none, [], 0).message)
            fit(no_route(payment, none, [FailedPart(1, failure)], 100).message, 480)
            fit(no_route(payment, none, [FailedPart(1, FAILURES[0])], 100).message, 400)


def test_after_a_failure_no_planner_s_figure_is_a_promise() -> None:
    """What is left out now is so because of what failed: the planner's words would mislead, as would a bound."""
    for error, failure, reason in verdicts():
        if failure is None or reason is None:
            continue
        assert not [name for name in error_data(error) if "sendable" in name]
        if reason in (NoRouteReason.INSUFFICIENT_CAPACITY, NoRouteReason.UNREACHABLE, NoRouteReason.EXCLUDED):
            late = "in case gossip is late" in error.message
            assert ("99,999.999" in error.message) is late
            assert late or "nothing else is left to try" in error.message
        assert "every other route" not in error.message, "not all of them were tried"


# --- what is refused before a route is looked for ----------------------------------------------------------------

BAD_PARAMS = [
    {}, {"bolt11": 7}, {"bolt11": "x", "amount_msat": "\u00fc" * 99}, {"bolt11": "x", "amount_msat": 0},
    {"bolt11": "x", "nonsense": 1}, {"bolt11": "x", "exclude": ["\u00df"]}, {"bolt11": "x", "exclude": "1x1x1"},
    {"bolt11": "x", "maxfee": 1, "exemptfee": 1}, {"bolt11": "x", "retry_for": -1}, {"bolt11": "x", "label": {}},
    {"bolt11": "x", "riskfactor": "much"}, {"bolt11": "x", "localinvreqid": "z"}, ["x"] * 40, "x",
    {"bolt11": "x", "invstring": "y"}, {"bolt11": "x", "amount_msat": "[" * 500}, {"bolt11": "x", "maxdelay": 1e9},
]  # fmt: skip


def refusals() -> Iterator[PayError]:
    ask = parse_request({"bolt11": "lnbc1", "exclude": [INVOICE.payee.hex(), WE.hex()], "maxdelay": 1})
    calls = [
        *(lambda params=params: parse_request(params) for params in BAD_PARAMS),
        *(lambda params=params, invoice=invoice: check_request(parse_request(params), invoice, WE)
          for params in ({"bolt11": "x", "amount_msat": 5, "partial_msat": 9}, {"bolt11": "x", "amount_msat": 5})
          for invoice in (INVOICE, OPEN, replace(INVOICE, amount_msat=0))),
        lambda: check_invoice(ask, OPEN, EXPIRES), lambda: check_invoice(ask, INVOICE, EXPIRES + 99),
        lambda: check_invoice(ask, replace(INVOICE, payment_secret=None), EXPIRES),
        lambda: check_invoice(ask, replace(INVOICE, features=1 << 50), EXPIRES),
        lambda: check_limits(ask, INVOICE, None, WE),
        lambda: check_limits(replace(ask, exclude_nodes=frozenset({WE})), INVOICE, None, WE),
    ]  # fmt: skip
    for call in calls:
        try:
            call()
        except PayError as error:
            yield error


def test_all_refusals_are_fit_to_be_read() -> None:
    """What the caller wrote may be in them, and is cut; the rest is ours."""
    found = list(refusals())
    assert len(found) >= len(BAD_PARAMS) + 6
    for error in found:
        fit(error.message)
    for text, said, _, _ in TEXTS:
        fit("bolt11: " + unreadable(normalise(text), said, "bc"))
        fit("bolt11: " + unreadable(normalise(text), said, None))


def test_excluded_scid_dirs_are_ours_to_name() -> None:
    """An exclusion that closes every way is named as such, with what goes without it."""
    net = Net().own(1, "a", ENOUGH).link(2, "a", "d")
    asked = query("d", AMOUNT, max_fee_msat=500 * SAT)
    none = plan(net.overlay("d", excluded_channels=frozenset({ScidDir(scid(2), 0), ScidDir(scid(2), 1)})), asked)
    assert isinstance(none, NoRoute) and none.reason is NoRouteReason.EXCLUDED
    fit(none.message)
    assert not isinstance(plan(net.overlay("d"), asked), NoRoute)
