"""The gossip_store of a world: written once, then kept up as a lightningd that hears all gossip would.

A store holds what is announced, with the policies that gossip tells, true or stale. A channel that closes is
dying first and forgotten 72 blocks later.
"""

from __future__ import annotations

from typing import BinaryIO

from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.encoding.failures import CHAIN_HASHES
from pay.sim.network.encoding.store import DYING_BLOCKS, StoreVersion, StoreWriter
from pay.sim.network.world import World
from pay.units import Scid, ScidDir


def write_store(
    world: World, file: BinaryIO, version: StoreVersion = StoreVersion.V26_04, uuid: bytes = bytes(32)
) -> StoreWriter:
    """Writes all announced, open channels and their nodes as a new gossip_store into `file`."""
    writer = StoreWriter(file, CHAIN_HASHES[world.chain], version, uuid)
    announced = (channel for channel in world.channels.values() if channel.announced and not channel.closed)
    writer.extend(record for channel in announced for record in _channel_records(writer, channel))
    writer.extend(
        writer.name_record(peer.id, peer.name, peer.features, _named_at(peer))
        for peer in world.nodes.values()
        if any(channel.announced and not channel.closed for channel in peer.channels)
    )
    return writer


def keep_up(world: World, writer: StoreWriter) -> None:
    """From now on every announcement, policy and closing in `world` is appended by `writer`.

    Nodes whose keys the world knows are named with their first channel; others cannot speak up.
    """
    dying: dict[Scid, int] = {}

    def gossip(channel: SimChannel, direction: int | None) -> None:
        if direction is not None:
            policy = channel.gossiped[direction]
            if policy is not None:
                writer.set_policy(ScidDir(channel.scid, direction), policy)
        elif not channel.closed:
            writer.extend(_channel_records(writer, channel))
            for peer in channel.nodes:
                if peer.has_secret and not writer.has_named(peer.id):
                    writer.name_node(peer.id, peer.name, peer.features, _named_at(peer))
        elif channel.scid not in dying and writer.has_channel(channel.scid):
            writer.spend_channel(channel.scid, world.height)
            dying[channel.scid] = world.height + DYING_BLOCKS

    def block(height: int) -> None:
        for scid in [scid for scid, deadline in dying.items() if deadline <= height]:
            del dying[scid]
            writer.remove_channel(scid)

    world.gossip_listeners.append(gossip)
    world.block_listeners.append(block)


def _channel_records(writer: StoreWriter, channel: SimChannel) -> list[tuple[bytes, int]]:
    a, b = (peer.id for peer in channel.nodes)
    records = writer.channel_records(channel.scid, a, b, channel.capacity_msat, channel.features)
    for direction, policy in enumerate(channel.gossiped):
        if policy is not None:
            records.append(writer.policy_record(ScidDir(channel.scid, direction), policy))
    return records


def _named_at(peer: SimPeer) -> int:
    """A node speaks up when it has a channel to speak of: as late as its newest policy."""
    times = (policy.timestamp for channel in peer.channels for policy in channel.gossiped if policy)
    return max(times, default=0)
