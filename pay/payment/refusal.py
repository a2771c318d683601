"""A failed part as callers are told of it: which node failed it, at which channel, and what it sent."""

from __future__ import annotations

from pay.errors import Refusal
from pay.feedback.failure import Failure, read_details
from pay.payment.terms import Terms
from pay.routing.query import Route


def refusal_of(terms: Terms, route: Route | None, failure: Failure) -> Refusal:
    """Of a part of the payment of `terms`; where its route is not known, no more than our own place on it."""
    index, hops = failure.erring_index, () if route is None else route.hops
    node, at, arrived = None, None, False
    if index == 0:
        node, arrived = terms.source, terms.to_self
    if route is not None and index is not None and index <= len(hops):
        node = hops[index - 1].node if index else terms.source
        at = hops[index] if index < len(hops) else None
        arrived = at is None
    return Refusal(
        index,
        node,
        None if at is None else at.scid,
        0 if at is None else at.direction,
        arrived,
        failure.failcode,
        read_details(failure.failcode, failure.raw_message).update_bytes,
        failure.raw_message,
    )
