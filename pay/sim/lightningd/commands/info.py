"""What the node is, what it can do: getinfo, getchaininfo, help, check, ping, decode, waitblockheight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from pay.errors import PayError
from pay.sim.lightningd.bolt11_json import decode_answer
from pay.sim.lightningd.commands.table import COMMANDS, Answer, CheckDone, checked, host_command
from pay.sim.lightningd.jsonstream import RpcError
from pay.sim.lightningd.params import any_value, node_id, number, opt, req, string, usage, without
from pay.sim.lightningd.rpc_server import Command
from pay.sim.network.unsigned import needs_signature

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode

METHOD_NOT_FOUND = -32601
WAIT_TIMEOUT = 2000
_BITCOIND_NAMES = {"bitcoin": "main", "testnet": "test"}
"""What bitcoind calls a chain, where that is another word."""
_BLOCKS_A_DAY = 144


@host_command("getinfo")
def getinfo(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    channels = node.own_channels()
    return {
        "id": node.us.hex(),
        "alias": node.peer.name,
        "color": node.us.hex()[:6],
        "num_peers": len({channel.peer_of(node.us).id for channel in channels}),
        "num_pending_channels": 0,
        "num_active_channels": sum(not channel.closed for channel in channels),
        "num_inactive_channels": sum(channel.closed for channel in channels),
        "address": [],
        "binding": [{"type": "ipv4", "address": "127.0.0.1", "port": 9735}],
        "version": node.version,
        "blockheight": node.height,
        "network": node.network,
        "fees_collected_msat": 0,
        "lightning-dir": str(node.directory),
        "our_features": node.feature_set,
    }


@host_command("ping", req("id", node_id), opt("len", number, 128), opt("pongbytes", number, 128))
def ping(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    if not any(c.peer_of(node.us).id == args["id"] and c.connected() for c in node.own_channels()):
        raise RpcError(-1, "Peer not connected")
    return {"totlen": args["pongbytes"] + 4}


@host_command("decode", req("string", string), checks_itself=True)
def decode(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    try:
        answer = decode_answer(args["string"], check_signature=needs_signature(node.world.state, args["string"]))
    except PayError as error:
        raise RpcError(error.code, error.message, error.data or None) from error
    checked(command)
    return answer


@host_command("waitblockheight", req("blockheight", number), opt("timeout", number, 60))
async def waitblockheight(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    reached = node.heights.reached(args["blockheight"])
    try:
        await asyncio.wait_for(reached, args["timeout"])
    except TimeoutError:
        raise RpcError(WAIT_TIMEOUT, "Timed out.") from None
    return {"blockheight": node.height}


@host_command("getchaininfo", opt("last_height", number))
def getchaininfo(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    """What bitcoind has, of which lightningd may have seen less (`getinfo`'s blockheight).

    bitcoind is in its initial download while its newest block is older than a day.
    """
    headers = max(node.world.height, node.height)
    blocks = max(node.height, headers - node.faults.headers_ahead)
    return {
        "chain": _BITCOIND_NAMES.get(node.network, node.network),
        "headercount": headers,
        "blockcount": blocks,
        "ibd": headers - blocks > _BLOCKS_A_DAY,
    }


@host_command("help", opt("command", string))
def show_help(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    usages = {name: usage(COMMANDS[name].params) for name in node.host_methods()}
    for plugin in node.plugins.all:
        usages |= {method["name"]: method["usage"] for method in plugin.manifest.get("rpcmethods", [])}
    if args["command"] is not None:
        if args["command"] not in usages:
            raise RpcError(METHOD_NOT_FOUND, f"Unknown command {args['command']}")
        usages = {args["command"]: usages[args["command"]]}
    entries = [{"command": f"{name} {text}"} for name, text in sorted(usages.items())]
    return {"help": entries, "format-hint": "simple"}


@host_command("check", req("command_to_check", string), allow_extra=True, checks_itself=True)
async def check(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    """A plugin's command is checked by the plugin itself if it can, otherwise all is well."""
    target = args["command_to_check"]
    plugin = node.plugins.owner(target)
    passed = {"command_to_check": target}
    if plugin is not None:
        if not plugin.manifest.get("cancheck", False):
            node.log(
                "unusual", f"plugin-{plugin.name}",
                f"Plugin does not support check command for {target} (id {command.id})",
            )  # fmt: skip
            return passed
        return await node.dispatcher.pass_to(plugin, command, "check")
    if target not in node.host_methods():
        raise RpcError(METHOD_NOT_FOUND, f"Unknown command '{target}'")
    inner = without(command.params, "command_to_check")
    command.check_only = True
    try:
        answer = node.dispatcher.run_host_command(COMMANDS[target], command, inner)
        if isinstance(answer, Awaitable):
            await answer
    except CheckDone:
        pass
    return passed


@host_command("batching", req("enable", any_value))
def batching(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    return {}
