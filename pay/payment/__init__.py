"""Decisions: what a call asks for, and the session of one payment."""

from pay.payment.attempt import Attempt
from pay.payment.session import PaymentSession
from pay.payment.terms import PayRequest, Terms

__all__ = ["Attempt", "PayRequest", "PaymentSession", "Terms"]
