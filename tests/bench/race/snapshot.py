"""The recorded network, unpacked once a hub and kept under `.bench/race`: unpacking takes ten seconds.

Its nodes have made-up keys: node number n has the private key of n in eight bytes, little endian, and 24 bytes
of one. Our hub takes the place of one of them; channeld_fakenet always plays it with the key `HUB_SECRET`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pay.network import ChannelGraph
from pay.sim.network.encoding.keys import node_id
from pay.units import format_scid
from tests.bench.race.drawing import Topology, topology
from tests.bench.race.tree import Tree
from tests.bench.setting import read_graph

HUB_SECRET = bytes.fromhex("0c633a7c17c701a0980158f5483035e01fa8bd091b47fadf2e86e589a9f93fca")


def node_secret(number: int) -> bytes:
    """Private key of a node of the snapshot."""
    return number.to_bytes(8, "little") + b"\x01" * 24


@dataclass
class Snapshot:
    """Stores of the recorded network.

    Parameters
    ----------
    directory
        Where they are kept.
    """

    tree: Tree
    directory: Path

    @cached_property
    def topology(self) -> Topology:
        """Of the network as it was recorded, before a hub took anybody's place."""
        ids = [bytes.fromhex(line) for line in self._unpacked(None).with_suffix(".ids").read_text().split()]
        return topology(self._graph, ids)

    @cached_property
    def capacity_msat(self) -> dict[str, int]:
        """Of every channel, by its name."""
        graph = self._graph
        sizes = graph.capacity_msat[0::2].tolist()
        return {format_scid(scid): size for scid, size in zip(graph.scids.tolist(), sizes, strict=True)}

    @cached_property
    def _graph(self) -> ChannelGraph:
        return read_graph(self._unpacked(None))

    def store(self, hub: int) -> Path:
        """The gossip_store in which our hub has the place of this node."""
        return self._unpacked(hub)

    def _unpacked(self, hub: int | None) -> Path:
        store = self.directory / f"{self.tree.snapshot.stem}-{'none' if hub is None else hub}.gossip_store"
        if not store.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._unpack(store, [] if hub is None else [f"--node-map={hub}={node_id(HUB_SECRET).hex()}"])
        return store

    def _unpack(self, store: Path, options: list[str]) -> None:
        """Written beside its name: what was interrupted is not taken for a store."""
        print(f"unpacking {store.name}", file=sys.stderr)
        half = store.with_suffix(".half")
        done = subprocess.run(
            [self.tree.compress, "decompress", *options, self.tree.snapshot, half],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        store.with_suffix(".ids").write_text(done.stdout)
        os.replace(half, store)
