"""cln-xpay's answers to the hook `rpc_command`: which calls of `pay` it takes over, and as what.

With `xpay-handle-pay` on it takes those that it can handle, by rules that differ by release; where the option is
off it is asked all the same, and says `continue`. Source: plugins/xpay/xpay.c (handle_rpc_command).
"""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.plugins.builtin import HANDLE_PAY
from pay.sim.lightningd.plugins.configs import Configs
from pay.sim.lightningd.settings import Settings
from pay.units import parse_msat

AS_PAY = "xpay-as-pay"
"""Its method for those calls."""
_HANDED_ON = ("amount_msat", "retry_for", "maxfee", "partial_msat", "maxdelay", "label", "localinvreqid")
_FEE_LIMITS = ("maxfeepercent", "exemptfee")
_EXEMPT_MSAT = 5000


def answer_hook(configs: Configs, settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    """What it says of this request."""
    option = configs.options.get(HANDLE_PAY)
    if request.get("method") == "pay" and option is not None and option.value:
        params = _as_xpays(settings.release, request.get("params"))
        if params is not None:
            replaced = {"jsonrpc": "2.0", "id": request.get("id"), "method": AS_PAY, "params": params}
            return {"replace": replaced}
    return {"result": "continue"}


def _as_xpays(release: tuple[int, int], params: Any) -> dict[str, Any] | None:
    """The parameters of its own method; None where it leaves the call to the owner of `pay`."""
    if isinstance(params, list):
        if not 1 <= len(params) <= 2:
            return None
        params = {
            name: value
            for name, value in zip(("bolt11", "amount_msat"), params, strict=False)
            if value is not None
        }
    if not isinstance(params, dict) or "bolt11" not in params:
        return None
    # Up to v25.12 an argument that it does not know stopped it; since v26.04 it drops such arguments.
    known = {"bolt11", *_HANDED_ON, *_FEE_LIMITS}
    if release < (26, 4) and not params.keys() <= known:
        return None
    taken = {"invstring": params["bolt11"]} | {name: params[name] for name in _HANDED_ON if name in params}
    if params.keys() & set(_FEE_LIMITS):
        limit = None if "maxfee" in params else _limit_msat(params)
        if limit is None:
            return None
        taken["maxfee"] = f"{limit}msat"
    return taken


def _limit_msat(params: dict[str, Any]) -> int | None:
    """`maxfeepercent` and `exemptfee` as one amount; knowingly only where the call says how much is paid."""
    try:
        amount_msat = parse_msat(params["amount_msat"])
        percent, exempt = float(params.get("maxfeepercent", 0.5)), params.get("exemptfee", _EXEMPT_MSAT)
        return max(int(amount_msat * percent / 100), parse_msat(exempt))
    except (KeyError, TypeError, ValueError):
        return None
