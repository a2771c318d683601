"""Events, actions and routes as log lines say them: greppable, one word and its figures."""

from __future__ import annotations

from collections.abc import Iterable

from pay.errors import PayError
from pay.invoice import Invoice
from pay.payment import events as ev
from pay.payment.request import PayRequest
from pay.routing.query import Route
from pay.units import NodeId, format_scid


def path_words(route: Route | None) -> str:
    """The channels of a route with the amount that each is given."""
    if route is None:
        return "self"
    return ",".join(f"{format_scid(hop.scid)}/{hop.direction}:{hop.amount_msat}" for hop in route.hops)


def _nodes(nodes: Iterable[NodeId]) -> str:
    return ",".join(node.hex() for node in nodes) or "none"


def refusal(error: PayError, request: PayRequest, invoice: Invoice | None = None) -> str:
    """A call that is not paid because of what it asks for, with what is known of that."""
    words = f"code={error.code} message={error.message!r}"
    if invoice is None:
        return words
    amount_msat = invoice.amount_msat if request.partial_msat is None else request.partial_msat
    amount_msat = request.amount_msat if amount_msat is None else amount_msat
    amount = "" if amount_msat is None else f" amount_msat={amount_msat}"
    return f"payment_hash={invoice.payment_hash.hex()} payee={invoice.payee.hex()}{amount} {words}"


def brief(value: ev.Event | ev.Action) -> str:
    """An event or action by its name, with the figures that matter."""
    name = type(value).__name__
    match value:
        case ev.RoutesFound(_, routes):
            return f"{name} routes={len(routes)} fee_msat={sum(route.fee_msat for route in routes)}"
        case ev.NoRouteFound(_, why):
            return f"{name} reason={why.reason.value}"
        case ev.AttemptFailed(partid, failure, _):
            return f"{name} partid={partid} erring_index={failure.erring_index} failcode={failure.failcode}"
        case ev.AttemptAccepted(partid) | ev.SendAttempt(partid, _) | ev.AttemptSettled(partid, _):
            return f"{name} partid={partid}"
        case ev.FindRoutes(query_id, query, _):
            return f"{name} query={query_id} amount_msat={query.amount_msat} max_fee_msat={query.max_fee_msat}"
        case ev.AskPeers(peers, missed, _):
            return f"{name} asked={_nodes(peers)} missed={_nodes(missed)}"
        case ev.Notify(message):
            return f"{name} message={message!r}"
        case _:
            return name
