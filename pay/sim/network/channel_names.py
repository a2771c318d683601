"""How channels are called: by their short_channel_id, or by an alias that only one end of them accepts.

BOLT 2 (option_scid_alias): each end of an unannounced channel gives the other an alias, which goes into route
hints; as the start of a forward the channel goes by that alias and not by its real scid.
"""

from __future__ import annotations

from collections.abc import Sequence

from pay.sim.network.channel import SimChannel
from pay.sim.network.encoding import keys
from pay.units import NodeId, Scid

_CHANNELS_PER_BLOCK = 500


class ChannelNames:
    """Finds channels by name and by their ends; `channels` (by real scid) is shared with the world."""

    __slots__ = ("_aliases", "_channels", "_pairs", "_seed")

    def __init__(self, channels: dict[Scid, SimChannel], seed: int):
        self._channels = channels
        self._seed = seed
        self._aliases: dict[Scid, tuple[SimChannel, int]] = {}
        self._pairs: dict[bytes, list[SimChannel]] = {}

    def taken(self, scid: Scid) -> bool:
        return scid in self._channels or scid in self._aliases

    def add(self, channel: SimChannel) -> None:
        self._channels[channel.scid] = channel
        self._pairs.setdefault(_pair(channel), []).append(channel)
        if not channel.announced:
            for side, alias in enumerate(channel.aliases):
                self._aliases[alias] = (channel, side)

    def find(self, scid: Scid, start: NodeId, own: bool) -> SimChannel | None:
        """The channel that `start` knows by this scid or alias; see `World.find_channel`."""
        channel = self._channels.get(scid)
        if channel is not None:
            known = (channel.announced or own) and start in (channel.nodes[0].id, channel.nodes[1].id)
            return channel if known else None
        named = self._aliases.get(scid)
        if named is None or named[0].nodes[named[1]].id != start:
            return None
        return named[0]

    def parallel(self, channel: SimChannel) -> Sequence[SimChannel]:
        """All channels between the same two nodes."""
        return self._pairs[_pair(channel)]

    def new_scid(self) -> Scid:
        """One that is not taken, a few hundred to a block."""
        number = len(self._channels)
        while True:
            block, tx = divmod(number, _CHANNELS_PER_BLOCK)
            scid = Scid((block + 1) << 40 | (tx + 1) << 16)
            if not self.taken(scid):
                return scid
            number += 1

    def new_aliases(self, scid: Scid) -> tuple[Scid, Scid]:
        """One for each end, of block heights beyond any real one, so that neither is taken for a real scid."""
        first, second = (
            int.from_bytes(keys.derive(self._seed, "alias", scid, side)[:8], "big") | 0xF0 << 56 for side in (0, 1)
        )
        return Scid(first), Scid(second)


def local_aliases(channel: SimChannel) -> tuple[Scid, Scid]:
    """What each side calls the channel besides its scid; announced ones have such names as well (BOLT 2)."""
    if not channel.announced:
        return channel.aliases
    name = 0xF1 << 56 | (channel.scid >> 16) << 17 | (channel.scid & 0x7FFF) << 1
    return Scid(name & (1 << 64) - 1), Scid((name | 1) & (1 << 64) - 1)


def _pair(channel: SimChannel) -> bytes:
    return channel.nodes[0].id + channel.nodes[1].id
