"""cln-xpay's claim on `pay`: what its `rpc_command` hook would take away from the plugin that owns the method.

The stand-in has no xpay; where the real one would pay instead of us, the caller gets an error, so that a test
notices. The rules when a call is taken differ by release, as the host's history shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pay.sim.lightningd.configs import Option
from pay.sim.lightningd.jsonstream import RpcError
from pay.sim.lightningd.plugins import BUILTIN_PLUGINS
from pay.sim.lightningd.rpc_server import Command

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode

XPAY_SINCE = (24, 11)
XPAY_PATH = f"{BUILTIN_PLUGINS}/cln-xpay"
_KNOWN = frozenset({
    "bolt11", "amount_msat", "retry_for", "maxfee", "partial_msat", "maxfeepercent", "exemptfee", "maxdelay",
    "label", "localinvreqid",
})  # fmt: skip


def xpay_option(release: tuple[int, int]) -> Option:
    """`xpay-handle-pay`: on by default since v26.06."""
    default = "true" if release >= (26, 6) else "false"
    description = "Make xpay take over pay commands it can handle."
    return Option("xpay-handle-pay", "bool", default, description, dynamic=True, plugin=XPAY_PATH)


def intercept(node: SimNode, command: Command) -> RpcError | None:
    """The error to answer instead of the plugin, None if xpay lets this command pass."""
    option = node.configs.options.get("xpay-handle-pay")
    if command.method != "pay" or option is None or not option.value or node.builtin_pay:
        return None
    if not _takes(node.release, command.params):
        return None
    return RpcError(-1, "xpay-handle-pay is on: cln-xpay would have answered this pay, not the plugin")


def _takes(release: tuple[int, int], params: Any) -> bool:
    if isinstance(params, list):
        return 1 <= len(params) <= 2 and params[0] is not None
    if not isinstance(params, dict) or params.get("bolt11") is None:
        return False
    # Up to v25.12 an argument that it does not know stopped it; since v26.04 it drops such arguments.
    return release >= (26, 4) or params.keys() <= _KNOWN
