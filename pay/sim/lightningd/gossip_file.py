"""The gossip_store in the node's directory: written from the world at start, kept up while the node runs."""

from __future__ import annotations

from pathlib import Path

from pay.sim.network.encoding.store import StoreVersion
from pay.sim.network.world import World
from pay.sim.network.world_store import keep_up, write_store


class GossipFile:
    """One store file that follows one world until it is closed.

    Parameters
    ----------
    release
        (year, month) of the host, which decides the version of the file.
    """

    def __init__(self, world: World, path: Path, release: tuple[int, int]):
        version = StoreVersion.V24_08
        if release >= (26, 4):
            version = StoreVersion.V26_04
        elif release >= (25, 12):
            version = StoreVersion.V25_12
        # Readers may have the file of an earlier run open: it is replaced as a whole, never cut under them.
        fresh = path.with_suffix(".new")
        self._world = world
        self.writer = write_store(world, fresh.open("w+b"), version)
        self.writer.file.flush()
        fresh.replace(path)
        keep_up(world, self.writer)
        self._listeners = world.gossip_listeners[-1], world.block_listeners[-1]

    def close(self) -> None:
        """What happens from now on is not written any more."""
        on_gossip, on_block = self._listeners
        self._world.gossip_listeners.remove(on_gossip)
        self._world.block_listeners.remove(on_block)
        self.writer.file.close()
