"""Our peers and our channels with them: listpeers, connect, listpeerchannels, listhtlcs."""

from __future__ import annotations

import re
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, RawAnswer, host_command
from pay.sim.lightningd.connections import LISTENS, connection
from pay.sim.lightningd.payments.htlc_table import htlc_state
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    BadParam,
    any_value,
    node_id,
    one_of,
    opt,
    req,
    u32,
    u64,
)
from pay.sim.network.channel import SimChannel
from pay.sim.network.channel_names import local_aliases
from pay.sim.network.encoding.gossip import feature_bytes
from pay.units import NodeId, format_scid, parse_scid

NO_KNOWN_ADDRESS, ALL_ADDRESSES_FAILED = 400, 401
_MAX_MSAT = (1 << 64) - 1
_DUST_MSAT = 546_000
_CLOSE_TO_SCRIPT = f"0014{'00' * 20}"
_CLOSE_TO_ADDRESS = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202"


@host_command("listpeers", opt("id", node_id), opt("level", any_value))
def listpeers(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    peers: dict[bytes, list[SimChannel]] = {}
    for channel in context.own.channels:
        peers.setdefault(channel.peer_of(context.us).id, []).append(channel)
    shown = []
    for peer_id, channels in peers.items():
        if args["id"] not in (None, peer_id):
            continue
        entry: dict[str, Any] = {"id": peer_id.hex(), "connected": any(c.connected() for c in channels)}
        entry["num_channels"] = len(channels)
        if entry["connected"]:
            entry["netaddr"] = ["127.0.0.1:9735"]
            entry["features"] = feature_bytes(channels[0].peer_of(context.us).features).hex()
        shown.append(entry)
    return {"peers": shown}


@host_command("connect", req("id", node_id), opt("host", any_value), opt("port", any_value))
def connect(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """A peer that is there takes up its channels with us again."""
    peer_id = args["id"]
    peer = context.world.nodes.get(peer_id)
    if peer is None or (peer_id in context.faults.unlisted and args["host"] is None):
        raise RpcError(NO_KNOWN_ADDRESS, "Unable to connect, no address known for peer")
    asked = (args["host"] or LISTENS.host, args["port"] or LISTENS.port)
    # Another address is tried first, then what gossip knows.
    if not peer.online or (peer_id in context.faults.unlisted and asked != LISTENS):
        failed = f"{asked[0]}:{asked[1]}: Connection establishment: Connection refused. "
        raise RpcError(ALL_ADDRESSES_FAILED, f"All addresses failed: {failed}")
    away = not any(c.connected() for c in context.own.channels if c.peer_of(context.us).id == peer_id)
    for channel in context.own.channels:
        if channel.peer_of(context.us).id == peer_id and not channel.connected():
            for end in (context.us, peer_id):
                context.world.set_channel_faults(channel, end, None)
    if away:
        context.faults.callers.discard(peer_id)
        context.notify("connect", connection(context.faults, peer_id))
    features = feature_bytes(peer.features).hex()
    return {"features": features, **connection(context.faults, peer_id)}


@host_command("listpeerchannels", opt("id", node_id), opt("channel_id", any_value))
def listpeerchannels(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    channels = [c for c in context.own.channels if args["id"] in (None, c.peer_of(context.us).id)]
    return {"channels": [_peer_channel(context, channel) for channel in channels]}


def _peer_channel(context: Context, channel: SimChannel) -> dict[str, Any]:
    """One channel of ours. What has to do with its transactions is filler of the right shape."""
    us, side = context.us, channel.side(context.us)
    connected = channel.connected() and not channel.closed
    state = "ONCHAIN" if channel.closed else "CHANNELD_NORMAL"
    funding_txid = f"{channel.scid:064x}"
    entry: dict[str, Any] = {"peer_id": channel.peer_of(us).id.hex(), "peer_connected": channel.connected()}
    if connected:
        entry["reestablished"] = True
    entry |= {
        "channel_type": {"bits": [12, 22], "names": ["static_remotekey/even", "anchors/even"]},
        "updates": _updates(channel, side),
        "state": state,
        "last_tx_fee_msat": 0,
        "lost_state": False,
        "feerate": {"perkw": 253, "perkb": 1012},
    }
    if connected:
        entry["owner"] = "channeld"
    entry |= {
        "short_channel_id": format_scid(channel.scid),
        "direction": side,
        "channel_id": funding_txid,
        "funding_txid": funding_txid,
        "funding_outnum": 0,
        "scratch_txid": funding_txid,
        "close_to_addr": _CLOSE_TO_ADDRESS,
        "close_to": _CLOSE_TO_SCRIPT,
        "private": not channel.announced,
        "opener": "local" if side == 0 else "remote",
    }
    if channel.closed:
        entry["closer"] = "remote"
    aliases = local_aliases(channel)
    entry["alias"] = {"local": format_scid(aliases[side]), "remote": format_scid(aliases[1 - side])}
    entry["features"] = ["option_static_remotekey", "option_anchors"]
    entry |= _money(context, channel, side)
    return entry | _history(state, connected) | {"htlcs": _htlcs(channel, side)}


def _history(state: str, connected: bool) -> dict[str, Any]:
    """What happened to a channel: filler, nothing is counted."""
    locked_in = {
        "timestamp": "2026-01-01T00:00:00.000Z", "old_state": "CHANNELD_AWAITING_LOCKIN",
        "new_state": "CHANNELD_NORMAL", "cause": "user", "message": "Lockin complete",
    }  # fmt: skip
    return {
        "state_changes": [locked_in],
        "status": [f"{state}:Channel ready for use."] if connected else [],
        "in_payments_offered": 0, "in_offered_msat": 0, "in_payments_fulfilled": 0, "in_fulfilled_msat": 0,
        "out_payments_offered": 0, "out_offered_msat": 0, "out_payments_fulfilled": 0, "out_fulfilled_msat": 0,
    }  # fmt: skip


def _htlcs(channel: SimChannel, side: int) -> list[dict[str, Any]]:
    return [
        {
            "direction": "out" if htlc.direction == side else "in", "id": number,
            "amount_msat": htlc.amount_msat, "expiry": htlc.cltv_expiry,
            "payment_hash": htlc.payment_hash.hex(), "state": htlc_state(htlc.direction == side),
            **({"local_trimmed": True} if htlc.amount_msat < _DUST_MSAT else {}),
        }
        for number, htlc in enumerate(channel.htlcs.values())
    ]  # fmt: skip


def _money(context: Context, channel: SimChannel, side: int) -> dict[str, Any]:
    us, to_us_msat = context.us, channel.balances_msat[side]
    # HTLCs of ours that are on their way count as ours, as lightningd counts them.
    owned_msat = to_us_msat + sum(h.amount_msat for h in channel.htlcs.values() if h.direction == side)
    opened_by_us = side == 0
    capacity_msat = channel.capacity_msat
    usable = not channel.closed
    policy = channel.policies[side]
    return {
        "funding": {
            "local_funds_msat": capacity_msat if opened_by_us else 0,
            "remote_funds_msat": 0 if opened_by_us else capacity_msat,
            "pushed_msat": 0,
            "psbt": "cHNidP8BAAoCAAAAAAAAAAAAAA==",
            "withheld": False,
        },
        "to_us_msat": owned_msat,
        "min_to_us_msat": owned_msat,
        "max_to_us_msat": owned_msat,
        "total_msat": capacity_msat,
        "fee_base_msat": policy.fee_base_msat,
        "fee_proportional_millionths": policy.fee_ppm,
        "dust_limit_msat": _DUST_MSAT,
        "their_max_htlc_value_in_flight_msat": _MAX_MSAT,
        "our_max_htlc_value_in_flight_msat": _MAX_MSAT,
        "their_reserve_msat": channel.reserves_msat[1 - side],
        "our_reserve_msat": channel.reserves_msat[side],
        "spendable_msat": channel.spendable_msat(us) if usable else 0,
        "receivable_msat": channel.receivable_msat(us) if usable else 0,
        "minimum_htlc_in_msat": 0,
        "minimum_htlc_out_msat": policy.htlc_min_msat,
        "maximum_htlc_out_msat": policy.htlc_max_msat,
        "their_to_self_delay": 144,
        "our_to_self_delay": 144,
        # Of HTLCs that come in; the peer's limit for ours is not reported.
        "max_accepted_htlcs": channel.htlc_limits[1 - side],
    }


def _updates(channel: SimChannel, side: int) -> dict[str, Any]:
    def shown(direction: int) -> dict[str, Any]:
        policy = channel.policies[direction]
        return {
            "htlc_minimum_msat": policy.htlc_min_msat,
            "htlc_maximum_msat": policy.htlc_max_msat,
            "cltv_expiry_delta": policy.cltv_delta,
            "fee_base_msat": policy.fee_base_msat,
            "fee_proportional_millionths": policy.fee_ppm,
        }

    return {"local": shown(side), "remote": shown(1 - side)}


_index = one_of("unknown index", "created", "updated")


def _channel_name(value: Any) -> str:
    """A channel_id, or a short_channel_id in its usual form."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value
    try:
        return format_scid(parse_scid(value))
    except ValueError:
        raise BadParam("must be channel id or short channel id") from None


@host_command("listhtlcs", opt("id", _channel_name), opt("index", _index), opt("start", u64, 0), opt("limit", u32))
def listhtlcs(context: Context, command: Command, args: dict[str, Any]) -> Answer | RawAnswer:
    channels = context.own.channels
    if args["id"] is not None:
        channels = [c for c in channels if args["id"] in _names(c, context.us)]
        if not channels:
            raise context.bad_param("id", "unknown channel", args["id"], command)
    by_update = args["index"] == "updated"
    return RawAnswer(context.htlcs.listing(context.us, channels, by_update, args["start"], args["limit"]))


def _names(channel: SimChannel, us: NodeId) -> tuple[str, str, str]:
    alias = local_aliases(channel)[channel.side(us)]
    return f"{channel.scid:064x}", format_scid(channel.scid), format_scid(alias)
