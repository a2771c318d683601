"""Nodes with the plugin beside the line of lightningd's own, and the options they are started with."""

from __future__ import annotations

from dataclasses import dataclass

from tests.real.support.bench import Line
from tests.real.support.network import Node
from tests.support.checkout import PLUGIN

WITH_PLUGIN = {"disable-plugin": "pay", "plugin": str(PLUGIN)}


@dataclass(frozen=True, slots=True)
class Shop:
    """Nodes with the plugin, on the line's hub: payer ── hub, announced, and shy ── hub, not announced."""

    line: Line
    payer: Node
    shy: Node
