"""The commands of the stand-in, one file a subject; `table.COMMANDS` has them all once this is imported."""

from pay.sim.lightningd.commands import (
    builtin_pay,
    configuration,
    control,
    datastore,
    gossip,
    info,
    invoices,
    payments,
    peers,
    sendpay,
    simulation,
    xpay,
)
from pay.sim.lightningd.commands.table import COMMANDS, HostCommand

__all__ = [
    "COMMANDS",
    "HostCommand",
    "builtin_pay",
    "configuration",
    "control",
    "datastore",
    "gossip",
    "info",
    "invoices",
    "payments",
    "peers",
    "sendpay",
    "simulation",
    "xpay",
]
