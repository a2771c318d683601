"""`payliquidity`: what is believed, in words and numbers; and all of it out, in, together, or away.

    payliquidity                       the channels of which most was learnt lately, newest first
    payliquidity export                everything, as JSON that `import` and `merge` take
    payliquidity import data           forget everything, and believe this
    payliquidity merge data            of each fact the stronger
    payliquidity reset                 forget everything

Whatever is wrong with `data` is said by the name of the entry, and then nothing is changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from pay.engine.live.out import Out
from pay.errors import Code, PayError, invalid_param
from pay.payment.request import too_many
from pay.router.planning import Planning
from pay.units import NodeId, Scid, ScidDir, format_msat, format_scid, parse_scid, show

if TYPE_CHECKING:
    from pay.liquidity.beliefs import LiquidityBeliefs
    from pay.liquidity.contest import Scores
    from pay.liquidity.knowledge import Knowledge
    from pay.network import ChannelGraph

USAGE = "[subcommand] [data] [short_channel_id] [limit]"
DESCRIPTION = (
    "Show what is believed of balances and nodes (of {short_channel_id}, at most {limit} of each), or with "
    "{subcommand} export, import, merge or reset: all of it as JSON, replaced by {data}, joined with it, forgotten"
)
DEFAULT_LIMIT = 100
"""Channels and nodes in a list: what somebody may want to read."""

_NAMES = ("subcommand", "data", "short_channel_id", "limit")


class Subcommand(Enum):
    LIST = "list"
    EXPORT = "export"
    IMPORT = "import"
    MERGE = "merge"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class LiquidityRequest:
    """The parameters, checked as far as they can be without the graph."""

    subcommand: Subcommand
    data: Any
    scid: Scid | None
    limit: int


def liquidity_params(params: Any) -> LiquidityRequest:
    """Raises PayError (-32602)."""
    if isinstance(params, list):
        if len(params) > len(_NAMES):
            raise too_many("payliquidity", len(params), len(_NAMES))
        params = dict(zip(_NAMES, params, strict=False))
    given = {name: value for name, value in (params or {}).items() if value is not None}
    for name in given:
        if name not in _NAMES:
            raise PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(name)}")
    word = given.get("subcommand", Subcommand.LIST.value)
    if word not in [subcommand.value for subcommand in Subcommand]:
        raise invalid_param("subcommand", f"should be list, export, import, merge or reset, not {show(word)}")
    subcommand = Subcommand(word)
    takes_data = subcommand in (Subcommand.IMPORT, Subcommand.MERGE)
    if takes_data and "data" not in given:
        raise PayError(Code.INVALID_PARAMS, "missing required parameter: data (what `export` gave)")
    for name in ("data",) if not takes_data else ():
        if name in given:
            raise invalid_param(name, f"only for import and merge, not for {word}")
    limit = given.get("limit", DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise invalid_param("limit", f"should be a whole number of channels, not {show(limit)}")
    try:
        scid = parse_scid(given["short_channel_id"]) if "short_channel_id" in given else None
    except ValueError as error:
        raise invalid_param("short_channel_id", str(error)) from error
    return LiquidityRequest(subcommand, _read(given.get("data")), scid, limit)


def _read(data: Any) -> Any:
    """JSON within JSON is what lightning-cli makes of `-k data={...}`."""
    if not isinstance(data, str):
        return data
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data


class LiquidityView:
    """Answers the command.

    Parameters
    ----------
    out
        What is out.
    """

    def __init__(self, planning: Planning, out: Out):
        self._planning = planning
        self._out = out

    async def answer(self, request: LiquidityRequest, only_check: bool = False) -> dict[str, Any]:
        """The result, or with `only_check` nothing but what would be wrong. Raises PayError."""
        held = self._out.held()

        def work(beliefs: LiquidityBeliefs, graph: ChannelGraph) -> dict[str, Any]:
            return _answer(request, beliefs, graph, held, time.time(), only_check)

        return await self._planning.with_memory(work, current=True)


def _answer(
    request: LiquidityRequest,
    beliefs: LiquidityBeliefs,
    graph: ChannelGraph,
    held: Mapping[ScidDir, int],
    now_s: float,
    only_check: bool,
) -> dict[str, Any]:
    from pay.liquidity.portable import from_json, to_json

    match request.subcommand:
        case Subcommand.LIST:
            return {} if only_check else _listed(request, beliefs, graph, held, now_s)
        case Subcommand.EXPORT:
            return {} if only_check else _exported(to_json(beliefs.believed()), graph, now_s)
        case Subcommand.IMPORT | Subcommand.MERGE:
            try:
                given = from_json(request.data, now_s, graph.size_msat)
            except ValueError as error:
                raise PayError(Code.INVALID_PARAMS, f"data{error}") from error
            if only_check:
                return {}
            if request.subcommand is Subcommand.IMPORT:
                beliefs.reset()
            beliefs.merge(given, now_s)
            taken = {"channels_taken": len(given.channels.scid), "nodes_taken": len(given.nodes)}
            known = {"channels_known": len(beliefs), "nodes_known": len(beliefs.believed().nodes)}
            return {**taken, **known}
        case Subcommand.RESET:
            forgotten = {"channels_forgotten": len(beliefs), "nodes_forgotten": len(beliefs.believed().nodes)}
            if not only_check:
                beliefs.reset()
            return forgotten


def _exported(everything: dict[str, Any], graph: ChannelGraph, now_s: float) -> dict[str, Any]:
    """Without the channels that were closed or spliced since, which no import would take."""
    there = [
        channel
        for channel in everything["channels"]
        if graph.size_msat(parse_scid(channel["short_channel_id"])) == channel["capacity_msat"]
    ]
    return {**everything, "channels": there, "exported_at": int(now_s)}


def _listed(
    request: LiquidityRequest,
    beliefs: LiquidityBeliefs,
    graph: ChannelGraph,
    held: Mapping[ScidDir, int],
    now_s: float,
) -> dict[str, Any]:
    table, knowledge = beliefs.believed().channels, beliefs.knowledge(now_s)
    newest = table.at_s.max(axis=0, initial=0.0)
    rows = sorted(range(len(table.scid)), key=lambda row: -newest[row])
    if request.scid is not None:
        rows = [row for row in rows if int(table.scid[row]) == request.scid]
    channels = []
    for row in rows[: request.limit]:
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
    nodes = _nodes(request, graph, knowledge)
    out = [
        {"short_channel_id_dir": str(channel), "amount_msat": amount}
        for channel, amount in sorted(held.items())
        if request.scid in (None, channel.scid)
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


def _nodes(request: LiquidityRequest, graph: ChannelGraph, knowledge: Knowledge) -> list[dict[str, Any]]:
    """Those with the most trouble first; of one channel those at its ends."""
    costs = knowledge.nodes
    if request.scid is not None:
        ends = _ends(graph, ScidDir(request.scid, 0))
        costs = {node: cost for node, cost in costs.items() if node.hex() in ends.values()}
    worst = sorted(costs.items(), key=lambda item: (-item[1].nats, -item[1].seconds, item[0]))
    return [
        {**_named(graph, node), "trouble_nats": round(cost.nats, 3), "slow_s": round(cost.seconds, 3)}
        for node, cost in worst[: request.limit]
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
