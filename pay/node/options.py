"""The options of the plugin: names, defaults, types, and how they are read."""

from __future__ import annotations

from typing import Any

from pyln.client import Plugin

from pay.payment.attempt import DEFAULT_FAILURE_COST_MSAT

ALLOW_XPAY = "pay-allow-xpay"
FAILURE_COST = "pay-failure-cost"
DISABLE_MPP = "disable-mpp"
DEV_RECONCILE = "pay-dev-reconcile-ms"
DEV_ANSWER = "pay-dev-answer-ms"

_MOST_FAILURE_COST_MSAT = 1_000_000_000


def add_options(plugin: Plugin, developer: bool = False) -> None:
    """Declare them all; before the manifest."""
    plugin.add_option(
        ALLOW_XPAY,
        False,
        "Let cln-xpay answer `pay` in our place where its xpay-handle-pay says so (default: that is switched off)",
        opt_type="bool",
    )
    plugin.add_option(
        FAILURE_COST,
        DEFAULT_FAILURE_COST_MSAT,
        "What a route that fails e times less often may cost more, in msat",
        opt_type="int",
        dynamic=True,
        on_change=_check_failure_cost,
    )
    plugin.add_flag_option(DISABLE_MPP, "Disable multi-part payments: every payment is made in one part")
    if developer:
        # Minutes are too long for a test to wait.
        about = "After how many milliseconds "
        plugin.add_option(DEV_RECONCILE, None, about + "parts are compared with the table", opt_type="int")
        plugin.add_option(DEV_ANSWER, None, about + "a call counts as unanswered", opt_type="int")


def failure_cost_msat(plugin: Plugin) -> int:
    """The option's value; a start value out of range counts as the nearest end."""
    return max(0, min(_MOST_FAILURE_COST_MSAT, int(plugin.get_option(FAILURE_COST))))


def seconds(plugin: Plugin, name: str, default_s: float) -> float:
    """An option in milliseconds that only developers have; the default for everybody else."""
    given = plugin.get_option(name) if name in plugin.options else None
    return default_s if given is None else int(given) / 1000


def flag(plugin: Plugin, name: str) -> bool:
    """A bool or flag option, which hosts give as JSON or as text."""
    return str(plugin.get_option(name)).lower() in ("true", "1")


def _check_failure_cost(_plugin: Plugin, name: str, value: Any) -> None:
    try:
        good = 0 <= int(value) <= _MOST_FAILURE_COST_MSAT
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"{name} should be a whole number of msat from 0 to {_MOST_FAILURE_COST_MSAT}")
