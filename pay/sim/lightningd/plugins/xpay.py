"""cln-xpay's claim on `pay`: what its `rpc_command` hook would take away from the plugin that owns the method.

The stand-in has no xpay; where the real one would pay instead of us, the caller gets an error, so that a test
notices. The rules when a call is taken differ by release, as the host's history shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.plugins.builtin import XPAY_PATH
from pay.sim.lightningd.plugins.configs import Configs, Option
from pay.sim.lightningd.plugins.hooks import Return, Verdict
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.settings import Settings

_OPTION = "xpay-handle-pay"
_KNOWN = frozenset({
    "bolt11", "amount_msat", "retry_for", "maxfee", "partial_msat", "maxfeepercent", "exemptfee", "maxdelay",
    "label", "localinvreqid",
})  # fmt: skip


def xpay_option(release: tuple[int, int]) -> Option:
    """`xpay-handle-pay`: on by default since v26.06."""
    default = "true" if release >= (26, 6) else "false"
    description = "Make xpay take over pay commands it can handle."
    return Option(_OPTION, "bool", default, description, dynamic=True, plugin=XPAY_PATH)


@dataclass(frozen=True, slots=True)
class XpayLink:
    """cln-xpay's place in the chain of `rpc_command`."""

    configs: Configs
    settings: Settings

    def wants(self, command: Command) -> bool:
        """Whether xpay would answer this command."""
        option = self.configs.options.get(_OPTION)
        if command.method != "pay" or option is None or not option.value or self.settings.builtin_pay:
            return False
        return _takes(self.settings.release, command.params)

    async def ask(self, command: Command) -> Verdict:
        error = RpcError(-1, f"{_OPTION} is on: cln-xpay would have answered this pay, not the plugin")
        return Return({"error": error.to_json()})


def _takes(release: tuple[int, int], params: Any) -> bool:
    if isinstance(params, list):
        return 1 <= len(params) <= 2 and params[0] is not None
    if not isinstance(params, dict) or params.get("bolt11") is None:
        return False
    # Up to v25.12 an argument that it does not know stopped it; since v26.04 it drops such arguments.
    return release >= (26, 4) or params.keys() <= _KNOWN
