"""How a payment ends: the verdict, which waits for what is out, and the answer, which is given once.

A verdict is a failure that is certain but for parts that are out: if one of them settles, the payment is paid all
the same. A success needs no verdict, and nothing takes it back.
"""

from __future__ import annotations

from pay.payment import events as ev
from pay.payment import verdict as words
from pay.payment.invariants import SessionError
from pay.payment.late import LateGossip
from pay.payment.ledger import Ledger
from pay.payment.patience import Wait
from pay.payment.states import SessionStatus
from pay.payment.terms import Terms
from pay.routing.query import NoRoute


class Ending:
    """Of one payment.

    Attributes
    ----------
    verdict
        What the answer will be if nothing that is out settles; None while more may be tried.
    result
        What was answered; None before that.
    """

    def __init__(self, terms: Terms, ledger: Ledger):
        self._terms = terms
        self._ledger = ledger
        self.verdict: ev.NotPaid | ev.Elsewhere | None = None
        self.result: ev.Result | None = None

    # --- looking ------------------------------------------------------------------------------------------

    @property
    def paid(self) -> ev.Paid | None:
        """The success, with the figures of now: parts that were out when it was answered may have ended since."""
        return self._ledger.as_of_now(self.result)

    @property
    def status(self) -> SessionStatus:
        match self.result:
            case ev.Paid():
                return SessionStatus.SUCCESS
            case ev.NotPaid() | ev.Elsewhere():
                return SessionStatus.FAILED
            case None:
                return SessionStatus.INFLIGHT if self._ledger.attempts else SessionStatus.CREATED

    # --- what may end it ----------------------------------------------------------------------------------

    def over(self, now: float, unix_s: float) -> ev.NotPaid | None:
        """Why no further part may be sent; None where one may. For the two times see `PaymentSession.handle`."""
        ledger = self._ledger
        stop = words.must_stop(self._terms, now, unix_s, ledger.failures, len(ledger.attempts))
        return None if stop is None else ev.NotPaid(stop)

    def no_route(self, why: NoRoute, late: LateGossip) -> ev.NotPaid:
        """There is none, and waiting would bring none."""
        ledger = self._ledger
        why, sent = late.why or why, (len(ledger.attempts), late.parts)
        return ev.NotPaid(words.no_route(self._terms, why, ledger.failures, *sent))

    def too_late(self, waited_for: Wait | None) -> ev.NotPaid:
        """Time is up, in a pause for that or in none."""
        ledger = self._ledger
        tries = len(ledger.attempts)
        return ev.NotPaid(words.stopped_retrying(self._terms, ledger.failures, tries, waited_for))

    # --- changing -----------------------------------------------------------------------------------------

    def decide(self, verdict: ev.NotPaid | ev.Elsewhere) -> ev.NotPaid | ev.Elsewhere:
        """No new parts from now on: the verdict that holds."""
        self._ledger.end_retries()
        if not isinstance(self.verdict, ev.Elsewhere):
            # Another group of this hash may still pay: no failure of a part of ours says that it did not.
            self.verdict = verdict
        return self.verdict

    def still_out(self) -> list[ev.Action]:
        """Tell callers that the verdict waits for parts that are out."""
        match self.verdict:
            case ev.NotPaid(error):
                return [ev.Notify(words.still_out(self._ledger.live, error.code))]
            case ev.Elsewhere() | None:
                return []

    def answer(self, result: ev.Result) -> list[ev.Action]:
        """Give the answer. Raises SessionError where there is one."""
        if self.result is not None:
            raise SessionError("finished twice")
        self.result = result
        self._ledger.end_retries()
        return [ev.Finish(result)]
