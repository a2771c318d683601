"""What the parts of a payment come to, and what is asked of the planner for the rest of it: each sum by itself.

Six parts of a payment of 1,000,000 msat, one of each status and another one out, no two with the same figures:

    partid  status     delivers  fee
       1    SETTLED      100,000    10
       2    INFLIGHT      20,000   200
       3    CREATED        3,000 3,000
       4    RETRYING     500,000    40
       5    FAILED       400,000    50
       6    INFLIGHT          70     7
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.payment.attempt import Attempt
from pay.payment.ledger import Ledger
from pay.payment.route_query import SEARCHES, RouteQueries, route_query, whole
from pay.payment.states import AttemptStatus
from pay.payment.terms import Terms
from pay.routing.preferences import Preferences
from pay.routing.query import RouteQuery
from tests.support.payments import NOW, node, terms
from tests.support.values import varied

CREATED, INFLIGHT, SETTLED = AttemptStatus.CREATED, AttemptStatus.INFLIGHT, AttemptStatus.SETTLED
RETRYING, FAILED = AttemptStatus.RETRYING, AttemptStatus.FAILED

PARTS = [
    (SETTLED, 100_000, 10),
    (INFLIGHT, 20_000, 200),
    (CREATED, 3_000, 3_000),
    (RETRYING, 500_000, 40),
    (FAILED, 400_000, 50),
    (INFLIGHT, 70, 7),
]


@pytest.fixture
def ledger() -> Ledger:
    """A share of a payment of ten times as much: what others pay of it is in none of the sums."""
    ledger = Ledger(terms(1_000_000, total_msat=10_000_000))
    for partid, (status, amount_msat, fee_msat) in enumerate(PARTS, 1):
        ledger.attempts[partid] = Attempt(partid, None, amount_msat, amount_msat + fee_msat, status, NOW)
    return ledger


def statuses(ledger: Ledger) -> list[AttemptStatus]:
    return [attempt.status for attempt in ledger.attempts.values()]


# --- the parts --------------------------------------------------------------------------------------------------


def test_what_is_delivered_out_and_left(ledger: Ledger) -> None:
    assert ledger.sums.delivered_msat == 100_000
    assert ledger.sums.in_flight_msat == 20_000 + 3_000 + 70
    assert ledger.left_msat == 1_000_000 - 100_000 - 23_070
    assert [part.partid for part in ledger.live] == [2, 3, 6]


def test_what_it_costs(ledger: Ledger) -> None:
    """A part without an answer may settle, so its fee counts; one that failed cost nothing."""
    assert ledger.sums.fees_msat == 10 + 200 + 3_000 + 7
    assert ledger.sums.sent_msat == 123_070 + 3_217


def test_another_status(ledger: Ledger) -> None:
    ledger.mark(2, SETTLED)
    ledger.mark(3, INFLIGHT, only_from=CREATED)
    ledger.mark(6, FAILED, only_from=CREATED)
    ledger.mark(7, SETTLED)
    ledger.mark(8, SETTLED, only_from=CREATED)
    assert statuses(ledger) == [SETTLED, SETTLED, INFLIGHT, RETRYING, FAILED, INFLIGHT]
    assert (ledger.sums.delivered_msat, ledger.sums.in_flight_msat) == (120_000, 3_070)


def test_closed(ledger: Ledger) -> None:
    """What was out has settled if it is among those that did, else it has failed; what was over stays."""
    ledger.close({2, 4, 5})
    assert statuses(ledger) == [SETTLED, SETTLED, FAILED, RETRYING, FAILED, FAILED]
    assert (ledger.sums.delivered_msat, ledger.sums.in_flight_msat, ledger.sums.fees_msat) == (120_000, 0, 210)


def test_nothing_is_planned_any_more(ledger: Ledger) -> None:
    ledger.end_retries()
    assert statuses(ledger) == [SETTLED, INFLIGHT, CREATED, FAILED, FAILED, INFLIGHT]


# --- the question -----------------------------------------------------------------------------------------------

PAYMENT: Terms = terms(
    1_000_000, total_msat=3_000_000, max_fee_msat=9_000, riskfactor=3.0, failure_cost_msat=700,
    failure_cost_ppm=200, part_cost_msat=310, part_cost_ppm=15, second_cost_msat=11, max_parts=12,
    min_part_msat=13, max_attempts=100, parts_option="parts", attempts_option="attempts", seed=14,
    randomness=0.15, metadata_bytes=16, behind_blocks=17,
).with_shadow(blocks=80, fee_msat=1_900)  # fmt: skip


def test_every_field_of_the_question() -> None:
    """600,000 msat are left, 2,100 msat of fees are committed, 4 of 7 parts are out or settled.

    The shadow fee is off the budget as well, and the blocks that our node lacks are on top of both delays.
    """
    assert route_query(PAYMENT, 600_000, 2_100, 4, 7) == RouteQuery(
        source=node("us"),
        destination=node("d"),
        amount_msat=600_000,
        final_cltv=18 + 17,
        max_fee_msat=9_000 - 1_900 - 2_100,
        max_delay=2_016 + 17,
        preferences=Preferences(
            riskfactor=3.0,
            failure_cost_msat=700,
            failure_cost_ppm=200,
            part_cost_msat=310,
            part_cost_ppm=15,
            second_cost_msat=11,
            min_part_msat=13,
            randomness=0.15,
            seed=14,
        ),
        max_parts=12 - 4,
        parts_option="parts",
        max_searches=SEARCHES,
        metadata_bytes=16,
        shadow_blocks=80,
    )


def test_prices_are_rounded_down() -> None:
    """200 and 15 ppm of 129,999 msat."""
    asked = route_query(PAYMENT, 129_999, 0, 0, 0)
    assert (asked.nat_msat, asked.more_part_msat) == (700 + 25, 310 + 1)


@pytest.mark.parametrize(
    ("live", "attempts", "max_parts"),
    [
        (0, 0, 12),
        (3, 50, 9),
        # Eight attempts are left of a hundred: a plan of more parts would exceed them.
        (3, 92, 8),
        (0, 99, 1),
        # As many are out as may be: then it is one part more, and never a question for none.
        (12, 20, 1),
        (12, 100, 1),
    ],
)
def test_parts_and_attempts_that_are_left(live: int, attempts: int, max_parts: int) -> None:
    assert route_query(PAYMENT, 600_000, 0, live, attempts).max_parts == max_parts


@pytest.mark.parametrize(
    ("live", "attempts", "usual", "most"),
    [
        (0, 0, 30, 80),
        (29, 29, 1, 51),
        # More are out already than is usual: one by one, unless there is no way so.
        (51, 53, 1, 29),
        (51, 90, 1, 10),
        # All are out that may be.
        (80, 80, 1, 0),
    ],
)
def test_thirty_parts_are_a_wish_and_eighty_a_wall(live: int, attempts: int, usual: int, most: int) -> None:
    asked = route_query(varied(PAYMENT, max_parts=80), 600_000, 0, live, attempts)
    assert (asked.max_parts, asked.most_parts) == (usual, most)


@pytest.mark.parametrize(
    ("most", "live", "attempts", "many", "wall"),
    [
        (12, 3, 3, True, "parts"),
        (12, 3, 90, True, "parts"),
        (12, 3, 92, True, "attempts"),
        (80, 0, 40, True, "attempts"),
        (80, 0, 0, True, "parts"),
        # Thirty are usual, and more will be asked for: neither option forbids that.
        (80, 0, 0, False, None),
        (20, 0, 0, False, "parts"),
    ],
)
def test_which_option_is_the_wall(most: int, live: int, attempts: int, many: bool, wall: str | None) -> None:
    payment = varied(PAYMENT, max_parts=most)
    assert route_query(payment, 600_000, 0, live, attempts, many=many).parts_option == wall


def test_the_last_resort_has_no_more_parts_than_are_left() -> None:
    assert route_query(PAYMENT, 600_000, 0, 0, 0).late_parts == 0
    assert route_query(PAYMENT, 600_000, 0, 0, 0, late_parts=3).late_parts == 3
    assert route_query(varied(PAYMENT, max_parts=1), 600_000, 0, 0, 0, late_parts=3).late_parts == 1


def test_the_question_for_all_of_it(ledger: Ledger) -> None:
    """What is out comes back with its fees and its places; what is settled does not."""
    query = route_query(PAYMENT, 600_000, 2_100, 3, 6)
    assert whole(query, ledger.live) == replace(
        query, amount_msat=600_000 + 23_070, max_fee_msat=5_000 + 3_207, max_parts=9 + 3
    )
    assert whole(query, []) is None
    more = replace(query, most_parts=40)
    assert whole(more, ledger.live).most_parts == 40 + 3


def test_one_question_is_open_at_a_time() -> None:
    """Numbered as they are asked; an answer to an older one, or a second answer, is void."""
    questions = RouteQueries()
    assert not questions.answered(0), "none was asked"
    assert [questions.ask(70_000), questions.ask(60_000)] == [1, 2]
    assert (questions.asked, questions.requested_msat) == (2, 60_000)
    assert not questions.answered(1) and questions.requested_msat == 60_000
    assert questions.answered(2) and questions.requested_msat == 0
    assert not questions.answered(2)
    questions.ask(50_000)
    questions.close()
    assert not questions.answered(3) and questions.requested_msat == 0
