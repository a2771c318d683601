"""How payments are made as far as callers do not say: what the options say when a payment begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pay.routing.preferences import Preferences


class Shadow(Enum):
    """What of a shadow route is added to a payment; the values are those of the option."""

    OFF = "off"
    DELAY = "delay"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class PartLimits:
    """How many parts a payment may be made in.

    Parameters
    ----------
    usual_parts
        Parts at the same time, where there is a way within them: recipients may take no more HTLCs over a channel,
        and each is work for all nodes on its way.
    max_parts
        Parts at the same time in any case. Where a hub's channels take 1,980 sat an HTLC, 100 are 198,000 sat.
    max_attempts
        Parts in all: a payment that a hundred HTLCs could not make is not made by the next hundred.
    parts_option, attempts_option
        The names of the user's options that `max_parts` and `max_attempts` are from, as far as more can be allowed
        there.
    """

    usual_parts: int = 30
    max_parts: int = 100
    max_attempts: int = 100
    parts_option: str | None = None
    attempts_option: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it; what calls say in their place (riskfactor) and what is drawn for each (seed) is as it comes."""

    preferences: Preferences = field(default_factory=Preferences)
    parts: PartLimits = field(default_factory=PartLimits)
    shadow: Shadow = Shadow.DELAY
