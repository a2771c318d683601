"""What gossip says of the network, which need not be true: listnodes, listchannels."""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, host_command
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS, node_id, opt, short_channel_id
from pay.sim.network.channel import SimChannel
from pay.sim.network.encoding.gossip import feature_bytes
from pay.units import format_scid


@host_command("listnodes", opt("id", node_id))
def listnodes(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    shown = []
    nodes = context.world.nodes
    peers = nodes.values() if args["id"] is None else filter(None, [nodes.get(args["id"])])
    now_s = int(context.world.clock.now())
    for peer in peers:
        if any(channel.announced and not channel.closed for channel in peer.channels):
            shown.append(
                {
                    "nodeid": peer.id.hex(),
                    "alias": peer.name,
                    "color": peer.id.hex()[:6],
                    "last_timestamp": now_s,
                    "features": feature_bytes(peer.features).hex(),
                    "addresses": [],
                }
            )
    return {"nodes": shown}


@host_command(
    "listchannels", opt("short_channel_id", short_channel_id), opt("source", node_id), opt("destination", node_id)
)
def listchannels(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """What gossip says, which need not be true."""
    given = [name for name in ("short_channel_id", "source", "destination") if args[name] is not None]
    if len(given) > 1:
        raise RpcError(INVALID_PARAMS, "Can only specify one of `short_channel_id`, `source` or `destination`")
    shown = []
    for channel in _candidates(context, args):
        for direction, policy in enumerate(channel.gossiped):
            ends = channel.nodes[direction].id, channel.nodes[1 - direction].id
            asked = args["source"] in (None, ends[0]) and args["destination"] in (None, ends[1])
            if policy is None or not asked:
                continue
            shown.append(
                {
                    "source": ends[0].hex(),
                    "destination": ends[1].hex(),
                    "short_channel_id": format_scid(channel.scid),
                    "direction": direction,
                    "public": True,
                    "amount_msat": channel.capacity_msat,
                    "message_flags": 1,
                    "channel_flags": direction | (0 if policy.enabled else 2),
                    "active": policy.enabled,
                    "last_update": policy.timestamp,
                    "base_fee_millisatoshi": policy.fee_base_msat,
                    "fee_per_millionth": policy.fee_ppm,
                    "delay": policy.cltv_delta,
                    "htlc_minimum_msat": policy.htlc_min_msat,
                    "htlc_maximum_msat": policy.htlc_max_msat,
                    "features": "",
                }
            )
    return {"channels": shown}


def _candidates(context: Context, args: dict[str, Any]) -> list[SimChannel]:
    if args["short_channel_id"] is not None:
        found = context.world.channels.get(args["short_channel_id"])
        channels = [] if found is None else [found]
    elif args["source"] is not None or args["destination"] is not None:
        end = context.world.nodes.get(args["source"] or args["destination"])
        channels = [] if end is None else end.channels
    else:
        channels = list(context.world.channels.values())
    return [channel for channel in channels if channel.announced and not channel.closed]
