"""How payments are made as far as callers do not say: what the options say when a payment begins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pay.payment.attempt import (
    DEFAULT_FAILURE_COST_MSAT,
    DEFAULT_FAILURE_COST_PPM,
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_MAX_PARTS,
    DEFAULT_MIN_PART_MSAT,
    DEFAULT_PART_COST_MSAT,
    DEFAULT_PART_COST_PPM,
    DEFAULT_RANDOMNESS_PERCENT,
    DEFAULT_USUAL_PARTS,
)


class Shadow(Enum):
    """What of a shadow route is added to a payment; the values are those of the option."""

    OFF = "off"
    DELAY = "delay"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Settings:
    """Amounts in msat; `randomness` from 0 to 1. `parts_option` and `attempts_option` name where more parts and
    attempts can be allowed, if they can."""

    failure_cost_msat: int = DEFAULT_FAILURE_COST_MSAT
    failure_cost_ppm: int = DEFAULT_FAILURE_COST_PPM
    part_cost_msat: int = DEFAULT_PART_COST_MSAT
    part_cost_ppm: int = DEFAULT_PART_COST_PPM
    usual_parts: int = DEFAULT_USUAL_PARTS
    max_parts: int = DEFAULT_MAX_PARTS
    min_part_msat: int = DEFAULT_MIN_PART_MSAT
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    parts_option: str | None = None
    attempts_option: str | None = None
    randomness: float = DEFAULT_RANDOMNESS_PERCENT / 100
    second_cost_msat: int = 0
    shadow: Shadow = Shadow.DELAY
