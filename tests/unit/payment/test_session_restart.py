"""Payments as stories: parts that were out before a restart, watched only or taken up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.errors import Code
from pay.feedback.failure import Failure
from pay.payment import events as ev
from pay.payment.session import PaymentSession, SessionError
from pay.payment.states import State
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    line,
    no_balance,
    node,
    terms,
    unknown_payment,
)
from tests.support.sessions import DEADLINE, Teller, asked, error_of, paid_of

# --- adopted parts --------------------------------------------------------------------------------------------

ADOPTED = (ev.FoundPart(3, 50_000, 50_500), ev.FoundPart(4, 50_000, 50_700))


def watching() -> Teller:
    return Teller(terms(max_fee_msat=0, max_delay_blocks=0, final_cltv=0, watched=True), ADOPTED)


def test_adopted_parts_are_watched_only() -> None:
    story = watching()
    assert story.first == [] and story.session.state is State.DRAINING_FAILED
    assert story.fails(3, no_balance(1)) == []
    assert story.tell(ev.TimerFired(), at=DEADLINE) == []
    error = error_of(story.fails(4, unknown_payment(1)))
    assert error.code == Code.STOPPED_RETRYING, "how it was refused is known to its sender, not to us"


def test_an_adopted_part_settles() -> None:
    story = watching()
    paid = paid_of(story.settles(4))
    # There were parts 1 and 2 before, which have failed.
    assert paid == ev.Paid(PREIMAGE, 100_000, 101_200, parts=4, incomplete=True, failed_parts=2)
    assert story.fails(3, no_balance(1)) == [] and story.session.state is State.DONE


def test_broken_before_its_first_part_and_paid_by_somebody() -> None:
    """The host's table has the preimage, the session has no attempt to count."""
    session = PaymentSession(terms())
    session.handle(ev.Started(), NOW)
    session.handle(ev.Crashed(ev.Paid(PREIMAGE, 100_000, 101_000, 1, False), frozenset()), NOW)
    assert session.paid == ev.Paid(PREIMAGE, 100_000, 0, parts=0, incomplete=True)


def test_watching_nothing_sends_nothing() -> None:
    """The parts ended between the look and the start."""
    story = Teller(terms(watched=True))
    assert error_of(story.first).code == Code.STOPPED_RETRYING
    assert story.session.queries == 0


# --- ours, from before a restart ------------------------------------------------------------------------------


def resumed(*parts: ev.FoundPart, **changes: object) -> Teller:
    return Teller(terms(first_partid=5, **changes), parts)


def test_half_of_it_is_still_out() -> None:
    """Only the other half is asked for, with what the first one leaves of the fee budget."""
    story = resumed(ev.FoundPart(4, 50_000, 51_500))
    query = story.questions[0].query
    assert (query.amount_msat, query.max_fee_msat) == (50_000, 3_500)
    (sent,) = story.routes(line(50_000))
    assert isinstance(sent, ev.SendAttempt) and sent.partid == 5
    assert paid_of(story.settles(4)).sent_msat == 51_500 + 53_000


def test_all_of_it_is_still_out() -> None:
    story = resumed(ev.FoundPart(4, 100_000, 100_500))
    assert story.first == [ev.WakeAt(DEADLINE)]
    assert asked(story.fails(4, Failure(None, None, ""))).query.amount_msat == 100_000


def test_a_forgotten_route_and_the_recipients_own_word() -> None:
    """The route is not known any more; the node that answered is."""
    for erring_node, over in ((node("d"), True), (node("c"), False), (None, False)):
        story = resumed(ev.FoundPart(4, 100_000, 100_500))
        actions = story.fails(4, replace(unknown_payment(2), erring_node=erring_node))
        assert isinstance(actions[0], ev.Finish) is over


def test_more_is_out_than_the_amount() -> None:
    with pytest.raises(SessionError):
        resumed(ev.FoundPart(3, 50_001, 50_001), ev.FoundPart(4, 50_000, 50_000))


def test_the_deadline_has_passed_meanwhile() -> None:
    """Nothing is added; what is out is waited for."""
    story = resumed(ev.FoundPart(4, 50_000, 51_500), deadline_s=NOW)
    assert story.questions == [] and story.session.result is None
    assert error_of(story.fails(4, Failure(None, None, ""))).code == Code.STOPPED_RETRYING


def test_our_node_is_behind_the_chain() -> None:
    """100 blocks: what the recipient sees is not ahead of what we count from, so its refusal is one; a block more
    is waited for."""
    story = Teller(terms(behind_blocks=100))
    assert (story.questions[0].query.final_cltv, story.questions[0].query.max_delay) == (118, 2116)
    story.routes(line(100_000, final_cltv=118))
    assert error_of(story.fails(1, unknown_payment(4, HEIGHT + 100))).code == Code.DESTINATION_FAILED
    story = Teller(terms(behind_blocks=100))
    story.routes(line(100_000, final_cltv=118))
    story.fails(1, unknown_payment(4, HEIGHT + 101))
    assert story.session.state is State.WAITING_HEIGHT


@pytest.mark.parametrize(("delay", "fits"), [(2_016 + 100, True), (2_016 + 101, False)])
def test_missing_blocks_are_not_in_maxdelay(delay: int, fits: bool) -> None:
    story = Teller(terms(behind_blocks=100))
    route = line(100_000, "d", final_cltv=delay)
    if fits:
        assert story.routes(route) == [ev.SendAttempt(1, route)]
    else:
        with pytest.raises(SessionError):
            story.routes(route)
