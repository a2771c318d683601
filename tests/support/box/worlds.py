"""Small worlds in a box, for tests of the box itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pay.network import Policy
from pay.sim.lightningd.harness import Box
from pay.sim.network.clock import RealClock
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.world import World
from pay.units import NodeId, format_scid

CAPACITY_MSAT = 1_000_000_000


def build_line(clock: RealClock) -> tuple[World, NodeId]:
    """us ── hub ── far, all of both channels on the left; 1 msat + 10 ppm and 6 blocks everywhere; no latency."""
    world = World(clock, latency_s=0.0)
    us, hub, far = (world.add_node(name).id for name in ("us", "hub", "far"))
    policy = Policy(fee_base_msat=1, fee_ppm=10, cltv_delta=6, htlc_min_msat=0, htlc_max_msat=990_000_000)
    for a, b in ((us, hub), (hub, far)):
        world.add_channel(a, b, CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=policy, policy_ba=policy)
    return world, us


def line_box(directory: Path, **options: Any) -> Box:
    """The line, without a plugin unless one is given."""
    return Box(build_line, directory, **{"plugin": None, **options})


def invoice_of_far(box: Box, amount_msat: int | None = 100_000, **options: Any) -> SimInvoice:
    far = list(box.world.nodes)[2]
    return box.on_world(lambda world: world.create_invoice(far, amount_msat, "a test", **options))


def part(box: Box, invoice: SimInvoice, amount_msat: int, partid: int = 1, **changed: Any) -> dict[str, Any]:
    """Parameters of a `sendpay` over the line to far; the total is the invoice's amount."""
    _, hub, far = (node.hex() for node in box.world.nodes)
    first, second, *_ = (format_scid(scid) for scid in box.world.channels)
    fee_msat = 1 + amount_msat * 10 // 1_000_000
    route = [
        {"channel": first, "id": hub, "amount_msat": amount_msat + fee_msat, "delay": 16},
        {"channel": second, "id": far, "amount_msat": amount_msat, "delay": 10},
    ]
    params = {
        "route": route, "payment_hash": invoice.payment_hash.hex(), "amount_msat": invoice.amount_msat,
        "payment_secret": (invoice.payment_secret or b"").hex(), "partid": partid, "groupid": 1,
    }  # fmt: skip
    return {**params, **changed}


def told(box: Box, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> list[dict[str, Any]]:
    """What the echo plugin was told so far."""
    file = box.node.directory / "told"
    messages = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [message for message in messages if wanted(message)]


def topics(box: Box, *names: str) -> list[dict[str, Any]]:
    """Notifications of these topics that the echo plugin got."""
    return told(box, lambda message: message["method"] in names)


def executable(path: Path, text: str) -> Path:
    """A script for this interpreter."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path
