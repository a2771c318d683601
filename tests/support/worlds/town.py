"""Tiny networks, as they are drawn in the docstrings of these tests.

A channel of a drawing is `A ──100── D`: A asks 100 ppm of whoever sends over it towards D. Unless a test says
otherwise it holds 1,000,000 sat, all on the side it is drawn from, every node asks no base fee and 40 blocks,
and we pay 100,000 sat to D. So each forwarding node takes 10 sat for a hundred ppm, and what it takes is all
that tells two ways apart: chances and delays are the same on ways of the same length.
"""

from __future__ import annotations

from dataclasses import replace

from pay.network import Policy
from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.clock import VirtualClock
from pay.sim.network.faults import Faults
from pay.sim.network.oracle import audit
from pay.sim.network.world import World
from pay.units import NodeId, ScidDir
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits, Story

SAT = 1_000
AMOUNT = 100_000 * SAT
WHOLE = 1_000_000 * SAT
EMPTY = "the channel cannot forward it now (no balance, or its peer is away)"


class Town:
    """Nodes by name, channels by `A-D` (and `A-D'` for another one between the same two)."""

    def __init__(self, *channels: tuple[str, int] | str, **world: object):
        self.clock = VirtualClock()
        self.world = World(self.clock, **{"chain": "bitcoin", "latency_s": 0.5, **world})  # type: ignore[arg-type]
        self.nodes: dict[str, SimPeer] = {}
        self.channels: dict[str, SimChannel] = {}
        self.node("us")
        for named in channels:
            ends, ppm = (named, 0) if isinstance(named, str) else named
            self.join(ends, ppm)
        self._sender: Sender | None = None

    def node(self, name: str) -> SimPeer:
        if name not in self.nodes:
            self.nodes[name] = self.world.add_node(name)
        return self.nodes[name]

    def id(self, name: str) -> NodeId:
        return self.nodes[name].id

    def join(
        self, ends: str, ppm: int = 0, *, capacity: int = WHOLE, has: int | None = None, announced: bool = True,
        **policy: int | bool,
    ) -> SimChannel:  # fmt: skip
        """One channel more. `has` is what the node that it is drawn from owns of it, msat: all, unless given."""
        a, b = (self.node(name) for name in ends.split("-"))
        asked = Policy(**{
            "fee_base_msat": 0, "fee_ppm": ppm, "cltv_delta": 40, "htlc_min_msat": 1, "htlc_max_msat": capacity,
            "timestamp": int(self.clock.now()), **policy,
        })  # type: ignore[arg-type]  # fmt: skip
        channel = self.world.add_channel(
            a.id, b.id, capacity, capacity if has is None else has, policy_ab=asked, policy_ba=asked,
            announced=announced,
        )  # fmt: skip
        while ends in self.channels:
            ends += "'"
        self.channels[ends] = channel
        return channel

    def now_asks(self, ends: str, *, gossip: bool = False, **changes: int | bool) -> None:
        """The node that a channel is drawn from asks something else, and as a rule nobody has heard of it."""
        channel, start = self.channels[ends], self.id(ends.split("-")[0])
        asked = replace(channel.policies[channel.side(start)], **changes)  # type: ignore[arg-type]
        self.world.set_policy(channel, start, asked, gossip=gossip)

    def drain(self, ends: str, left: int = 0) -> None:
        """All but `left` msat of a channel is at the far end."""
        channel = self.channels[ends]
        side = channel.side(self.id(ends.split("-")[0]))
        channel.balances_msat[side], channel.balances_msat[1 - side] = left, channel.capacity_msat - left

    def faults(self, name: str, **faults: object) -> None:
        """A node, or the direction of a channel as it is drawn, misbehaves."""
        fault = Faults(**faults)  # type: ignore[arg-type]
        if "-" in name:
            self.world.set_channel_faults(self.channels[name], self.id(name.split("-")[0]), fault)
        else:
            self.world.set_faults(self.id(name), fault)

    def behave(self, name: str) -> None:
        self.world.set_faults(self.id(name), None)

    def later(self, seconds: float, act: object) -> None:
        """Do something after so many seconds."""
        self.clock.call_later(seconds, act)  # type: ignore[arg-type]

    def named(self, ends: str) -> ScidDir:
        """The direction of a channel as it is drawn."""
        channel = self.channels[ends]
        return ScidDir(channel.scid, channel.side(self.id(ends.split("-")[0])))

    def listen(self) -> None:
        """We hear gossip from now on, and know what it told so far."""
        assert self.sender.graph is not None

    @property
    def sender(self) -> Sender:
        """We, with the gossip of the moment when this is first asked for, and of what comes after."""
        if self._sender is None:
            self._sender = Sender(self.world, self.id("us"))
        return self._sender

    def pay(
        self, amount_msat: int = AMOUNT, to: str = "D", invoice: dict[str, object] | None = None, **limits: object
    ) -> Story:
        """Pay; afterwards no money is lost and nothing is out."""
        more = invoice or {}
        story = self.sender.pay(self.id(to), amount_msat, Limits(**limits), **more)  # type: ignore[arg-type]
        audit(self.world)
        assert self.world.in_flight == 0
        return story

    def over(self, story: Story) -> list[str]:
        """The channels of each part, by their names in the drawing."""
        names = {channel.scid: name for name, channel in self.channels.items()}
        return [" ".join(names[channel.scid] for channel in part.channels) for part in story.parts]
