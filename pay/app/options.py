"""The options of the plugin: names, defaults, ranges, and how they are read.

lightningd checks of a value that it is a number, true or false, and does not start where it is not, as with its
own options. What it cannot check is ours: a value that cannot be is refused where somebody sets it, by `setconfig`
or `plugin start`. In a configuration it must not cost the node: then the default is used, and said so.

Amounts are texts to lightningd, which has no amounts among the types that a plugin may give an option.

A row names the field that it is of, so that a new option is a field (of `Preferences`, `PartLimits` or
`Remembering`), a row here, and one in docs/options.md and README.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, overload

from pyln.client import Plugin

from pay.app.served import SERVED, Names
from pay.host.host_plugin import HostPlugin
from pay.payment.settings import PartLimits, Settings, Shadow
from pay.router.scorer import Remembering
from pay.routing.preferences import Preferences
from pay.units import parse_msat, show

ALLOW_XPAY = "pay-allow-xpay"
DISABLE_MPP = "disable-mpp"
DEV_RECONCILE = "pay-dev-reconcile-ms"
DEV_ANSWER = "pay-dev-answer-ms"
DEV_LIQUIDITY = "pay-dev-liquidity-ms"

T = TypeVar("T")

_PREFERENCES, _PARTS, _REMEMBERING = Preferences(), PartLimits(), Remembering()
"""What rows are of: values whose fields are their defaults."""

_Of = TypeVar("_Of", Preferences, PartLimits, Remembering)

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number that `setconfig` changes at run time.

    Parameters
    ----------
    of, field
        Of what and which field it is.
    wall
        The field that says the option's name where it allows no more than it could.
    """

    name: str
    of: Preferences | PartLimits | Remembering
    field: str
    most: int
    about: str
    least: int = 0
    wall: str | None = None

    @property
    def default(self) -> int:
        return round(float(getattr(self.of, self.field)) / self.meant(1))

    def meant(self, number: int) -> int | float:
        """What the field has for this number."""
        return number

    @property
    def kind(self) -> str:
        """lightningd's type of it."""
        return "int"

    @property
    def shown(self) -> Any:
        """The default, as `listconfigs` shows it."""
        return self.default

    def read(self, value: Any) -> int:
        """The number in a value from the host. Raises ValueError."""
        text = str(value)
        number = int(text) if _WHOLE.fullmatch(text) else None
        if number is None or not self.least <= number <= self.most:
            raise ValueError(
                f"{self.name} should be a whole number from {self.least} to {self.most}, not {show(value)}"
            )
        return number


@dataclass(frozen=True, slots=True)
class Amount(Number):
    """An amount in msat, given like one of lightningd's own: 5000, 5000msat or 5sat."""

    @property
    def kind(self) -> str:
        return "string"

    @property
    def shown(self) -> Any:
        return f"{self.default}msat"

    def read(self, value: Any) -> int:
        """The amount in a value from the host. Raises ValueError."""
        try:
            amount_msat = parse_msat(value)
        except ValueError as error:
            raise ValueError(f"{self.name} {error}") from None
        if not self.least <= amount_msat <= self.most:
            raise ValueError(f"{self.name} should be {self.most}msat at the most, not {show(value)}")
        return amount_msat


@dataclass(frozen=True, slots=True)
class Percent(Number):
    """A share of the whole."""

    def meant(self, number: int) -> float:
        return number / 100


@dataclass(frozen=True, slots=True)
class Seconds(Number):
    """A time."""

    def meant(self, number: int) -> float:
        return float(number)


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words; `setconfig` changes it at run time."""

    name: str
    words: tuple[str, ...]
    default: str
    about: str

    @property
    def kind(self) -> str:
        """lightningd's type of it."""
        return "string"

    @property
    def shown(self) -> Any:
        """The default, as `listconfigs` shows it."""
        return self.default

    def read(self, value: Any) -> str:
        """The word. Raises ValueError."""
        if value not in self.words:
            raise ValueError(f"{self.name} should be one of {', '.join(self.words)}, not {show(value)}")
        return str(value)


NUMBERS = (
    Amount(
        "pay-failure-cost", _PREFERENCES, "failure_cost_msat", 10**9,
        "What a route that fails e times less often may cost more (msat)",
    ),
    Number(
        "pay-failure-cost-ppm", _PREFERENCES, "failure_cost_ppm", 10**6,
        "As pay-failure-cost, in millionths of the amount",
    ),
    Amount(
        "pay-part-cost", _PREFERENCES, "part_cost_msat", 10**9,
        "What each part beyond the first must save (msat)",
    ),
    Number(
        "pay-part-cost-ppm", _PREFERENCES, "part_cost_ppm", 10**6,
        "As pay-part-cost, in millionths of the amount",
    ),
    Number(
        "pay-usual-parts", _PARTS, "usual_parts", 100,
        "The most parts of a payment at the same time, where there is a way within them", least=1,
    ),
    Number(
        "pay-max-parts", _PARTS, "max_parts", 100,
        "The most parts of a payment at the same time, in any case", least=1, wall="parts_option",
    ),
    Amount(
        "pay-min-part", _PREFERENCES, "min_part_msat", 10**12,
        "The least that a part of several delivers, where that is possible (msat)",
    ),
    Number(
        "pay-max-attempts", _PARTS, "max_attempts", 10**4,
        "The most attempts of a payment", least=1, wall="attempts_option",
    ),
    Percent(
        "pay-randomness", _PREFERENCES, "randomness", 100,
        "How much routes and parts of equal payments vary, in percent; 0: not at all",
    ),
    Amount(
        "pay-second-cost", _PREFERENCES, "second_cost_msat", 10**9,
        "What a route that takes a second less may cost more (msat)",
    ),
    Seconds(
        "pay-failure-half-life", _REMEMBERING, "failure_s", 10**8,
        "Seconds after which half is forgotten of what channels were seen not to carry", least=1,
    ),
    Seconds(
        "pay-success-half-life", _REMEMBERING, "success_s", 10**8,
        "Seconds after which half is forgotten of what channels were seen to carry", least=1,
    ),
)  # fmt: skip

BEST_PRIOR = "auto"
"""Whichever of the others has foretold our own outcomes best."""

PRIOR = Word(
    "pay-balance-prior",
    ("reserved", "uniform", "bimodal", "mixed", BEST_PRIOR),
    _REMEMBERING.prior or BEST_PRIOR,
    "How balances are believed to lie where nothing is known: reserved (uniform, less reserves), uniform, "
    "bimodal (at the ends), mixed, or auto: that of them which has foretold best what our own parts came to",
)
"""The names of `pay.liquidity.prior`, which the manifest cannot wait for.

What foretells best is not yet what pays best: where balances are at the ends of channels `bimodal` foretells best,
and costs a tenth more in fees than `reserved` without saving a failure (python -m tests.bench regret).
"""

SHADOW = Word(
    "pay-shadow",
    tuple(shadow.value for shadow in Shadow),
    Settings().shadow.value,
    "What makes a route look longer than it is: off, delay, or full (delays and a little of the fees)",
)

DYNAMIC: tuple[Number | Word | Names, ...] = (*NUMBERS, SHADOW, PRIOR, SERVED)
"""Those that `setconfig` changes, and of which a value can be none."""


@dataclass(frozen=True, slots=True)
class Bad:
    """An option with an invalid value: in words why, and what is used instead."""

    name: str
    problem: str
    used: Any


def add_options(plugin: Plugin, developer: bool = False, mpp: bool = True) -> None:
    """Declare them; before the manifest. `disable-mpp` is another plugin's where the host has one for `pay`."""
    plugin.add_option(
        ALLOW_XPAY,
        False,
        "Let cln-xpay answer `pay` in our place where its xpay-handle-pay says so (default: that is switched off)",
        opt_type="bool",
    )
    for option in DYNAMIC:
        plugin.add_option(
            option.name, option.shown, option.about, opt_type=option.kind, dynamic=True, on_change=_checker(option)
        )
    if mpp:
        plugin.add_flag_option(DISABLE_MPP, "Disable multi-part payments: every payment is made in one part")
    if developer:
        # Minutes are too long for a test to wait.
        about = "After how many milliseconds "
        plugin.add_option(DEV_RECONCILE, None, about + "parts are compared with the table", opt_type="int")
        plugin.add_option(DEV_ANSWER, None, about + "a call counts as unanswered", opt_type="int")
        plugin.add_option(DEV_LIQUIDITY, None, about + "what was learnt is written", opt_type="int")


def settings(plugin: HostPlugin) -> Settings:
    """As they are now."""
    parts = _chosen(plugin, _PARTS)
    if flag(plugin, DISABLE_MPP):
        parts = replace(parts, max_parts=1, parts_option=DISABLE_MPP)
    return Settings(_chosen(plugin, _PREFERENCES), parts, Shadow(_value(plugin, SHADOW)))


def served(plugin: HostPlugin) -> frozenset[str]:
    """Commands of the host that we are to serve, where they are called."""
    names = SERVED.meant(_value(plugin, SERVED))
    return names - {"pay"} if flag(plugin, ALLOW_XPAY) else names


def remembering(plugin: Plugin) -> Remembering:
    """How beliefs are kept, as the options say now."""
    prior = _value(plugin, PRIOR)
    return replace(_chosen(plugin, _REMEMBERING), prior=None if prior == BEST_PRIOR else prior)


class AsSet(Generic[T]):
    """What `read` makes of the options, made anew only once one was set: a payment asks for it several times."""

    def __init__(self, plugin: HostPlugin, read: Callable[[HostPlugin], T]):
        self._plugin = plugin
        self._read = read
        self._kept: tuple[int, T] | None = None

    def __call__(self) -> T:
        # Taken before it is read: what is set meanwhile, on another thread, is read the next time.
        times = self._plugin.times_set
        if self._kept is None or self._kept[0] != times:
            self._kept = times, self._read(self._plugin)
        return self._kept[1]


def seconds(plugin: Plugin, name: str, default_s: float) -> float:
    """An option in milliseconds that only developers have; the default for everybody else."""
    given = plugin.get_option(name) if name in plugin.options else None
    return default_s if given is None else int(given) / 1000


def flag(plugin: HostPlugin, name: str) -> bool:
    """A bool or flag option, of ours or of the host's, which hosts give as JSON or as text."""
    value = plugin.get_option(name) if name in plugin.options else plugin.hosts_options.get(name)
    return str(value).lower() in ("true", "1")


def bad_values(plugin: Plugin) -> list[Bad]:
    """Options that a configuration or `plugin start` has given invalid values."""
    found = []
    for option in DYNAMIC:
        try:
            option.read(plugin.get_option(option.name))
        except ValueError as error:
            found.append(Bad(option.name, str(error), option.shown))
    return found


@overload
def _value(plugin: Plugin, option: Number) -> int: ...
@overload
def _value(plugin: Plugin, option: Word | Names) -> str: ...


def _value(plugin: Plugin, option: Number | Word | Names) -> int | str:
    """As it is now; the default in the place of an invalid value."""
    try:
        return option.read(plugin.get_option(option.name))
    except ValueError:
        return option.default


def _chosen(plugin: Plugin, defaults: _Of) -> _Of:
    """A value that rows are of, as the options say now."""
    fields: dict[str, Any] = {}
    for number in NUMBERS:
        if number.of is defaults:
            value = _value(plugin, number)
            fields[number.field] = number.meant(value)
            if number.wall is not None:
                fields[number.wall] = number.name if value < number.most else None
    return replace(defaults, **fields)


def _checker(option: Number | Word | Names) -> Callable[[Plugin, str, Any], None]:
    def check(_plugin: Plugin, name: str, value: Any) -> None:
        option.read(value)

    return check
