"""What is taken up at a start: which payment is completed, which only watched, and with which numbers.

The payment of the entry is 100,000 msat to d, of group 3. An earlier run has sent

    partid   row        delivers   leaves us
       3     pending      40,000      40,400
       4     failed       60,000      60,600

and its part 3 is among the HTLCs of our channels. The node was restarted with this plugin, and there is time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pay.engine import recovery as adoption
from pay.engine.live.register import Register
from pay.engine.live.running import Running, Source
from pay.engine.records.entry import Entry
from pay.engine.records.journal import Earlier
from pay.engine.recovery import RECONNECT_S, Recovery
from pay.errors import Code, PayError
from pay.host.calls import PartOrder, SendpayRow, SendpayStatus
from pay.invoice import Invoice, InvoiceKind
from pay.network.hints import HintHop
from pay.payment.events import FoundPart
from pay.payment.terms import Terms
from pay.units import NodeId, ScidDir, direction_of
from tests.support.payments import NOW, PREIMAGE, node, scid, terms
from tests.support.values import varied
from tests.support.waiting import played

P, C, F = SendpayStatus.PENDING, SendpayStatus.COMPLETE, SendpayStatus.FAILED
US, D = node("us"), node("d")
HASH = bytes([7]) * 32
BEGAN = int(NOW) - 500


def row(partid: int, status: SendpayStatus, amount_msat: int | None = 40_000, groupid: int = 3) -> SendpayRow:
    sent_msat = (amount_msat or 40_000) * 101 // 100
    preimage = PREIMAGE if status is C else None
    return SendpayRow(groupid, partid, status, amount_msat, sent_msat, BEGAN + partid, D.hex(), preimage)


TERMS: Terms = terms(
    100_000, payment_hash=HASH, groupid=3, total_msat=150_000, deadline_s=NOW + 60, expires_at_s=NOW + 3600,
    max_parts=4, first_partid=1,
)  # fmt: skip
ORDER = PartOrder(HASH.hex(), 150_000, 3, "lnbc1", "02" * 32, None, "l", None, None)
ENTRY = Entry(TERMS, ORDER)
LSP = node("lsp")
INVOICE = Invoice(
    InvoiceKind.BOLT11, "lnbc1", HASH, D, 150_000, int(NOW) + 3600, 18, bytes(32), None, 1 << 17, None, None,
    ((HintHop(LSP, scid(5), 0, 0, 40),),),
)  # fmt: skip
PART_3 = FoundPart(3, 40_000, 40_400, float(BEGAN + 3))


@dataclass
class Start:
    """A start of the plugin: what the node and the journal have, and what came of it."""

    entry: Entry | None = ENTRY
    journalled: bool = True
    table: list[SendpayRow] = field(default_factory=lambda: [row(3, P), row(4, F, 60_000)])
    out: Counter[int] | None = field(default_factory=lambda: Counter({40_400: 1}))
    invoice: Invoice | Exception = INVOICE
    host_restarted: bool = True
    other_names: tuple[str, ...] = ()
    kind: str = "bolt11"

    started: list[tuple[Running, tuple[FoundPart, ...], bool]] = field(default_factory=list)
    told_paid: list[Running] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    totals: list[tuple[bytes, int]] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)
    earlier: Earlier = field(default_factory=Earlier)
    unread: bool = False
    kept: dict[str, int] | None = field(default_factory=dict)
    broken: bool = False
    register: Register = field(default_factory=Register)

    def run(self) -> Start:
        me: Any = self
        self.taking_up = Recovery(me, me, self.register, me, me, US, "regtest", self.host_restarted)
        self.earlier = played(self.taking_up.run())
        return self

    # --- the node, the journal, the orphans and the runner, as far as they are asked -------------------------

    async def certain(self, method: str, params: dict[str, Any], _: Any) -> list[dict[str, Any]]:
        assert (method, params) == ("listsendpays", {"status": "pending"})
        pending = [one for one in self.table if one.status is P]
        return [
            {"payment_hash": HASH.hex(), "groupid": one.groupid, "partid": one.partid, self.kind: "lnbcrow",
             "label": "of the row"}
            for one in pending
        ]  # fmt: skip

    async def read(self, us: NodeId) -> dict[str, Entry | None] | None:
        assert us == US
        if self.unread:
            return None
        entries: dict[str, Entry | None] = dict.fromkeys(self.other_names)
        return entries | ({HASH.hex(): self.entry} if self.journalled else {})

    def found_at_start(self, rows: list[dict[str, Any]]) -> None:
        self.found = rows

    async def earlier_groups(self) -> dict[str, int] | None:
        return None if self.kept is None else dict(self.kept)

    async def keep_earlier(self, payment_hash: str, groupid: int) -> None:
        if self.kept is not None:
            self.kept[payment_hash] = groupid

    async def forget_earlier(self, payment_hash: str) -> None:
        assert self.kept is not None
        del self.kept[payment_hash]

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        if self.broken:
            raise ValueError("rows that cannot be understood")
        return self.table if payment_hash == HASH else []

    async def decode(self, text: str, network: str) -> Invoice:
        assert (text, network) == ("lnbc1", "regtest")
        if isinstance(self.invoice, Exception):
            raise self.invoice
        return self.invoice

    async def amounts_out(self, payment_hash: bytes) -> Counter[int] | None:
        assert payment_hash == HASH
        return self.out

    def start(self, running: Running, parts: tuple[FoundPart, ...], in_journal: bool, entry: Entry | None) -> None:
        # What is written down later keeps the payment's own terms, also where it is only watched.
        assert entry is (None if running.order is None else self.entry)
        self.register.start(running)
        self.started.append((running, parts, in_journal))

    def paid_before(self, running: Running) -> None:
        self.told_paid.append(running)

    async def remove(self, name: str) -> None:
        self.removed.append(name)

    async def keep_total(self, payment_hash: bytes, amount_msat: int, now_s: int) -> None:
        assert now_s == int(NOW)
        self.totals.append((payment_hash, amount_msat))


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption.time, "time", lambda: NOW)


def resumed(**changes: Any) -> Running:
    """What completes it; the parts that were found go along."""
    start = Start(**changes).run()
    ((running, parts, in_journal),) = start.started
    assert not running.session.terms.watched and in_journal
    assert parts == tuple(
        FoundPart(one.partid, one.amount_msat or 0, one.sent_msat, float(one.created_at))
        for one in start.table
        if one.status is P
    )
    assert start.removed == []
    return running


def watched(**changes: Any) -> tuple[Running, tuple[FoundPart, ...], bool]:
    """What only waits for the parts that were found."""
    (found,) = Start(**changes).run().started
    assert found[0].session.terms.watched
    return found


# --- completed --------------------------------------------------------------------------------------------------


def test_completed_as_it_was_begun() -> None:
    """With the limits of its entry; numbers go on after the highest row of its group, a failed one too."""
    running = resumed()
    assert running.session.terms == replace(
        TERMS,
        first_partid=5,
        wakeable=frozenset({ScidDir(scid(5), direction_of(LSP, D))}),
        patient_until_s=NOW + RECONNECT_S,
    )
    assert (running.order, running.created_at_s, running.total_chosen) == (ORDER, BEGAN + 3, True)
    assert running.ours and running.total_known and running.source.label == "l"


def test_numbers_go_on_after_those_of_its_own_group() -> None:
    """Part 9 is of another sender's group, which has failed."""
    assert resumed(table=[row(3, P), row(9, F, groupid=2)]).session.terms.first_partid == 4
    assert resumed(table=[row(2, F), row(3, P), row(1, F)]).session.terms.first_partid == 4


def test_what_the_earlier_run_had_begun_is_said() -> None:
    start = Start().run()
    assert start.earlier == Earlier({HASH: 3})
    assert [(one["groupid"], one["partid"]) for one in start.found] == [(3, 3)], "orphans are among these only"
    assert Start(entry=None).run().earlier == Earlier({HASH: 0}), "of which group is not known"
    assert Start(host_restarted=False).run().earlier == Earlier({HASH: 3}, queued=True)
    assert Start(unread=True, host_restarted=False).run().earlier == Earlier({}, any_hash=True, queued=True)


# --- only watched -----------------------------------------------------------------------------------------------

NO_TIME = varied(TERMS, deadline_s=NOW)
EXPIRED = replace(TERMS, expires_at_s=NOW)

WHY_NOT = {
    "an order may be queued in a node that runs on": {"host_restarted": False},
    "retry_for is over": {"entry": replace(ENTRY, terms=NO_TIME)},
    "the invoice has expired": {"entry": replace(ENTRY, terms=EXPIRED)},
    "the part has no HTLC": {"out": Counter()},
    "an HTLC of another amount is not its own": {"out": Counter({40_401: 1})},
    "whether it has one is not known": {"out": None},
    "of two parts with one amount there is one HTLC": {"table": [row(3, P), row(4, P)]},
    "another invoice": {"invoice": replace(INVOICE, payment_hash=bytes(32))},
    "an invoice of another payee": {"invoice": replace(INVOICE, payee=node("e"))},
    "an invoice for another amount": {"invoice": replace(INVOICE, amount_msat=100_000)},
    "an invoice with blinded paths": {"invoice": replace(INVOICE, kind=InvoiceKind.BOLT12)},
    "an invoice that is none any more": {"invoice": PayError(Code.INVALID_PARAMS, "bolt11: not valid")},
}


@pytest.mark.parametrize("changes", WHY_NOT.values(), ids=WHY_NOT)
def test_nothing_is_added_in_doubt(changes: dict[str, Any]) -> None:
    """It is ours to announce all the same, and what it comes to is known from the entry."""
    running, parts, in_journal = watched(**changes)
    table: list[SendpayRow] = changes.get("table", [row(3, P)])
    assert [part.partid for part in parts] == [one.partid for one in table] and in_journal
    assert (running.order, running.ours, running.total_known) == (ORDER, True, True)
    terms = running.session.terms
    assert (terms.amount_msat, terms.groupid, terms.destination) == (100_000, 3, D)
    assert (terms.payment_hash, terms.source, terms.created_at_s) == (HASH, US, BEGAN + 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"invoice": replace(INVOICE, amount_msat=None)},
        {"out": Counter({40_400: 2})},
        {"table": [row(3, P), row(4, P)], "out": Counter({40_400: 2})},
        {"entry": replace(ENTRY, terms=varied(TERMS, deadline_s=NOW + 1))},
        {"entry": replace(ENTRY, terms=replace(TERMS, total_msat=150_900, shadow_fee_msat=900))},
        {"table": [row(3, P, 100_000)], "out": Counter({101_000: 1})},
    ],
    ids=["open invoice", "more HTLCs", "two of one amount", "a second", "a shadow fee", "all of it is out"],
)
def test_what_is_no_doubt(changes: dict[str, Any]) -> None:
    resumed(**changes)


def test_the_shadow_fee_is_nothing_that_callers_know() -> None:
    shadowed = replace(ENTRY, terms=TERMS.with_shadow(blocks=0, fee_msat=900))
    running, _, _ = watched(entry=shadowed, host_restarted=False)
    assert running.session.terms.amount_msat == 100_000


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": None, "journalled": False},
        {"entry": None},
        {"entry": None, "kind": "bolt12"},
        {"entry": replace(ENTRY, terms=replace(TERMS, groupid=2))},
        {"table": [row(3, P, 100_001)]},
        {"table": [row(3, P, None)]},
    ],
    ids=["no entry", "unreadable", "bolt12", "of another group", "no room for what is out", "amount not known"],
)
def test_parts_of_whom_nobody_knows(changes: dict[str, Any]) -> None:
    """An entry that is not theirs tells nothing of them; their rows do. It is struck out in the end as well."""
    running, _, in_journal = watched(**changes)
    assert (running.order, running.ours, running.total_known) == (None, False, False)
    assert in_journal is changes.get("journalled", True)
    assert running.source == Source("lnbcrow", "of the row")
    terms, (out,) = running.session.terms, changes.get("table", [row(3, P)])
    assert (terms.amount_msat, terms.groupid, terms.destination) == (out.amount_msat or 0, 3, D)


def test_whom_it_pays_is_not_known() -> None:
    running, _, _ = watched(entry=None, table=[replace(row(3, P), destination=None)])
    assert running.session.terms.destination == bytes(33)


# --- rows that are gone -----------------------------------------------------------------------------------------

GONE = FoundPart(2, 60_000, 60_600, NOW - 400)
LATER = FoundPart(5, 30_000, 30_300, NOW - 300)


def test_a_part_that_the_node_had_taken_has_no_row() -> None:
    """Beside one that is still out: both are waited for, nothing is added. Part 3 has its row: it is one part."""
    running, parts, in_journal = watched(entry=replace(ENTRY, accepted=(GONE, PART_3)))
    assert parts == (PART_3, GONE) and in_journal and running.order == ORDER
    part_4 = FoundPart(4, 40_000, 40_400, float(BEGAN + 4))
    assert watched(entry=replace(ENTRY, accepted=(GONE, part_4)), table=[row(4, P)])[1] == (part_4, GONE)
    assert resumed(entry=replace(ENTRY, accepted=(PART_3,))).session.terms.first_partid == 5


def test_nothing_is_out_and_a_part_has_no_row() -> None:
    """A row of another group under its number is not its own. The payment is as old as the first of its parts."""
    entry = replace(ENTRY, accepted=(LATER, GONE))
    start = Start(entry=entry, table=[row(4, F), row(2, F, groupid=2)]).run()
    ((running, parts, in_journal),) = start.started
    assert running.session.terms.watched and parts == (LATER, GONE) and in_journal
    assert running.session.terms.created_at_s == NOW - 400
    assert running.order == ORDER and start.removed == []


def test_nothing_is_out_and_every_part_has_a_row() -> None:
    start = Start(entry=replace(ENTRY, accepted=(PART_3,)), table=[row(3, F)]).run()
    assert (start.started, start.removed, start.told_paid) == ([], [HASH.hex()], [])
    assert start.earlier == Earlier({HASH: 3})


def test_what_may_be_queued_stays_in_the_journal_for_a_while() -> None:
    """The node runs on: another run of ours may follow soon, and must know of the order as well."""
    start = Start(entry=replace(ENTRY, accepted=(PART_3,)), table=[row(3, F)], host_restarted=False).run()
    assert (start.started, start.removed) == ([], [HASH.hex()])
    assert start.earlier.may_come(HASH) and start.kept == {HASH.hex(): 3}
    played(start.taking_up.forget())
    assert start.kept == {}
    again = Start(journalled=False, table=[row(3, F)], host_restarted=False, kept={HASH.hex(): 3}).run()
    assert again.earlier.may_come(HASH) and again.earlier.group(HASH) == 3
    assert Start(kept=None, host_restarted=False).run().earlier.any_hash


def test_an_entry_that_breaks_the_look_at_it_keeps_no_other_from_being_taken_up() -> None:
    start = Start(table=[row(3, F)], other_names=("ab",), broken=True).run()
    assert sorted(start.removed) == sorted(["ab", HASH.hex()])


def test_it_was_paid_while_nobody_looked() -> None:
    """Others hear of it, and what it came to is kept: 100,000, whatever the rows show."""
    entry = replace(ENTRY, terms=TERMS.with_shadow(blocks=0, fee_msat=900), accepted=(GONE,))
    start = Start(entry=entry, table=[row(4, C)]).run()
    assert [(one.order, one.session.terms) for one in start.told_paid] == [(ORDER, entry.terms)]
    assert start.totals == [(HASH, 100_000)]
    assert (start.started, start.removed) == ([], [HASH.hex()])


def test_somebody_else_has_paid_it() -> None:
    """Group 2 is not ours, whatever became of our part: the success is not ours to announce."""
    start = Start(table=[row(3, C, groupid=2), row(4, F)]).run()
    assert (start.told_paid, start.totals, start.started) == ([], [], [])
    assert start.removed == [HASH.hex()]


def test_paid_and_a_part_of_it_is_still_out(caplog: pytest.LogCaptureFixture) -> None:
    """Past is past: it is not watched, and its entry goes once that was told. That is nothing unusual."""
    start = Start(table=[row(3, C), row(4, P)]).run()
    assert start.started == [] and len(start.told_paid) == 1 and start.removed == [HASH.hex()]
    assert caplog.records == []


def test_names_that_are_no_hashes_are_swept_out() -> None:
    start = Start(journalled=False, table=[], other_names=("zz", "0707", "08" * 32)).run()
    assert start.removed == ["zz", "0707", "08" * 32]
