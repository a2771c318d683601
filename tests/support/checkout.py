"""Where the checkout is, and what of it tests start or read."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugin.py"
SNAPSHOT = Path(
    os.environ.get("CLNPAY_SNAPSHOT") or ROOT.parent / "shared" / "data" / "mainnet-2026-02-03.gossip_store.xz"
)
"""A gossip_store of mainnet, packed with xz. Where there is none, tests and measurements draw a network."""
