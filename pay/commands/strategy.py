"""What each attempt of a payment was made for, in words (`strategy` of `paystatus`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pay.payment.attempt import Attempt
from pay.units import ScidDir, format_msat

FIRST = "Initial attempt"
"""Readers look for these words on the first attempt."""


def strategies(attempts: Iterable[Attempt]) -> Iterator[str]:
    """Of each, in the order in which they were made."""
    failed_on: dict[tuple[ScidDir, ...], bool] = {}
    for number, attempt in enumerate(attempts):
        part = f"Part {attempt.partid}: {format_msat(attempt.amount_msat)}"
        if attempt.route is None:
            yield part if number else FIRST
            continue
        channels = tuple(hop.scid_dir for hop in attempt.route.hops)
        match failed_on.get(channels):
            case None:
                how = "by another route"
            case True:
                how = "tried again by the same route"
            case False:
                how = "beside another by the same route"
        yield f"{part} {how}" if number else FIRST
        failed_on[channels] = failed_on.get(channels, False) or not attempt.counts
