"""What is believed of channels and nodes, in words and numbers: the list of `payliquidity`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pay.commands.form.shapes import (
    MSAT,
    NUMBER,
    PUBKEY,
    SCID,
    SCID_DIR,
    STRING,
    U32,
    U64,
    Array,
    Object,
    always,
    maybe,
    words,
)
from pay.units import NodeId, Scid, ScidDir, format_msat, format_scid

if TYPE_CHECKING:
    from pay.liquidity.beliefs import LiquidityBeliefs
    from pay.liquidity.contest import Scores
    from pay.liquidity.knowledge import Knowledge
    from pay.network import ChannelGraph

KNOWN = (
    always("channels_known", U64, "Of so many channels something is believed."),
    always("nodes_known", U64, "And of so many nodes."),
)

_CONTEST = (
    always("used", STRING, "The explanation that is used."),
    always("outcomes", NUMBER, "So many outcomes of parts it was measured by, older ones counting less."),
    always(
        "surprise_nats", Object((), others=NUMBER),
        "By how much each explanation was surprised by an outcome, in the mean: 0 is certain and right, 0.69 a "
        "coin.",
    ),
)  # fmt: skip

_DIRECTION = Object(
    (
        maybe("source", PUBKEY, "The node that sends in this direction."),
        maybe("destination", PUBKEY, "The node that gets."),
        maybe("source_alias", STRING, "The name of the one that sends."),
        maybe("destination_alias", STRING, "The name of the other."),
        always("direction", U32, "0 or 1."),
        always("low_msat", MSAT, "So much at least it can forward, as is believed now."),
        always("high_msat", MSAT, "So much at the most."),
        always("believed", STRING, "Both in words."),
    )
)

_CHANNEL = Object(
    (
        always("short_channel_id", SCID, "The channel."),
        always("capacity_msat", MSAT, "Its size."),
        always("learnt_at", U64, "When something was last learnt of it, in seconds since 1970."),
        always("age_seconds", U64, "So many seconds ago."),
        always("age", STRING, "The same in words."),
        always("directions", Array(_DIRECTION), "Its two directions."),
    )
)

_NODE = Object(
    (
        always("id", PUBKEY, "The node."),
        maybe("alias", STRING, "Its name."),
        always("trouble_nats", NUMBER, "How much less often parts get past it: e times for each 1."),
        always("slow_s", NUMBER, "How many seconds longer they take."),
    )
)

LIST = Object((
    always("channels", Array(_CHANNEL), "Newest first, at most *limit*."),
    always("nodes", Array(_NODE), "Those that are in trouble or slow, the worst first, at most *limit*."),
    always(
        "in_flight",
        Array(Object((
            always("short_channel_id_dir", SCID_DIR, "A direction of a channel."),
            always("amount_msat", MSAT, "What is out over it."),
        ))),
        "What payments of this plugin have out just now.",
    ),
    *KNOWN,
    always(
        "prior",
        Object((*_CONTEST, always("chosen_by", words("option", "score"), "Who chose it."))),
        "Where balances are believed to lie before anything is known of a channel (*pay-balance-prior*).",
    ),
    always("returns", Object(_CONTEST), "How soon what was sent is believed to come back."),
), when="of *list*:")  # fmt: skip


def listed(
    beliefs: LiquidityBeliefs,
    graph: ChannelGraph,
    held: Mapping[ScidDir, int],
    now_s: float,
    only: Scid | None,
    limit: int,
) -> dict[str, Any]:
    """What is believed, of all channels or only of one.

    Parameters
    ----------
    held
        What is out, in msat.
    limit
        The most channels, and the most nodes.
    """
    table, knowledge = beliefs.believed().channels, beliefs.knowledge(now_s)
    newest = table.at_s.max(axis=0, initial=0.0)
    rows = sorted(range(len(table.scid)), key=lambda row: -newest[row])
    if only is not None:
        rows = [row for row in rows if int(table.scid[row]) == only]
    channels = []
    for row in rows[:limit]:
        scid = Scid(int(table.scid[row]))
        times = table.at_s[:, row].tolist()
        directions = []
        for side in (0, 1):
            low, high, capacity = knowledge.of(ScidDir(scid, side)) or (0, 0, 0)
            directions.append({
                **_ends(graph, ScidDir(scid, side)),
                "direction": side,
                "low_msat": low,
                "high_msat": high,
                "believed": _in_words(low, high, capacity),
            })  # fmt: skip
        channels.append({
            "short_channel_id": format_scid(scid),
            "capacity_msat": int(table.capacity_msat[row]),
            "learnt_at": int(max(times)),
            "age_seconds": max(0, int(now_s - max(times))),
            "age": _age(now_s - max(times)),
            "directions": directions,
        })  # fmt: skip
    nodes = _nodes(graph, knowledge, only, limit)
    out = [
        {"short_channel_id_dir": str(channel), "amount_msat": amount}
        for channel, amount in sorted(held.items())
        if only in (None, channel.scid)
    ]
    known = {"channels_known": len(table.scid), "nodes_known": len(knowledge.nodes)}
    return {"channels": channels, "nodes": nodes, "in_flight": out, **known, **_contests(beliefs)}


def _contests(beliefs: LiquidityBeliefs) -> dict[str, Any]:
    """Which prior is used, and how soon what we sent is believed to come back; and how well each has foretold:
    the mean of what it was surprised by an outcome, in nats (0 is certain and right, 0.69 a coin)."""
    believed = beliefs.believed()
    prior, returns = _shown(beliefs.prior.name, believed.priors), _shown(beliefs.returns, believed.returns)
    return {"prior": {**prior, "chosen_by": "option" if beliefs.fixed_prior else "score"}, "returns": returns}


def _shown(used: str, scores: Scores) -> dict[str, Any]:
    nats = {name: round(scores.mean_nats(name), 4) for name, _ in scores.nats} if scores.outcomes else {}
    return {"used": used, "outcomes": round(scores.outcomes, 1), "surprise_nats": nats}


def _nodes(graph: ChannelGraph, knowledge: Knowledge, only: Scid | None, limit: int) -> list[dict[str, Any]]:
    """Those with the most trouble first; of one channel those at its ends."""
    costs = knowledge.nodes
    if only is not None:
        ends = _ends(graph, ScidDir(only, 0))
        costs = {node: cost for node, cost in costs.items() if node.hex() in ends.values()}
    worst = sorted(costs.items(), key=lambda item: (-item[1].nats, -item[1].seconds, item[0]))
    return [
        {**_named(graph, node), "trouble_nats": round(cost.nats, 3), "slow_s": round(cost.seconds, 3)}
        for node, cost in worst[:limit]
    ]


def _ends(graph: ChannelGraph, channel: ScidDir) -> dict[str, Any]:
    """The nodes at both ends of a direction, as far as the graph has them."""
    arc = graph.arc_number(channel)
    if arc is None:
        return {}
    source, target = (graph.node_id(int(column[arc])) for column in (graph.source, graph.target))
    ends = {"source": source.hex(), "destination": target.hex()}
    aliases = {"source_alias": graph.alias(source), "destination_alias": graph.alias(target)}
    return {**ends, **{name: alias for name, alias in aliases.items() if alias}}


def _named(graph: ChannelGraph, node: NodeId) -> dict[str, Any]:
    alias = graph.alias(node)
    return {"id": node.hex(), **({"alias": alias} if alias else {})}


def _in_words(low: int, high: int, capacity: int) -> str:
    if low == 0 and high >= capacity:
        return f"anything up to {format_msat(capacity)}"
    if low == high:
        return f"{format_msat(low)} of {format_msat(capacity)}"
    if low == 0:
        return f"at most {format_msat(high)} of {format_msat(capacity)}"
    if high >= capacity:
        return f"at least {format_msat(low)} of {format_msat(capacity)}"
    return f"{format_msat(low)} to {format_msat(high)} of {format_msat(capacity)}"


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} seconds"
