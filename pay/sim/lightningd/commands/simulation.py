"""Commands that no lightningd has: what a person needs to play with the simulated network."""

from __future__ import annotations

import secrets
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, host_command
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS, boolean, msat_or_any, number, opt, req, string, u64
from pay.sim.network.channel import SimPeer
from pay.units import format_msat, parse_node_id


@host_command(
    "sim-invoice", req("payee", string), req("amount_msat", msat_or_any), opt("description", string, "simulated"),
    opt("expiry", u64, 3600), opt("hold", boolean, False),
)  # fmt: skip
def sim_invoice(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """An invoice of any node of the world: by its id, by its alias, or of a node picked at random ("any")."""
    payee = _payee(context, args["payee"], args["amount_msat"] or 0)
    hints = [c.hint_for(payee.id) for c in payee.channels if not c.announced and not c.closed]
    try:
        made = context.world.create_invoice(
            payee.id, args["amount_msat"], args["description"], expiry=args["expiry"], hints=hints,
            hold=args["hold"],
            # The same world comes again with the same seed; the node's payments table remembers other times.
            preimage=secrets.token_bytes(32),
        )  # fmt: skip
        bolt11 = made.bolt11
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, f"payee: {error}") from error
    return {
        "bolt11": bolt11,
        "payee": payee.id.hex(),
        "alias": payee.name,
        "payment_hash": made.payment_hash.hex(),
    }


def _payee(context: Context, wanted: str, amount_msat: int) -> SimPeer:
    if wanted == "any":
        return _anybody(context, amount_msat)
    try:
        found = context.world.nodes.get(parse_node_id(wanted))
    except ValueError:
        found = next((peer for peer in context.world.nodes.values() if peer.name == wanted), None)
    if found is None:
        raise RpcError(INVALID_PARAMS, f"payee: no node of this world is called {wanted!r}")
    return found


def _anybody(context: Context, amount_msat: int) -> SimPeer:
    """Somebody else, other ones one after the other; of a few the first that could take the amount at all."""
    others = [peer for peer in context.world.nodes.values() if peer.id != context.us and peer.channels]
    if not others:
        raise RpcError(INVALID_PARAMS, "payee: there is nobody else in this world")
    number = context.db.next_index("sim_payee")
    some = [others[(number * 7919 + step * 104_729) % len(others)] for step in range(50)]
    return next((peer for peer in some if _could_take(peer, amount_msat)), some[0])


def _could_take(peer: SimPeer, amount_msat: int) -> bool:
    return any(
        channel.receivable_msat(peer.id) > amount_msat and channel.policies[1 - channel.side(peer.id)].enabled
        for channel in peer.channels
        if not channel.closed
    )


@host_command("sim-mine", opt("blocks", number, 1))
def sim_mine(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """Blocks, now."""
    context.world.mine(args["blocks"])
    return {"blockheight": context.own.height}


@host_command("sim-world")
def sim_world(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """The size of the network and what we could send at all."""
    spendable_msat = sum(channel.spendable_msat(context.us) for channel in context.own.channels)
    return {
        "nodes": len(context.world.nodes),
        "channels": len(context.world.channels),
        "own_channels": len(context.own.channels),
        "spendable_msat": spendable_msat,
        "spendable": format_msat(spendable_msat),
        "htlcs_in_flight": context.world.in_flight,
        "blockheight": context.own.height,
    }
