"""Numbers as the words of a reason say them."""

from __future__ import annotations

from pay.routing.query import RouteQuery
from pay.units import format_msat


def many(number: int, thing: str, plural: str = "") -> str:
    """`1 channel`, `1,000 channels`."""
    return f"{number:,} {thing if number == 1 else plural or thing + 's'}"


def about(amount_msat: int) -> str:
    """An estimate: four digits of it."""
    digits = 10 ** max(0, len(str(amount_msat)) - 4)
    return f"about {format_msat(amount_msat // digits * digits)}"


def at_most(bound_msat: int, below_msat: int) -> str:
    """A bound in words, never less than it is; all digits where four would be as much as what was asked for."""
    digits = 10 ** max(0, len(str(bound_msat)) - 4)
    rounded = -(-bound_msat // digits) * digits
    return format_msat(rounded if rounded < below_msat else bound_msat)


def share(fee_msat: int, amount_msat: int) -> str:
    """A fee in percent of the amount, with four digits or all before the point."""
    percent = 100 * fee_msat / amount_msat
    return f"{percent:,.0f} %" if percent >= 1_000 else f"{percent:.4g} %"


def in_parts(query: RouteQuery) -> str:
    """In how many parts it was looked for."""
    if query.max_parts == 1:
        return "in one part"
    full = query.max_parts < query.most_parts
    return f"in {query.max_parts} parts" + (", for so many HTLCs our channels have room" if full else "")
