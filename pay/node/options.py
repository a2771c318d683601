"""The options of the plugin: names, defaults, ranges, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyln.client import Plugin

from pay.node.memory import Remembering
from pay.payment.settings import Settings, Shadow
from pay.units import show

ALLOW_XPAY = "pay-allow-xpay"
SHADOW = "pay-shadow"
DISABLE_MPP = "disable-mpp"
DEV_RECONCILE = "pay-dev-reconcile-ms"
DEV_ANSWER = "pay-dev-answer-ms"
DEV_LIQUIDITY = "pay-dev-liquidity-ms"

_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True)
class Number:
    """A whole-number option that `setconfig` changes at run time."""

    name: str
    default: int
    most: int
    about: str
    least: int = 0


FAILURE_COST = Number(
    "pay-failure-cost",
    _DEFAULTS.failure_cost_msat,
    1_000_000_000,
    "What a route that fails e times less often may cost more, in msat",
)
FAILURE_COST_PPM = Number(
    "pay-failure-cost-ppm",
    _DEFAULTS.failure_cost_ppm,
    1_000_000,
    "As pay-failure-cost, in millionths of the amount",
)
PART_COST = Number(
    "pay-part-cost", _DEFAULTS.part_cost_msat, 1_000_000_000, "What each part beyond the first must save, in msat"
)
PART_COST_PPM = Number(
    "pay-part-cost-ppm", _DEFAULTS.part_cost_ppm, 1_000_000, "As pay-part-cost, in millionths of the amount"
)
USUAL_PARTS = Number(
    "pay-usual-parts",
    _DEFAULTS.usual_parts,
    100,
    "The most parts of a payment at the same time, where there is a way within them",
    least=1,
)
MAX_PARTS = Number(
    "pay-max-parts", _DEFAULTS.max_parts, 100, "The most parts of a payment at the same time, in any case", least=1
)
MIN_PART = Number(
    "pay-min-part",
    _DEFAULTS.min_part_msat,
    10**12,
    "The least that a part of several delivers, where that is possible, in msat",
)
MAX_ATTEMPTS = Number(
    "pay-max-attempts", _DEFAULTS.max_attempts, 10_000, "The most attempts of a payment", least=1
)
RANDOMNESS = Number(
    "pay-randomness",
    round(100 * _DEFAULTS.randomness),
    100,
    "How much routes and parts of equal payments vary, in percent; 0: not at all",
)
SECOND_COST = Number(
    "pay-second-cost",
    _DEFAULTS.second_cost_msat,
    1_000_000_000,
    "What a route that takes a second less may cost more, in msat",
)
FAILURE_HALF_LIFE = Number(
    "pay-failure-half-life",
    86_400,
    10**8,
    "Seconds after which half is forgotten of what channels were seen not to carry",
    least=1,
)
SUCCESS_HALF_LIFE = Number(
    "pay-success-half-life",
    6 * 3_600,
    10**8,
    "Seconds after which half is forgotten of what channels were seen to carry",
    least=1,
)
NUMBERS = (
    FAILURE_COST, FAILURE_COST_PPM, PART_COST, PART_COST_PPM, USUAL_PARTS, MAX_PARTS, MIN_PART, MAX_ATTEMPTS,
    RANDOMNESS, SECOND_COST, FAILURE_HALF_LIFE, SUCCESS_HALF_LIFE,
)  # fmt: skip

PRIOR = "pay-balance-prior"
BEST_PRIOR = "auto"
"""Whichever of the others has foretold our own outcomes best."""

PRIORS = ("reserved", "uniform", "bimodal", "mixed", BEST_PRIOR)
"""The names of `pay.liquidity.prior`, which the manifest cannot wait for; the first is the default.

What foretells best is not yet what pays best: where balances are at the ends of channels `bimodal` foretells best,
and costs a tenth more in fees than `reserved` without saving a failure (python -m tests.bench regret).
"""

_WORDS = {
    SHADOW: (tuple(shadow.value for shadow in Shadow), _DEFAULTS.shadow.value),
    PRIOR: (PRIORS, PRIORS[0]),
}
"""Options that take one of some words, and their defaults."""


def add_options(plugin: Plugin, developer: bool = False) -> None:
    """Declare them all; before the manifest."""
    plugin.add_option(
        ALLOW_XPAY,
        False,
        "Let cln-xpay answer `pay` in our place where its xpay-handle-pay says so (default: that is switched off)",
        opt_type="bool",
    )
    for number in NUMBERS:
        plugin.add_option(
            number.name,
            number.default,
            number.about,
            opt_type="int",
            dynamic=True,
            on_change=_checker(number),
        )
    plugin.add_option(
        SHADOW,
        _DEFAULTS.shadow.value,
        "What makes a route look longer than it is: off, delay, or full (delays and a little of the fees)",
        opt_type="string",
        dynamic=True,
        on_change=_check_word,
    )
    plugin.add_option(
        PRIOR,
        PRIORS[0],
        "How balances are believed to lie where nothing is known: reserved (uniform, less reserves), uniform, "
        "bimodal (at the ends), mixed, or auto: that of them which has foretold best what our own parts came to",
        opt_type="string",
        dynamic=True,
        on_change=_check_word,
    )
    plugin.add_flag_option(DISABLE_MPP, "Disable multi-part payments: every payment is made in one part")
    if developer:
        # Minutes are too long for a test to wait.
        about = "After how many milliseconds "
        plugin.add_option(DEV_RECONCILE, None, about + "parts are compared with the table", opt_type="int")
        plugin.add_option(DEV_ANSWER, None, about + "a call counts as unanswered", opt_type="int")
        plugin.add_option(DEV_LIQUIDITY, None, about + "what was learnt is written", opt_type="int")


def settings(plugin: Plugin) -> Settings:
    """As they are now; a start value out of range counts as the nearest end, an unknown word as the default."""
    single = flag(plugin, DISABLE_MPP)
    return Settings(
        failure_cost_msat=_value(plugin, FAILURE_COST),
        failure_cost_ppm=_value(plugin, FAILURE_COST_PPM),
        part_cost_msat=_value(plugin, PART_COST),
        part_cost_ppm=_value(plugin, PART_COST_PPM),
        usual_parts=_value(plugin, USUAL_PARTS),
        max_parts=1 if single else _value(plugin, MAX_PARTS),
        min_part_msat=_value(plugin, MIN_PART),
        max_attempts=_value(plugin, MAX_ATTEMPTS),
        parts_option=DISABLE_MPP if single else _if_more(plugin, MAX_PARTS),
        attempts_option=_if_more(plugin, MAX_ATTEMPTS),
        randomness=_value(plugin, RANDOMNESS) / 100,
        second_cost_msat=_value(plugin, SECOND_COST),
        shadow=Shadow(_word(plugin, SHADOW)),
    )


def remembering(plugin: Plugin) -> Remembering:
    """How beliefs are kept, as the options say now."""
    prior = _word(plugin, PRIOR)
    return Remembering(
        failure_s=float(_value(plugin, FAILURE_HALF_LIFE)),
        success_s=float(_value(plugin, SUCCESS_HALF_LIFE)),
        prior=None if prior == BEST_PRIOR else prior,
    )


def seconds(plugin: Plugin, name: str, default_s: float) -> float:
    """An option in milliseconds that only developers have; the default for everybody else."""
    given = plugin.get_option(name) if name in plugin.options else None
    return default_s if given is None else int(given) / 1000


def flag(plugin: Plugin, name: str) -> bool:
    """A bool or flag option, which hosts give as JSON or as text."""
    return str(plugin.get_option(name)).lower() in ("true", "1")


def _value(plugin: Plugin, number: Number) -> int:
    return max(number.least, min(number.most, int(plugin.get_option(number.name))))


def _if_more(plugin: Plugin, number: Number) -> str | None:
    """Its name, where it can be set to more than it is."""
    return number.name if _value(plugin, number) < number.most else None


def unknown_words(plugin: Plugin) -> list[tuple[str, str, str]]:
    """Options that a configuration file gives a word that is none of theirs: name, word, and what is used."""
    given = ((name, str(plugin.get_option(name))) for name in _WORDS)
    return [(name, word, _WORDS[name][1]) for name, word in given if word not in _WORDS[name][0]]


def _word(plugin: Plugin, name: str) -> str:
    words, default = _WORDS[name]
    given = str(plugin.get_option(name))
    return given if given in words else default


def _check_word(_plugin: Plugin, name: str, value: Any) -> None:
    words, _ = _WORDS[name]
    if value not in words:
        raise ValueError(f"{name} should be one of {', '.join(words)}, not {show(value)}")


def _checker(number: Number) -> Callable[[Plugin, str, Any], None]:
    def check(_plugin: Plugin, name: str, value: Any) -> None:
        try:
            good = number.least <= int(value) <= number.most
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ValueError(f"{name} should be a whole number from {number.least} to {number.most}")

    return check
