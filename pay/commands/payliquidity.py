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

from pay.commands.beliefs import KNOWN, LIST, listed
from pay.commands.form import failing, readers
from pay.commands.form.command import Command, Context, Words
from pay.commands.form.parameters import Parameter, given
from pay.commands.form.shapes import (
    INTEGER,
    MSAT,
    NUMBER,
    PUBKEY,
    SCID,
    U32,
    U64,
    Anything,
    Array,
    Object,
    OneOf,
    always,
    maybe,
    words,
)
from pay.errors import Code, PayError, invalid_param
from pay.host.version import NEWEST, Version
from pay.log_events import LogEvent
from pay.units import Scid, ScidDir, parse_scid, show

if TYPE_CHECKING:
    from pay.engine.live.running import Tell
    from pay.liquidity.beliefs import LiquidityBeliefs
    from pay.network import ChannelGraph

DEFAULT_LIMIT = 100
"""Channels and nodes in a list: what somebody may want to read."""


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


def _limit(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"should be a whole number of channels, not {show(value)}")
    return value


def _json(value: Any) -> Any:
    """JSON within JSON is what lightning-cli makes of `-k data={...}`."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


_SUBCOMMANDS = tuple(subcommand.value for subcommand in Subcommand)

PARAMETERS = (
    Parameter(
        "subcommand", words(*_SUBCOMMANDS), readers.one_of(*_SUBCOMMANDS),
        "*list* shows what is believed of the channels of which most was learnt lately, newest first. *export* "
        "gives all of it as JSON. *import* forgets everything and believes *data*; *merge* takes of each fact the "
        "stronger. *reset* forgets everything.",
        Subcommand.LIST.value, Subcommand.LIST.value,
    ),
    Parameter("data", Anything(), _json, "For *import* and *merge*, and only for these: what *export* gave."),
    Parameter("short_channel_id", SCID, parse_scid, "For *list*: only this channel."),
    Parameter(
        "limit", U32, _limit, "For *list*: the most channels, and the most nodes.",
        DEFAULT_LIMIT, f"{DEFAULT_LIMIT}",
    ),
)  # fmt: skip


def read(params: Any, version: Version = NEWEST, developer: bool = False) -> LiquidityRequest:
    """What a call asks for. Raises PayError (-32602)."""
    take = given("payliquidity", PARAMETERS, params, version, developer)
    subcommand = Subcommand(take["subcommand"])
    takes_data = subcommand in (Subcommand.IMPORT, Subcommand.MERGE)
    if takes_data and "data" not in take:
        raise PayError(Code.INVALID_PARAMS, "missing required parameter: data (what `export` gave)")
    if not takes_data and "data" in take:
        raise invalid_param("data", f"only for import and merge, not for {subcommand.value}")
    limit, scid = take["limit"], take["short_channel_id"]
    return LiquidityRequest(subcommand, take["data"], scid, limit)


async def answer(request: LiquidityRequest, context: Context, _tell: Tell) -> dict[str, Any]:
    """Show or change what is believed. Raises PayError."""
    result = await _carried_out(request, context, only_check=False)
    if request.subcommand not in (Subcommand.LIST, Subcommand.EXPORT):
        context.liquidity.changed(replaced=request.subcommand is not Subcommand.MERGE)
    return result


async def check(request: LiquidityRequest, context: Context) -> None:
    """What would be wrong. Raises PayError."""
    await _carried_out(request, context, only_check=True)


async def _carried_out(request: LiquidityRequest, context: Context, only_check: bool) -> dict[str, Any]:
    await context.started()
    await context.liquidity.restored.wait()
    held = context.register.out.held()

    def work(beliefs: LiquidityBeliefs, graph: ChannelGraph) -> dict[str, Any]:
        return _answer(request, beliefs, graph, held, time.time(), only_check)

    return await context.planning.with_memory(work, current=True)


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
            return {} if only_check else listed(beliefs, graph, held, now_s, request.scid, request.limit)
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


# --- documents --------------------------------------------------------------------------------------------

_EXPORT = Object((
    always("version", INTEGER, "Of this form: 1."),
    always(
        "channels",
        Array(Object((
            always("short_channel_id", SCID, "The channel."),
            always("capacity_msat", MSAT, "Its size."),
            always(
                "directions",
                Array(Object((
                    always("direction", U32, "0 or 1."),
                    maybe("low_msat", MSAT, "So much at least it could forward."),
                    maybe("low_at", U64, "When that was learnt, in seconds since 1970."),
                    maybe("high_msat", MSAT, "So much at the most."),
                    maybe("high_at", U64, "When that was learnt."),
                ))),
                "Those of which something was learnt.",
            ),
        ))),
        "Channels that are there, with their bounds as they were learnt.",
    ),
    always(
        "nodes",
        Array(Object((
            always("id", PUBKEY, "The node."),
            maybe("trouble_nats", NUMBER, "How much less often parts get past it."),
            maybe("trouble_at", U64, "When that was learnt."),
            maybe("slow_s", NUMBER, "How many seconds longer they take."),
            maybe("slow_at", U64, "When that was learnt."),
        ))),
        "Nodes of which something was learnt.",
    ),
    always(
        "scores",
        Object((), others=Object((
            always("outcomes", NUMBER, "So many outcomes of parts."),
            always(
                "nats", Object((), others=NUMBER), "By how much all of them surprised each explanation, together.",
            ),
        ))),
        "How well each explanation has foretold: *priors* of where balances lie, *returns* of what comes back.",
    ),
    always("exported_at", U64, "When this was, in seconds since 1970."),
), when="of *export*:")  # fmt: skip

_TAKEN = Object(
    (
        always("channels_taken", U64, "Channels in *data*."),
        always("nodes_taken", U64, "Nodes in it."),
        *KNOWN,
    ),
    when="of *import* and *merge*:",
)

_FORGOTTEN = Object(
    (
        always("channels_forgotten", U64, "Channels of which something was believed."),
        always("nodes_forgotten", U64, "Nodes."),
    ),
    when="of *reset*:",
)

WORDS = Words(
    "Command for what is believed of the balances of channels",
    (
        "The **payliquidity** command shows what was learnt by parts of payments: what channels can forward, "
        "which nodes are in trouble or slow; and gives, takes, joins or forgets all of it.",
        "What was learnt fades with time (*pay-failure-half-life*, *pay-success-half-life*). It makes routes "
        "dearer or cheaper and closes none.",
    ),
    (
        "Whatever is wrong with *data* is said by the name of the entry, and then nothing is changed; **check "
        "payliquidity** says it without a change in any case.",
        "What one node has learnt tells where its payments went: think before you give an export to somebody.",
    ),
    ("pay", "paystatus"),
)

COMMAND = Command(
    name="payliquidity",
    summary="Show what is believed of balances and nodes (of {short_channel_id}, at most {limit} of each), or "
    "with {subcommand} export, import, merge or reset: all of it as JSON, replaced by {data}, joined with it, "
    "forgotten",
    parameters=PARAMETERS,
    answers=OneOf((LIST, _EXPORT, _TAKEN, _FORGOTTEN)),
    errors=failing.OF_LISTS,
    words=WORDS,
    read=read,
    answer=answer,
    bug=LogEvent.PAYLIQUIDITY_FAILED,
    check=check,
)
