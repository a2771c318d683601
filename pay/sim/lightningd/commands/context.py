"""What a command's handler has to do with: one value for one run of the node."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.heights import Heights
from pay.sim.lightningd.own_node import OwnNode
from pay.sim.lightningd.payments.database import Database
from pay.sim.lightningd.payments.htlc_table import HtlcTable
from pay.sim.lightningd.payments.sendpay import Payments
from pay.sim.lightningd.plugins.configs import Configs
from pay.sim.lightningd.plugins.registry import Plugins
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS
from pay.sim.lightningd.settings import Settings
from pay.sim.lightningd.telling import Notify, WriteLog
from pay.sim.network.world import World
from pay.units import NodeId


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the stand-in, complete."""

    own: OwnNode
    settings: Settings
    faults: LightningdFaults
    db: Database
    configs: Configs
    plugins: Plugins
    payments: Payments
    heights: Heights
    htlcs: HtlcTable
    log: WriteLog
    notify: Notify
    stop_soon: Callable[[], None]
    """Ends the node, after the answer."""

    @property
    def world(self) -> World:
        return self.own.world

    @property
    def us(self) -> NodeId:
        return self.own.id

    @property
    def height(self) -> int:
        return self.own.height

    def bad_param(self, name: str, problem: str, value: Any, command: Command) -> RpcError:
        """A refusal that comes after the parameters were read."""
        verbose = self.settings.developer or command.check_only
        shown = f"token '{json.dumps(value)}'" if verbose else "token (see logs for details)"
        return RpcError(INVALID_PARAMS, f"{name}: {problem}: invalid {shown}")
