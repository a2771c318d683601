"""How much of the chain a node has seen, who is told of new blocks, and who waits for one."""

from __future__ import annotations

import asyncio

from pay.sim.lightningd.own_node import OwnNode
from pay.sim.lightningd.telling import Notify


class Heights:
    """The blocks of one node. `SimPeer.extra_height` is below 0 where it has not seen all that the world has."""

    def __init__(self, own: OwnNode, notify: Notify):
        self._own = own
        self._notify = notify
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def catch_up(self, blocks: int) -> None:
        """See so many more of the blocks that the world has already."""
        for _ in range(blocks):
            self._own.peer.extra_height += 1
            self.block_added(self._own.world.height)

    def block_added(self, height: int) -> None:
        """The world has a block more, `height` high; or we see one more of those it has."""
        ours = self._own.height
        self._notify("block_added", {"hash": f"{height:064x}", "height": ours})
        waiters, self._waiters = self._waiters, []
        for wanted, reached in waiters:
            if wanted > ours and not reached.done():
                self._waiters.append((wanted, reached))
            elif not reached.done():
                reached.set_result(None)

    def reached(self, height: int) -> asyncio.Future[None]:
        """Done when we have seen the chain so high."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._own.height >= height:
            reached.set_result(None)
        else:
            self._waiters.append((height, reached))
        return reached
