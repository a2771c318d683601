"""Beliefs as plain JSON values and back, checked: what is exported, and what is kept over restarts.

    {"version": 1,
     "channels": [{"short_channel_id": "539268x845x1", "capacity_msat": 1000000000,
                   "directions": [{"direction": 0, "low_msat": 250000000, "low_at": 1763733600,
                                   "high_msat": 400000000, "high_at": 1763733600}]}],
     "nodes": [{"id": "02…", "trouble_nats": 2.0, "trouble_at": 1763733600, "slow_s": 1.5, "slow_at": 1763733600}
              ],
     "scores": {"priors": {"outcomes": 41.5, "nats": {"reserved": 12.25, "uniform": 12.5, …}}, "returns": {…}}}

A bound is what the side of that direction could forward, as of its time in unix seconds; it has not faded yet.
What is not known is left out, so are `nodes` and `scores` in what earlier versions wrote. Scores are what each
explanation was charged for our own outcomes in all (`contest`); of two of them the one with more outcomes holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from pay.liquidity.beliefs import Believed
from pay.liquidity.contest import MOST_NATS as MOST_NATS_CHARGED
from pay.liquidity.contest import MOST_OUTCOMES, NOTHING_HEARD, Scores
from pay.liquidity.experience import MOST_NATS, MOST_S, NodeBelief
from pay.liquidity.facts import LACK, LOW, table_of
from pay.units import MAX_MSAT, Scid, format_scid, parse_node_id, parse_scid, show

VERSION = 1

SizeOf = Callable[[Scid], int | None]
"""The capacity of a channel in msat; None if there is no such channel."""


def channel_entries(believed: Believed) -> list[dict[str, Any]]:
    """One for each channel."""
    table = believed.channels
    rows = zip(
        table.scid.tolist(), table.capacity_msat.tolist(), table.value_msat.T.tolist(), table.at_s.T.tolist(),
        strict=True,
    )  # fmt: skip
    entries = []
    for scid, capacity, value, at_s in rows:
        directions = []
        for side in (0, 1):
            shown: dict[str, int] = {"direction": side}
            if value[LOW + side]:
                shown |= {"low_msat": value[LOW + side], "low_at": int(at_s[LOW + side])}
            if value[LACK + side]:
                shown |= {"high_msat": capacity - value[LACK + side], "high_at": int(at_s[LACK + side])}
            if len(shown) > 1:
                directions.append(shown)
        entries.append(
            {"short_channel_id": format_scid(scid), "capacity_msat": capacity, "directions": directions}
        )
    return entries


def node_entries(believed: Believed) -> list[dict[str, Any]]:
    """One for each node."""
    entries = []
    for belief in believed.nodes:
        entry: dict[str, Any] = {"id": belief.node.hex()}
        if belief.nats:
            entry |= {"trouble_nats": round(belief.nats, 6), "trouble_at": int(belief.nats_at_s)}
        if belief.seconds:
            entry |= {"slow_s": round(belief.seconds, 3), "slow_at": int(belief.seconds_at_s)}
        entries.append(entry)
    return entries


def score_entries(believed: Believed) -> dict[str, Any]:
    """Of each contest that heard anything."""
    contests = {"priors": believed.priors, "returns": believed.returns}
    return {
        name: {
            "outcomes": round(scores.outcomes, 3),
            "nats": {explanation: round(nats, 3) for explanation, nats in scores.nats},
        }
        for name, scores in contests.items()
        if scores.outcomes
    }


def to_json(believed: Believed) -> dict[str, Any]:
    """All of it."""
    channels, nodes = channel_entries(believed), node_entries(believed)
    return {"version": VERSION, "channels": channels, "nodes": nodes, "scores": score_entries(believed)}


def from_json(data: Any, now_s: float, size_of: SizeOf | None = None) -> Believed:
    """What `to_json` made.

    Parameters
    ----------
    now_s
        What is dated later is refused.
    size_of
        To refuse channels that do not exist, or not with that capacity; without it they are taken as they are.

    Raises
    ------
    ValueError
        Naming the entry, in words that can follow the name of the parameter.
    """
    fields = _fields(data, "", {"version", "channels"}, {"nodes", "scores", "exported_at"})
    if _whole(fields["version"]) != VERSION:
        raise ValueError(f".version: should be {VERSION}, not {show(fields['version'])}")
    if "exported_at" in fields:
        _time(fields, "exported_at", "", now_s)
    rows, nodes = {}, {}
    for where, entry in _entries(fields["channels"], ".channels"):
        scid, row = _channel(entry, where, now_s, size_of)
        if scid in rows:
            raise ValueError(f"{where}: channel {format_scid(scid)} is there twice")
        rows[scid] = row
    for where, entry in _entries(fields.get("nodes", []), ".nodes"):
        belief = _node(entry, where, now_s)
        if belief.node in nodes:
            raise ValueError(f"{where}: node {belief.node.hex()} is there twice")
        nodes[belief.node] = belief
    contests = _fields(fields.get("scores", {}), ".scores", frozenset(), {"priors", "returns"})
    priors, returns = (_scores(contests, name) for name in ("priors", "returns"))
    table = table_of((scid, *row) for scid, row in rows.items())
    return Believed(table, tuple(nodes.values()), priors, returns)


def _channel(
    entry: Any, where: str, now_s: float, size_of: SizeOf | None
) -> tuple[Scid, tuple[int, tuple[int, ...], tuple[float, ...]]]:
    fields = _fields(entry, where, {"short_channel_id", "capacity_msat", "directions"})
    try:
        scid = parse_scid(fields["short_channel_id"])
    except ValueError as error:
        raise ValueError(f"{where}.short_channel_id: {error}") from error
    capacity = _msat(fields, "capacity_msat", where, MAX_MSAT)
    if size_of is not None:
        size = size_of(scid)
        if size is None:
            raise ValueError(f"{where}: there is no channel {format_scid(scid)}")
        if size != capacity:
            named = format_scid(scid)
            raise ValueError(f"{where}.capacity_msat: channel {named} has {size}msat, not {capacity}msat")
    value, at_s, seen = [0] * 4, [0.0] * 4, set()
    for at, direction in _entries(fields["directions"], f"{where}.directions"):
        bounds = _fields(direction, at, {"direction"}, {"low_msat", "low_at", "high_msat", "high_at"})
        side = bounds["direction"]
        if _whole(side) not in (0, 1) or side in seen:
            raise ValueError(f"{at}.direction: should be 0 or 1, each once, not {show(side)}")
        seen.add(side)
        low = high = None
        if _has(bounds, "low_msat", "low_at", at):
            low = _msat(bounds, "low_msat", at, capacity)
            value[LOW + side], at_s[LOW + side] = low, _time(bounds, "low_at", at, now_s)
        if _has(bounds, "high_msat", "high_at", at):
            high = _msat(bounds, "high_msat", at, capacity)
            value[LACK + side], at_s[LACK + side] = capacity - high, _time(bounds, "high_at", at, now_s)
        if low is not None and high is not None and low > high:
            raise ValueError(f"{at}: low_msat {low} is above high_msat {high}")
    return scid, (capacity, tuple(value), tuple(at_s))


def _node(entry: Any, where: str, now_s: float) -> NodeBelief:
    fields = _fields(entry, where, {"id"}, {"trouble_nats", "trouble_at", "slow_s", "slow_at"})
    try:
        node = parse_node_id(fields["id"])
    except ValueError as error:
        raise ValueError(f"{where}.id: {error}") from error
    found = []
    for name, time, most in (("trouble_nats", "trouble_at", MOST_NATS), ("slow_s", "slow_at", MOST_S)):
        if not _has(fields, name, time, where):
            found += [0.0, 0.0]
            continue
        found += [_number(fields[name], f"{where}.{name}", most), _time(fields, time, where, now_s)]
    return NodeBelief(node, *found)


def _scores(contests: Mapping[str, Any], name: str) -> Scores:
    """Names of explanations are not looked at: who takes them in knows its own."""
    if name not in contests:
        return NOTHING_HEARD
    where = f".scores.{name}"
    fields = _fields(contests[name], where, {"outcomes", "nats"})
    outcomes = _number(fields["outcomes"], f"{where}.outcomes", MOST_OUTCOMES)
    if not isinstance(fields["nats"], dict):
        raise ValueError(f"{where}.nats: should be an object, not {show(fields['nats'])}")
    most = MOST_NATS_CHARGED * outcomes + 0.1
    nats = {key: _number(value, f"{where}.nats.{show(key)}", most) for key, value in fields["nats"].items()}
    return Scores(outcomes, tuple(nats.items()))


def _number(value: Any, where: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{where}: should be a number from 0 to {most:g}, not {show(value)}")
    return float(value)


def _entries(value: Any, where: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: should be an array, not {show(value)}")
    return ((f"{where}[{at}]", entry) for at, entry in enumerate(value))


def _fields(value: Any, where: str, needed: Set[str], possible: Set[str] = frozenset()) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: should be an object, not {show(value)}")
    for name in sorted(needed - set(value)):
        raise ValueError(f"{where}.{name}: is missing")
    for name in value:
        if name not in needed and name not in possible:
            raise ValueError(f"{where}: unknown field {show(name)}")
    return value


def _has(fields: Mapping[str, Any], name: str, time: str, where: str) -> bool:
    """Whether there is a fact of that name; a fact and its time are there together or not at all."""
    if (name in fields) == (time in fields):
        return name in fields
    raise ValueError(f"{where}.{time if name in fields else name}: is missing")


def _whole(value: Any) -> int | None:
    """JSON has 1.0, true and 10**400 as well."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _msat(fields: Mapping[str, Any], name: str, where: str, most: int) -> int:
    value = _whole(fields[name])
    if value is None:
        raise ValueError(f"{where}.{name}: should be a whole number of msat, not {show(fields[name])}")
    if not 0 <= value <= most:
        raise ValueError(f"{where}.{name}: should be from 0 to {most}, not {show(value)}")
    return value


def _time(fields: Mapping[str, Any], name: str, where: str, now_s: float) -> float:
    value = _whole(fields[name])
    if value is None or value < 0:
        raise ValueError(f"{where}.{name}: should be a unix time in whole seconds, not {show(fields[name])}")
    if value > now_s:
        raise ValueError(f"{where}.{name}: {show(value)} is in the future, it is {int(now_s)}")
    return float(value)
