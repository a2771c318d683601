"""lightningd or the plugin killed with parts out, on nodes of its own: payer ── middle ── payee.

The campaign makes RUNS runs of random payments and kills (`make campaign` asks for 20); in some of them the middle
node lies, or other senders pay the same invoices. It is judged by what the payee got and what the payer's table
says.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from tests.real.support.network import Node, Regtest
from tests.real.support.paying import (
    TEMPORARY_NODE_FAILURE,
    begin,
    beside,
    held,
    invoice,
    pay,
    received,
    rows,
    wait_until,
)
from tests.real.support.road import OPTIONS, Road
from tests.real.support.trouble import AMOUNT_MSAT, LABEL, Trouble
from tests.support.plugins import LIAR
from tests.support.rawrpc import Answer
from tests.support.waiting import NeverCameError, result_of, until

RUNS = int(os.environ.get("CAMPAIGN_RUNS", "3"))
SEED = int(os.environ.get("CAMPAIGN_SEED", "0"))
VERDICTS = frozenset({-32602, -1, *range(201, 208), 210})


@pytest.fixture(scope="module")
def road(regtest: Regtest) -> Road:
    payer, middle, payee = regtest.start(OPTIONS, {"plugin": str(LIAR)}, {})
    regtest.open_channels((payer, middle), (middle, payee))
    return Road(payer, middle, payee)


def test_node_killed_with_a_part_held(road: Road) -> None:
    """The payment is resumed: the part fails, and another one is sent once the peer is connected again."""
    made = road.hold()
    begin(road.payer, bolt11=made["bolt11"], retry_for=600)
    wait_until(lambda: held(road.payee, made) == 1)
    assert len(road.journal()) == 1
    mark = road.lines
    road.kill_node()
    assert road.seen("payment_resumed payment_hash=" + made["payment_hash"], mark)
    answer = begin(road.payer, made["bolt11"])
    wait_until(lambda: road.seen("payment_attached payment_hash=" + made["payment_hash"], mark))
    road.payee.call("release", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    paid = result_of(answer).ok()
    assert [(row["partid"], row["status"]) for row in rows(road.payer, made)] == [(1, "failed"), (2, "complete")]
    assert received(road.payee, made) == AMOUNT_MSAT
    assert pay(road.payer, made["bolt11"]).ok() == paid
    road.over()


def test_plugin_killed_with_a_part_held(road: Road) -> None:
    """The node runs on: the part is watched, a call attaches and gets the outcome, nothing is added."""
    made = road.hold()
    begin(road.payer, bolt11=made["bolt11"], retry_for=600)
    wait_until(lambda: held(road.payee, made) == 1)
    mark = road.lines
    road.kill_plugin()
    answer = begin(road.payer, made["bolt11"])
    wait_until(lambda: road.seen("payment_attached payment_hash=" + made["payment_hash"], mark))
    (shown,) = road.payer.call("paystatus", made["bolt11"])["pay"]
    assert shown["session_status"] == "Inflight"
    road.payee.call("release", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    assert result_of(answer).code == 210
    assert len(rows(road.payer, made)) == 1
    road.over()


def test_row_without_an_htlc(road: Road) -> None:
    """Killed before the HTLC was committed: the host keeps the row, and `pay` says why it can do nothing."""
    daemon = road.payer.peer.daemon
    daemon.opts["commit-time"] = 60_000
    road.kill_node()
    wait_until(lambda: road.payer.channel_to(road.middle)["peer_connected"])
    made, mark = invoice(road.payee), road.lines
    begin(road.payer, made["bolt11"])
    wait_until(lambda: road.seen("AttemptAccepted partid=1", mark))
    del daemon.opts["commit-time"]
    # Rows are dated in whole seconds, and one of the second of the start is in doubt for a while.
    road.kill_node()
    wait_until(lambda: pay(road.payer, made["bolt11"]).code == -1)
    for _ in range(2):
        refused = pay(road.payer, made["bolt11"])
        assert refused.code == -1
        assert refused.error["data"]["reason"] == "orphaned_part"
    assert [row["status"] for row in rows(road.payer, made)] == ["pending"]
    assert received(road.payee, made) is None
    road.over()


# --- the campaign -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, and parts of other senders that were out when it came: (groupid, partid)."""

    answer: Answer
    others: frozenset[tuple[int, int]]


@dataclass(slots=True)
class Purchase:
    """One invoice, and every call that was made for it: its answer, and what was out when it came."""

    made: dict[str, Any]
    held: bool
    calls: list[Future[Heard]] = field(default_factory=list)

    @property
    def payment_hash(self) -> str:
        return self.made["payment_hash"]

    def ask(self, node: Node, retry_for_s: int) -> None:
        """One more call, beside the test."""

        def asked() -> Heard:
            answer, heard_s = pay(node, bolt11=self.made["bolt11"], retry_for=retry_for_s), time.time()
            out: list[dict[str, Any]] = []
            with contextlib.suppress(OSError):
                out = [row for row in rows(node, self.made) if row["status"] == "pending"]
            # Rows have whole seconds, and one that was made after the answer was decided upon does not count.
            seen = [row for row in out if row.get("label") == LABEL and row["created_at"] < int(heard_s) - 1]
            return Heard(answer, frozenset((row["groupid"], row["partid"]) for row in seen))

        self.calls.append(beside(asked))

    def heard(self) -> list[Heard]:
        """Of those calls that were not cut off. Raises NeverCameError or TimeoutError where there is none."""
        found = []
        for call in self.calls:
            try:
                found.append(result_of(call))
            except TimeoutError:
                raise
            except (OSError, ValueError):
                continue
        return found


def some_purchases(road: Road, rng: random.Random) -> list[Purchase]:
    choices = [rng.random() < 0.5 for _ in range(rng.randint(2, 4))]
    return [Purchase(road.hold() if holds else invoice(road.payee), holds) for holds in choices]


def signs_of_life(road: Road, count: int) -> None:
    """Until the payer's log has so many lines more, or stands still."""
    mark = road.lines
    with contextlib.suppress(NeverCameError):
        until(lambda: road.lines >= mark + count, most_s=1.0)


def one_run(road: Road, seed: int) -> tuple[list[str], Counter[str]]:
    """What was wrong with it, and counts."""
    counts: Counter[str] = Counter(runs=1)
    rng, trouble = random.Random(seed), Trouble(road, seed, counts)
    bought = some_purchases(road, rng)
    invoices = [purchase.made for purchase in bought]
    retry_for_s = rng.choice([0, 5, 60])
    trouble.some(invoices)
    for purchase in bought:
        purchase.ask(road.payer, retry_for_s)
    for _ in range(rng.randint(1, 2)):
        signs_of_life(road, rng.randint(1, 60))
        if rng.random() < 0.5:
            counts["node killed"] += 1
            road.kill_node()
        else:
            counts["plugin killed"] += 1
            road.kill_plugin()
        for purchase in bought:
            if rng.random() < 0.7:
                purchase.ask(road.payer, retry_for_s)
        trouble.some(invoices)
    counts["answered before the end"] += sum(len(_answered(purchase)) for purchase in bought)
    for purchase in bought:
        if purchase.held:
            failure = rng.choice([None, TEMPORARY_NODE_FAILURE])
            road.payee.call("release", *[a for a in (purchase.payment_hash, failure) if a])
    wait_until(lambda: road.payer.channel_to(road.middle)["peer_connected"])
    trouble.end()
    for purchase in bought:
        purchase.heard()
        purchase.ask(road.payer, retry_for_s)
    wrong = [text for purchase in bought for text in judged(road, purchase, counts)]
    with contextlib.suppress(ValueError):
        road.over()
    wrong += [f"{name}: {left}" for name, left in (("journal", road.journal()), ("work", road.working())) if left]
    return wrong, counts


def _answered(purchase: Purchase) -> list[Heard]:
    return [call.result() for call in purchase.calls if call.done() and call.exception() is None]


def judged(road: Road, purchase: Purchase, counts: Counter[str]) -> list[str]:
    """By what the payee got and what the payer's table has."""
    heard = purchase.heard()
    last = result_of(purchase.calls[-1]).answer
    table = rows(road.payer, purchase.made)
    settled = [row for row in table if row["status"] == "complete"]
    pending = [row for row in table if row["status"] == "pending"]
    got = received(road.payee, purchase.made)
    counts.update(payments=1, paid=int(got is not None), parts=len(table), orphaned=len(pending))
    counts.update(calls=len(purchase.calls), cut_off=len(purchase.calls) - len(heard))
    others = {(row["groupid"], row["partid"]) for row in settled if row.get("label") == LABEL}
    counts.update(paid_by_others=len(others), failures=sum(each.answer.error is not None for each in heard))
    wrong = []
    if got not in (None, AMOUNT_MSAT) or sum(row["amount_msat"] for row in settled) != (got or 0):
        wrong.append(f"{got} msat received, settled: {settled}")
    if (last.error is None) != (got is not None):
        wrong.append(f"the last answer is not the truth: {last}")
    if pending and (last.error is None or last.error.get("data", {}).get("reason") != "orphaned_part"):
        wrong.append(f"pending for ever: {pending}")
    for answer in (each.answer for each in heard):
        if answer.error is None:
            preimage = bytes.fromhex(answer.ok()["payment_preimage"])
            if sha256(preimage).hexdigest() != purchase.payment_hash or got is None:
                wrong.append(f"a success that is none: {answer}")
        elif answer.code not in VERDICTS | {-4, -32601} or answer.code == 201:
            wrong.append(f"an answer of another kind: {answer}")
    for each in heard:
        if each.answer.code in VERDICTS and each.others & others:
            wrong.append(f"reported as failed, with a part of another sender out that paid: {each.answer}")
    road.payer.peer.daemon.logs_catchup()
    given_up = f"payment_failed payment_hash={purchase.payment_hash} groupid="
    # What another sender goes on with in its own group is not ours to give up.
    for row in (row for row in settled if row.get("label") != LABEL):
        if any(f"{given_up}{row['groupid']} " in line for line in road.payer.peer.daemon.logs):
            wrong.append(f"given up, but paid: {row}")
    return [f"{purchase.payment_hash}: {text}" for text in wrong]


def test_crash_campaign(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    """Random payments and kills; nothing is paid twice, nothing that was given up is paid, everything ends."""
    counts: Counter[str] = Counter()
    for seed in range(SEED, SEED + RUNS):
        wrong, found = one_run(road, seed)
        counts.update(found)
        assert wrong == [], f"seed {seed}"
    with capsys.disabled():
        print("", *(f"{name:24} {count}" for name, count in counts.items()), sep="\n")
    assert counts["paid"] > 0
