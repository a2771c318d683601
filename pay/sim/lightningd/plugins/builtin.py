"""lightningd's own plugins, as far as others notice them: what `plugin list` shows, and whose a method is."""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.settings import Settings

BUILTIN_PLUGINS = "/usr/libexec/c-lightning/plugins"
XPAY_PATH = f"{BUILTIN_PLUGINS}/cln-xpay"
XPAY_SINCE = (24, 11)


def builtin_plugins(settings: Settings, faults: LightningdFaults) -> list[dict[str, Any]]:
    """The entries of those that one would miss."""
    names = ["bcli", "topology"]
    names += ["offers"] * ("decode" not in faults.missing) + ["pay"] * settings.builtin_pay
    shown = [{"name": f"{BUILTIN_PLUGINS}/{name}", "active": True, "dynamic": False} for name in names]
    if settings.release >= XPAY_SINCE:
        shown.append({"name": XPAY_PATH, "active": True, "dynamic": True})
    return shown


def builtin_owner(method: str) -> str:
    """Path of the plugin of lightningd's own that has this method."""
    return f"{BUILTIN_PLUGINS}/pay" if method == "pay" else XPAY_PATH
