"""lightningd's own plugins, as far as others notice them: entries in `plugin list`, methods, options, a hook.

The programs do not run here: their methods are the stand-in's commands, which are there while the plugin is. One
that is stopped gives its names free, and one that is started again wants them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pay.sim.lightningd.plugins.configs import Option
from pay.sim.lightningd.settings import Settings

BUILTIN_PLUGINS = "/usr/libexec/c-lightning/plugins"
XPAY_SINCE = (24, 11)
XPAY = "cln-xpay"
HANDLE_PAY = "xpay-handle-pay"
DEPRECATED: Mapping[str, tuple[int, int]] = {"paystatus": (26, 6)}
"""Methods that lightningd refuses where deprecated ones are not allowed, from this release on.

`pay` is one as well, but says so itself: else cln-xpay could not take it over.
"""

OF_PLUGINS = frozenset({
    "getchaininfo", "listchannels", "listnodes", "autoclean-once", "decode", "pay", "paystatus", "listpays",
    "xpay", "xpay-as-pay",
})  # fmt: skip
"""Commands that are not lightningd's itself, whichever of its plugins has them."""


@dataclass(slots=True, eq=False)
class BuiltinPlugin:
    """One of them; `index` tells which plugin of this run of the node it is, -1 while it is stopped."""

    path: Path
    methods: list[str]
    options: tuple[Option, ...] = ()
    hooks: tuple[dict[str, Any], ...] = ()
    dynamic: bool = True
    index: int = -1

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def active(self) -> bool:
        return self.index >= 0


def builtin_plugins(settings: Settings, disabled: Sequence[str]) -> list[BuiltinPlugin]:
    """Those that one would miss, as this release has them, in their order.

    Parameters
    ----------
    disabled
        What `disable-plugin` names: a path, or the last part of one.
    """
    release = settings.release
    listpays_of_xpay = release >= (26, 6)
    plugins = [
        _plugin("bcli", ["getchaininfo"], dynamic=False),
        _plugin("topology", ["listchannels", "listnodes"], dynamic=False),
        _plugin("autoclean", ["autoclean-once"], dynamic=False),
        _plugin("offers", ["decode"]),
    ]
    if settings.builtin_pay:
        methods = ["pay", "paystatus"] + ["listpays"] * (not listpays_of_xpay)
        disable_mpp = Option("disable-mpp", "flag", description="Disable multi-part payments.")
        plugins.append(_plugin("pay", methods, (disable_mpp,)))
    if release >= XPAY_SINCE:
        methods = ["xpay", "xpay-as-pay"] + ["listpays"] * listpays_of_xpay
        asks = {"name": "rpc_command", "filters": ["pay"]}
        plugins.append(_plugin(XPAY, methods, (_handle_pay(release),), (asks,)))
    return [plugin for plugin in plugins if not {plugin.name, str(plugin.path)} & set(disabled)]


def _plugin(
    name: str, methods: list[str], options: tuple[Option, ...] = (), hooks: tuple[dict[str, Any], ...] = (),
    *, dynamic: bool = True,
) -> BuiltinPlugin:  # fmt: skip
    path = Path(BUILTIN_PLUGINS, name)
    for option in options:
        option.plugin = str(path)
    return BuiltinPlugin(path, methods, options, hooks, dynamic)


def _handle_pay(release: tuple[int, int]) -> Option:
    """On by default since v26.06."""
    default = "true" if release >= (26, 6) else "false"
    description = "Make xpay take over pay commands it can handle."
    return Option(HANDLE_PAY, "bool", default, description, dynamic=True)
