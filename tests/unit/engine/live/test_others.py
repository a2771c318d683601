"""Parts of other plugins: what is told of them, in the words that cln-xpay of v26.06.6 was heard to use."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from pay.engine.live import others as module
from pay.engine.live.learning import Learning
from pay.engine.live.others import Others, Over
from pay.engine.live.out import Out
from pay.feedback.blame import Kind, Speaker
from pay.feedback.failure import FailCode
from pay.feedback.observations import Ended, Place, observations
from pay.liquidity.in_flight import Fate, Part
from pay.liquidity.observation import NodeWorked, Passed, Refused
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.routing.query import Hop
from pay.units import MAX_MSAT, format_scid
from tests.support.payments import NOW, line, node

XPAY = "cln-xpay"
BIG = 8454830020255695634
"""A groupid of cln-xpay, above 2^53."""
HASH = "4efff28f9557dbec58105ea4ab0eaaab11ab00de32deb8c070b51bc8b10a0bba"
ROUTE = line(60_000, "abc")
HOPS = ROUTE.hops
NAME: dict[str, Any] = {"payment_hash": HASH, "groupid": BIG, "partid": 1}


def start(**changes: Any) -> dict[str, Any]:
    hops = [
        {
            "next_node": hop.node.hex(), "short_channel_id": format_scid(hop.scid), "direction": hop.direction,
            "channel_in_msat": hop.amount_msat, "channel_out_msat": hop.amount_msat,
        }
        for hop in HOPS
    ]  # fmt: skip
    return {**NAME, "total_payment_msat": 60_000, "attempt_msat": 60_000, "hops": hops, **changes}


def success(**changes: Any) -> dict[str, Any]:
    return {"status": "success", "duration": 0.659476370, **NAME, **changes}


def failure(index: int, code: int = FailCode.TEMPORARY_CHANNEL_FAILURE, **changes: Any) -> dict[str, Any]:
    """At a place on the route: 0 is us, the last the recipient."""
    fields: dict[str, Any] = {"status": "failure", **NAME, "duration": 0.25}
    if index:
        fields["failed_node_id"] = HOPS[index - 1].node.hex()
    if index < len(HOPS):
        fields["failed_short_channel_id"] = format_scid(HOPS[index].scid)
        fields["failed_direction"] = HOPS[index].direction
    return {**fields, "error_code": int(code), "error_message": "some name", **changes}


def told(end: dict[str, Any], now_s: float = NOW + 5) -> Over | None:
    others = Others()
    others.started(XPAY, start(), NOW)
    return others.ended(XPAY, end, now_s)


def over(end: dict[str, Any]) -> Over:
    found = told(end)
    assert found is not None
    return found


# --- what an end says -------------------------------------------------------------------------------------------


def test_settled() -> None:
    """The whole route, with the amounts that went over each channel; the time is the sender's own."""
    end = over(success())
    assert (end.settled, end.told, end.blame) == (True, True, None)
    assert end.seconds == pytest.approx(0.659, abs=0.001)
    expected = [(hop.node, hop.scid_dir, hop.amount_msat) for hop in HOPS]
    assert [(hop.node, hop.scid_dir, hop.amount_msat) for hop in end.sent.route.hops] == expected
    assert end.sent.key == (bytes.fromhex(HASH), BIG, 1) and end.sent.by == XPAY


@pytest.mark.parametrize(
    ("index", "code", "speaker", "kind"),
    [
        (0, FailCode.TEMPORARY_CHANNEL_FAILURE, Speaker.US, Kind.AWAY),
        (1, FailCode.TEMPORARY_CHANNEL_FAILURE, Speaker.ON_THE_WAY, Kind.LACKS_BALANCE),
        (2, FailCode.TEMPORARY_CHANNEL_FAILURE, Speaker.LAST_BUT_ONE, Kind.LACKS_BALANCE),
        (1, FailCode.UNKNOWN_NEXT_PEER, Speaker.ON_THE_WAY, Kind.AWAY),
        (1, FailCode.FEE_INSUFFICIENT, Speaker.ON_THE_WAY, Kind.POLICY),
        (1, FailCode.TEMPORARY_NODE_FAILURE, Speaker.ON_THE_WAY, Kind.NODE_TROUBLE),
        (1, FailCode.UNKNOWN_PAYMENT, Speaker.ON_THE_WAY, Kind.NONSENSE),
        (3, FailCode.MPP_TIMEOUT, Speaker.RECIPIENT, Kind.PARTS_MISSING),
        (3, FailCode.PERMANENT_NODE_FAILURE, Speaker.RECIPIENT, Kind.REFUSED),
    ],
)
def test_failed(index: int, code: FailCode, speaker: Speaker, kind: Kind) -> None:
    """Read by the same table as an answer to a part of ours."""
    end = over(failure(index, code))
    assert end.blame is not None and not end.settled
    assert (end.blame.speaker, end.blame.kind, end.blame.index) == (speaker, kind, index)


def test_the_recipients_refusal_as_it_was_heard() -> None:
    end = over(failure(3, FailCode.UNKNOWN_PAYMENT, failed_msg="400f000000000000138800000073"))
    assert end.blame is not None and end.blame.speaker is Speaker.RECIPIENT and end.blame.height == 0x73


def test_garbled() -> None:
    """Nobody on the way can have written it."""
    end = over({"status": "failure", **NAME, "duration": 1.0, "error_message": "Garbled error message"})
    assert end.blame is not None and end.blame.kind is Kind.UNREADABLE


@pytest.mark.parametrize(
    "end",
    [
        {"status": "failure", **NAME, "error_message": "the node did not take this part"},
        failure(1, FailCode.INVALID_ONION_BLINDING),
        # A node that is elsewhere on the route, or not on it; a channel that is not; a direction that is not.
        failure(1, failed_node_id=HOPS[1].node.hex()),
        failure(3, FailCode.MPP_TIMEOUT, failed_node_id=HOPS[0].node.hex()),
        failure(3, FailCode.MPP_TIMEOUT, failed_node_id=node("z").hex()),
        failure(1, failed_short_channel_id="9x9x9"),
        failure(1, failed_direction=1 - HOPS[1].direction),
        failure(0, failed_node_id=HOPS[2].node.hex()),
    ],
    ids=str,
)
def test_what_teaches_nothing(end: dict[str, Any]) -> None:
    found = over(end)
    assert (found.settled, found.told, found.blame) == (False, False, None)


@pytest.mark.parametrize(
    "end", [success(groupid=BIG + 1), success(partid=2), success(payment_hash="00" * 32)], ids=str
)
def test_an_end_without_its_start(end: dict[str, Any]) -> None:
    """Big numbers are told apart to the last digit."""
    assert told(end) is None


def test_an_end_that_another_plugin_tells() -> None:
    others = Others()
    others.started(XPAY, start(), NOW)
    assert others.ended("liar.py", success(), NOW) is None
    assert others.ended(XPAY, success(), NOW) is not None
    assert others.ended(XPAY, success(), NOW) is None, "it has ended once"


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_hash": "00"}, {"payment_hash": 7}, {"groupid": 1.5}, {"groupid": True}, {"groupid": -1},
        {"groupid": 1 << 64}, {"partid": "1"}, {"hops": None}, {"hops": {}}, {"hops": [None]}, {"hops": [{}]},
        {"hops": [{"next_node": "02", "short_channel_id": "1x1x1", "direction": 0, "channel_out_msat": 1}]},
        {"hops": start()["hops"] * 40},
        {"hops": [{**start()["hops"][0], "channel_out_msat": MAX_MSAT + 1}]},
        {"hops": [{**start()["hops"][0], "channel_out_msat": 0}]},
        {"hops": [{**start()["hops"][0], "direction": 2}]},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_read(changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It is one line for who looks for it, and nothing else."""
    others = Others()
    learning = Learning(SimpleNamespace(), Out(), others)  # type: ignore[arg-type]
    with caplog.at_level(logging.DEBUG, "pay"):
        learning.hear("pay_part_start", XPAY, start(**changes), NOW)
    assert [record.message.split()[0] for record in caplog.records] == ["others_part_unreadable"]
    assert list(others.out(NOW)) == []


# --- what is kept -----------------------------------------------------------------------------------------------


def test_starts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by age: a start without an end is normal."""
    monkeypatch.setattr(module, "MOST", 10)
    others = Others()
    for groupid in range(25):
        others.started(XPAY, start(groupid=groupid), NOW + groupid)
    assert others.ended(XPAY, success(groupid=14), NOW + 30) is None
    assert others.sender(HASH, 14) is None and others.sender(HASH, 15) == XPAY
    assert others.ended(XPAY, success(groupid=15), NOW + 30) is not None
    others.started(XPAY, start(groupid=50), NOW + 30 + module.KEPT_S)
    assert others.ended(XPAY, success(groupid=24), NOW + 31 + module.KEPT_S) is None


def test_what_counts_as_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest, and not for long."""
    monkeypatch.setattr(module, "MOST_OUT", 2)
    others = Others()
    for groupid in range(3):
        others.started(XPAY, start(groupid=groupid), NOW + groupid)
    holds = tuple((hop.scid_dir, hop.amount_msat) for hop in HOPS[1:])
    assert list(others.out(NOW + 3)) == [Part(holds, Fate.OUT, NOW + 2), Part(holds, Fate.OUT, NOW + 1)]
    assert list(others.out(NOW + 2 + module.OUT_S)) == [Part(holds, Fate.OUT, NOW + 2)]
    others.ended(XPAY, success(groupid=2), NOW + 3)
    assert [part.began_s for part in others.out(NOW + 3)] == [NOW + 1, NOW]


def test_a_payment_to_the_node_itself_has_no_hops() -> None:
    others = Others()
    others.started(XPAY, start(hops=[]), NOW)
    assert others.sender(HASH, BIG) == XPAY and others.ended(XPAY, success(), NOW) is None


# --- what it teaches --------------------------------------------------------------------------------------------


class Told:
    """A planner that only listens."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def learn(self, ended: Ended) -> None:
        self.ended.append(ended)


def place(_before: Hop, hop: Hop) -> Place:
    return Place(10**9, frozenset({hop.scid}))


def test_the_beliefs_hear_of_it() -> None:
    """The first channel let it pass, the second refused; who forwarded has worked."""
    planner, others = Told(), Others()
    learning = Learning(planner, Out(), others)  # type: ignore[arg-type]
    learning.hear("pay_part_start", XPAY, start(), NOW)
    assert planner.ended == []
    learning.hear("pay_part_end", XPAY, failure(2), NOW + 1)
    (ended,) = planner.ended
    assert (ended.seconds, ended.others.parts) == (0.25, ())
    seen = observations(ended, place)
    assert [each.channel for each in seen if isinstance(each, Passed)] == [HOPS[1].scid_dir]
    assert [each.channel for each in seen if isinstance(each, Refused)] == [HOPS[2].scid_dir]
    assert [each.node for each in seen if isinstance(each, NodeWorked)] == [HOPS[0].node]


def test_what_was_out_together_is_told_together() -> None:
    """A part of ours that fails while another plugin's is out may have met that one, and the other way round."""
    planner, others = Told(), Others()
    learning = Learning(planner, Out(), others)  # type: ignore[arg-type]
    learning.hear("pay_part_start", XPAY, start(), NOW)
    learning.hear("pay_part_start", XPAY, start(groupid=5), NOW)
    ours = Attempt(1, ROUTE, 60_000, 61_000, AttemptStatus.SETTLED, NOW)
    learning.part_ended(ours, NOW + 1)
    assert [part.fate for part in planner.ended[-1].others.parts] == [Fate.OUT, Fate.OUT]
    learning.hear("pay_part_end", XPAY, failure(1), NOW + 2)
    assert [part.fate for part in planner.ended[-1].others.parts] == [Fate.OUT, Fate.SETTLED]
    learning.hear("pay_part_end", XPAY, success(groupid=5), NOW + 3)
    assert [part.fate for part in planner.ended[-1].others.parts] == [Fate.SETTLED, Fate.FAILED]
