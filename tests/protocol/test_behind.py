"""The node is left behind: bitcoind, and everybody else, has 100 blocks more than it had when the node started."""

from __future__ import annotations

from pathlib import Path

from pay.sim.network.world import World
from tests.support.box.host import hosting

BEHIND = 100


def test_missing_blocks_are_on_top_of_every_expiry(tmp_path: Path) -> None:
    """The shadow is off, so the recipient asks for 10 blocks and the hub for 40: both get 100 more."""
    with hosting(tmp_path, developer=True) as host:
        us = host.node.us

        def left_behind(world: World) -> None:
            world.nodes[us].extra_height = -BEHIND
            for _ in range(BEHIND):
                world.mine()

        host.world(left_behind)
        mark = host.mark()
        with host.option("pay-shadow", "off"):
            assert host.pay(host.invoice()).ok()["parts"] == 1
        (call,) = host.sendpays(mark)
        assert [hop["delay"] for hop in call["route"]] == [50 + BEHIND, 10 + BEHIND]
