"""Commands that no lightningd has: what a person needs to play with the simulated network."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from pay.sim.lightningd.commands.table import Answer, host_command
from pay.sim.lightningd.jsonstream import RpcError
from pay.sim.lightningd.params import INVALID_PARAMS, boolean, msat_or_any, number, opt, req, string, u64
from pay.sim.lightningd.rpc_server import Command
from pay.sim.network.channel import SimPeer
from pay.units import format_msat, parse_node_id

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode


@host_command(
    "sim-invoice", req("payee", string), req("amount_msat", msat_or_any), opt("description", string, "simulated"),
    opt("expiry", u64, 3600), opt("hold", boolean, False),
)  # fmt: skip
def sim_invoice(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    """An invoice of any node of the world: by its id, by its alias, or of a node picked at random ("any")."""
    payee = _payee(node, args["payee"], args["amount_msat"] or 0)
    hints = [c.hint_for(payee.id) for c in payee.channels if not c.announced and not c.closed]
    try:
        made = node.world.create_invoice(
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


def _payee(node: SimNode, wanted: str, amount_msat: int) -> SimPeer:
    if wanted == "any":
        return _anybody(node, amount_msat)
    try:
        found = node.world.nodes.get(parse_node_id(wanted))
    except ValueError:
        found = next((peer for peer in node.world.nodes.values() if peer.name == wanted), None)
    if found is None:
        raise RpcError(INVALID_PARAMS, f"payee: no node of this world is called {wanted!r}")
    return found


def _anybody(node: SimNode, amount_msat: int) -> SimPeer:
    """Somebody else, other ones one after the other; of a few the first that could take the amount at all."""
    others = [peer for peer in node.world.nodes.values() if peer.id != node.us and peer.channels]
    if not others:
        raise RpcError(INVALID_PARAMS, "payee: there is nobody else in this world")
    number = node.db.next_index("sim_payee")
    some = [others[(number * 7919 + step * 104_729) % len(others)] for step in range(50)]
    return next((peer for peer in some if _could_take(peer, amount_msat)), some[0])


def _could_take(peer: SimPeer, amount_msat: int) -> bool:
    return any(
        channel.receivable_msat(peer.id) > amount_msat and channel.policies[1 - channel.side(peer.id)].enabled
        for channel in peer.channels
        if not channel.closed
    )


@host_command("sim-mine", opt("blocks", number, 1))
def sim_mine(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    """Blocks, now."""
    node.world.mine(args["blocks"])
    return {"blockheight": node.height}


@host_command("sim-world")
def sim_world(node: SimNode, command: Command, args: dict[str, Any]) -> Answer:
    """The size of the network and what we could send at all."""
    spendable_msat = sum(channel.spendable_msat(node.us) for channel in node.own_channels())
    return {
        "nodes": len(node.world.nodes),
        "channels": len(node.world.channels),
        "own_channels": len(node.own_channels()),
        "spendable_msat": spendable_msat,
        "spendable": format_msat(spendable_msat),
        "htlcs_in_flight": node.world.in_flight,
        "blockheight": node.height,
    }
