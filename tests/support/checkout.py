"""Where the checkout is, and what of it tests start or read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugin.py"
SNAPSHOT = ROOT.parent / "shared" / "data" / "mainnet-2026-02-03.gossip_store.xz"
"""A gossip_store of mainnet; tests and measurements that want it are skipped where it is not."""
