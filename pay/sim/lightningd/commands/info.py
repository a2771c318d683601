"""What the node is, what it can do: getinfo, getchaininfo, help, check, ping, decode, waitblockheight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from pay.errors import PayError
from pay.sim.lightningd.commands.bolt11_json import decode_answer
from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import COMMANDS, Answer, CheckDone, checked, host_command, run
from pay.sim.lightningd.plugins.process import PluginProcess
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import any_value, had, node_id, number, opt, req, string, usage, without
from pay.sim.network.unsigned import needs_signature

METHOD_NOT_FOUND = -32601
WAIT_TIMEOUT = 2000
_BITCOIND_NAMES = {"bitcoin": "main", "testnet": "test"}
"""What bitcoind calls a chain, where that is another word."""
_BLOCKS_A_DAY = 144


@host_command("getinfo")
def getinfo(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    channels = context.own.channels
    return {
        "id": context.us.hex(),
        "alias": context.own.peer.name,
        "color": context.us.hex()[:6],
        "num_peers": len({channel.peer_of(context.us).id for channel in channels}),
        "num_pending_channels": 0,
        "num_active_channels": sum(not channel.closed for channel in channels),
        "num_inactive_channels": sum(channel.closed for channel in channels),
        "address": [],
        "binding": [{"type": "ipv4", "address": "127.0.0.1", "port": 9735}],
        "version": context.settings.version,
        "blockheight": context.own.height,
        "network": context.settings.network,
        "fees_collected_msat": 0,
        "lightning-dir": str(context.settings.directory),
        "our_features": dict(context.settings.feature_set),
    }


@host_command("ping", req("id", node_id), opt("len", number, 128), opt("pongbytes", number, 128))
def ping(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    if not any(c.peer_of(context.us).id == args["id"] and c.connected() for c in context.own.channels):
        raise RpcError(-1, "Peer not connected")
    return {"totlen": args["pongbytes"] + 4}


@host_command("decode", req("string", string), checks_itself=True)
def decode(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    try:
        must_fit = needs_signature(context.world.state, args["string"])
        answer = decode_answer(args["string"], check_signature=must_fit)
    except PayError as error:
        raise RpcError(error.code, error.message) from error
    checked(command)
    return answer


@host_command("waitblockheight", req("blockheight", number), opt("timeout", number, 60))
async def waitblockheight(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    reached = context.heights.reached(args["blockheight"])
    try:
        await asyncio.wait_for(reached, args["timeout"])
    except TimeoutError:
        raise RpcError(WAIT_TIMEOUT, "Timed out.") from None
    return {"blockheight": context.own.height}


@host_command("getchaininfo", opt("last_height", number))
def getchaininfo(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """What bitcoind has, of which lightningd may have seen less (`getinfo`'s blockheight).

    bitcoind is in its initial download while its newest block is older than a day.
    """
    headers = max(context.world.height, context.own.height)
    blocks = max(context.own.height, headers - context.faults.headers_ahead)
    return {
        "chain": _BITCOIND_NAMES.get(context.settings.network, context.settings.network),
        "headercount": headers,
        "blockcount": blocks,
        "ibd": headers - blocks > _BLOCKS_A_DAY,
    }


@host_command("help", opt("command", string))
def show_help(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    settings = context.settings
    usages = {
        name: usage(had(COMMANDS[name].params, settings.release, settings.developer))
        for name in context.plugins.host_methods()
    }
    for plugin in context.plugins.all:
        usages |= {method["name"]: method["usage"] for method in plugin.manifest.get("rpcmethods", [])}
    if args["command"] is not None:
        if args["command"] not in usages:
            raise RpcError(METHOD_NOT_FOUND, f"Unknown command {args['command']}")
        usages = {args["command"]: usages[args["command"]]}
    entries = [{"command": f"{name} {text}"} for name, text in sorted(usages.items())]
    return {"help": entries, "format-hint": "simple"}


@host_command("check", req("command_to_check", string), allow_extra=True, checks_itself=True)
async def check(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """A plugin's command is checked by the plugin itself if it can, otherwise all is well."""
    target = args["command_to_check"]
    plugin = context.plugins.owner(target)
    passed = {"command_to_check": target}
    if plugin is not None:
        if not plugin.manifest.get("cancheck", False):
            context.log(
                "unusual", f"plugin-{plugin.name}",
                f"Plugin does not support check command for {target} (id {command.id})",
            )  # fmt: skip
            return passed
        return await _answer_of(context, plugin, command, "check")
    if target not in context.plugins.host_methods():
        raise RpcError(METHOD_NOT_FOUND, f"Unknown command '{target}'")
    inner = without(command.params, "command_to_check")
    command.check_only = True
    try:
        answer = run(COMMANDS[target], context, command, inner)
        if isinstance(answer, Awaitable):
            await answer
    except CheckDone:
        pass
    return passed


async def _answer_of(context: Context, plugin: PluginProcess, command: Command, method: str) -> Answer:
    """The result of a plugin that answers a command in the host's place. Raises RpcError for its error."""
    answer = await context.plugins.pass_on(plugin, command, method)
    if "result" not in answer:
        error = answer.get("error", {})
        raise RpcError(int(error.get("code", -1)), str(error.get("message")), error.get("data"))
    result: Answer = answer["result"]
    return result


@host_command("batching", req("enable", any_value))
def batching(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    return {}
