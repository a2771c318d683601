"""Decisions: parameters, the session of one payment, what failures mean, what callers read."""

from pay.payment.attempt import Attempt, Terms
from pay.payment.interpret import Outcome, interpret
from pay.payment.request import PayRequest, parse_request
from pay.payment.session import PaymentSession

__all__ = ["Attempt", "Outcome", "PayRequest", "PaymentSession", "Terms", "interpret", "parse_request"]
