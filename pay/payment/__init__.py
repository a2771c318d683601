"""Decisions: parameters, the session of one payment, what callers read."""

from pay.payment.attempt import Attempt, Terms
from pay.payment.request import PayRequest, parse_request
from pay.payment.session import PaymentSession

__all__ = ["Attempt", "PayRequest", "PaymentSession", "Terms", "parse_request"]
