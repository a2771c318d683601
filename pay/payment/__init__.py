"""Decisions: parameters, the session of one payment, what callers read."""

from pay.payment.attempt import Attempt
from pay.payment.request import PayRequest, parse_request
from pay.payment.session import PaymentSession
from pay.payment.terms import Terms

__all__ = ["Attempt", "PayRequest", "PaymentSession", "Terms", "parse_request"]
