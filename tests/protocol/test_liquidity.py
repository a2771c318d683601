"""What payments learn, how it is shown, handed on and kept, through the plugin's process.

The world is that of kit.py; the channel from the hub to far is drained, so the cheap way fails.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pay.sim.node import SimNode
from pay.sim.store import DYING_BLOCKS
from tests.protocol.kit import CAPACITY_MSAT, SAT, Host, hosting

AMOUNT_MSAT = 100_000 * SAT
OPTIONS: dict[str, Any] = {
    "developer": True,
    "options": {"pay-dev-liquidity-ms": 50, "pay-shadow": "off", "pay-randomness": 0},
}
KEY = ["pay", "liquidity"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        yield host


def drain(host: Host, start: str, left_msat: int = 0) -> None:
    """Leave so much to spend on the side of `start` in its channel with far."""
    channel = host.channel(start, "far")
    side = channel.side(host.id(start))
    left_msat += channel.reserves_msat[side]

    def act(_world: Any) -> None:
        channel.balances_msat[side] = left_msat
        channel.balances_msat[1 - side] = channel.capacity_msat - left_msat

    host.world(act)


def tries(host: Host, amount_msat: int = AMOUNT_MSAT) -> list[str]:
    """Pay: over whom each part was sent."""
    mark = host.mark()
    host.pay(host.invoice(amount_msat=amount_msat)).ok()
    names = {host.id(name).hex(): name for name in ("hub", "alt")}
    return [names[sent["route"][0]["id"]] for sent in host.sendpays(mark)]


def liquidity(host: Host, *params: Any, **named: Any) -> dict[str, Any]:
    answer = host.call("payliquidity", named or list(params)).ok()
    assert isinstance(answer, dict)
    return answer


def of(host: Host, start: str) -> dict[str, Any]:
    """What is shown of the direction towards far, on the side of `start`."""
    shown = liquidity(host, short_channel_id=host.scid(start, "far"))["channels"]
    (channel,) = shown
    (direction,) = [d for d in channel["directions"] if d["source"] == host.id(start).hex()]
    return {**channel, **direction}


def stored(host: Host) -> dict[str, Any]:
    """The pieces in the datastore, by name."""
    found = host.call("listdatastore", {"key": KEY}).ok()["datastore"]
    return {entry["key"][-1]: json.loads(entry["string"]) for entry in found}


def kept(host: Host) -> bool:
    """Whether the datastore has all that is exported."""
    exported = liquidity(host, "export")
    pieces = stored(host).values()
    channels = {c["short_channel_id"]: c for piece in pieces for c in piece["channels"]}
    return channels == {c["short_channel_id"]: c for c in exported["channels"]}


# --- learning -------------------------------------------------------------------------------------------------


def test_what_failed_once_is_not_the_first_choice_of_the_next_payment(host: Host) -> None:
    assert tries(host) == ["hub", "alt"]
    assert tries(host) == ["alt"], "another payment knows what the first one was told"
    assert tries(host, AMOUNT_MSAT // 100) == ["alt"], "a side that lacks so little of its channel is used up"
    host.call("setconfig", {"config": "pay-balance-prior", "val": "uniform"}).ok()
    assert tries(host, AMOUNT_MSAT // 100) == ["hub", "alt"], "or it has any of the smaller balances"


def test_a_belief_makes_nobody_unreachable(host: Host) -> None:
    """Both ways refused once; when one has it again, the payment goes: a refusal of before is only dear."""
    drain(host, "alt")
    host.pay(host.invoice())
    drain(host, "alt", CAPACITY_MSAT // 2)
    assert tries(host)[-1] == "alt"


def test_the_listing_can_be_read(host: Host) -> None:
    tries(host)
    shown = of(host, "hub")
    assert shown["capacity_msat"] == CAPACITY_MSAT and shown["low_msat"] == 0
    assert shown["high_msat"] == pytest.approx(AMOUNT_MSAT - 1, rel=1e-3), "faded for some milliseconds"
    assert shown["believed"].startswith("at most ") and shown["believed"].endswith(" of 10,000,000 sat")
    assert (shown["source_alias"], shown["destination_alias"]) == ("hub", "far")
    assert shown["age_seconds"] < 20 and shown["age"].endswith(" seconds") and shown["learnt_at"] > 1_700_000_000
    tries(host, 10 * AMOUNT_MSAT)
    gone = of(host, "alt")
    assert CAPACITY_MSAT - 10 * AMOUNT_MSAT < gone["high_msat"] < CAPACITY_MSAT, "it may have filled a reserve"
    whole = liquidity(host)
    assert whole["in_flight"] == [] and whole["channels_known"] >= 2
    assert liquidity(host, limit=1)["channels_known"] == whole["channels_known"]
    assert len(liquidity(host, limit=1)["channels"]) == 1
    assert liquidity(host, limit=0)["channels"] == []


def test_our_own_channels_are_known_as_the_host_knows_them(host: Host) -> None:
    tries(host)
    tries(host)
    (shown,) = liquidity(host, short_channel_id=host.scid("us", "alt"))["channels"]
    (ours,) = [d for d in shown["directions"] if d["source_alias"] == "us"]
    channels = host.call("listpeerchannels").ok()["channels"]
    (there,) = [c for c in channels if c["short_channel_id"] == shown["short_channel_id"]]
    assert there["spendable_msat"] <= ours["low_msat"] <= ours["high_msat"] < CAPACITY_MSAT


def test_what_is_out_is_shown(host: Host) -> None:
    invoice = host.invoice(hold=True)
    waiting = host.pay_held(invoice)
    (out,) = liquidity(host)["in_flight"]
    assert out["amount_msat"] == AMOUNT_MSAT and out["short_channel_id_dir"][:-2] == host.scid("alt", "far")
    host.release(invoice)
    waiting.answer().ok()
    host.settled(invoice)
    assert liquidity(host)["in_flight"] == []


def test_nodes_in_trouble_are_shown(host: Host) -> None:
    with host.misbehaving("hub", fail_code=0x2000 | 2):
        tries(host)
    (node,) = [node for node in liquidity(host)["nodes"] if node.get("alias") == "hub"]
    assert node["trouble_nats"] == pytest.approx(2.0, abs=0.01)
    exported = liquidity(host, "export")
    worse = {"id": host.id("island").hex(), "trouble_nats": 5, "trouble_at": exported["exported_at"]}
    taken = liquidity(host, "merge", {**exported, "nodes": [*exported["nodes"], worse]})
    assert (taken["nodes_taken"], taken["nodes_known"]) == (len(exported["nodes"]) + 1, len(exported["nodes"]) + 1)
    assert [node["id"] for node in liquidity(host, limit=1)["nodes"]] == [worse["id"]], "the worst first"
    of_one = liquidity(host, short_channel_id=host.scid("hub", "far"))["nodes"]
    assert [node["alias"] for node in of_one] == ["hub"]


# --- export, import, merge, reset ---------------------------------------------------------------------------


def test_out_away_and_in_again(host: Host) -> None:
    tries(host)
    exported = liquidity(host, "export")
    forgotten = liquidity(host, "reset")
    assert forgotten["channels_forgotten"] == len(exported["channels"]) >= 2
    assert liquidity(host, "export")["channels"] == [] == liquidity(host)["channels"]
    taken = liquidity(host, "import", exported)
    assert taken["channels_taken"] == taken["channels_known"] == len(exported["channels"])
    assert liquidity(host, subcommand="export")["channels"] == exported["channels"]
    assert tries(host) == ["alt"]


def test_channels_that_were_closed_are_not_exported(host: Host) -> None:
    """What this node hands out it takes back, whatever was closed meanwhile."""
    tries(host)
    scid = host.scid("hub", "far")
    host.world(lambda world: world.close_channel(host.channel("hub", "far")))
    host.world(lambda world: world.mine(DYING_BLOCKS))
    exported = liquidity(host, "export")
    assert scid not in [channel["short_channel_id"] for channel in exported["channels"]]
    assert liquidity(host, short_channel_id=scid)["channels"], "it may have been spliced, and fades"
    liquidity(host, "import", exported)


def test_import_replaces_and_merge_adds(host: Host) -> None:
    tries(host)
    exported = liquidity(host, "export")
    one = {**exported, "channels": exported["channels"][:1]}
    assert liquidity(host, "merge", one)["channels_known"] == len(exported["channels"])
    assert liquidity(host, "export")["channels"] == exported["channels"], "nothing new"
    assert liquidity(host, "import", one)["channels_known"] == 1


def _set(path: list[Any], value: Any) -> Any:
    def change(data: dict[str, Any]) -> None:
        *way, last = path
        at: Any = data
        for key in way:
            at = at[key]
        if value is KeyError:
            del at[last]
        else:
            at[last] = value

    return change


FIRST: list[Any] = ["channels", 0]
BOUNDS = [*FIRST, "directions", 0]
BAD = {
    "a negative bound": (_set([*BOUNDS, "low_msat"], -1), "data.channels[0].directions[0].low_msat"),
    "more than the channel": (_set([*BOUNDS, "high_msat"], 10**14), "data.channels[0].directions[0].high_msat"),
    "reversed": (_set([*BOUNDS, "high_msat"], 1), "data.channels[0].directions[0]: low_msat"),
    "a fraction": (_set([*BOUNDS, "low_msat"], 1.5), "data.channels[0].directions[0].low_msat"),
    "text": (_set([*BOUNDS, "low_msat"], "5"), "data.channels[0].directions[0].low_msat"),
    "a bool": (_set([*BOUNDS, "low_msat"], True), "data.channels[0].directions[0].low_msat"),
    "the future": (_set([*BOUNDS, "low_at"], 4_000_000_000), "data.channels[0].directions[0].low_at"),
    "no time": (_set([*BOUNDS, "low_at"], KeyError), "data.channels[0].directions[0].low_at"),
    "a time that is none": (_set([*BOUNDS, "low_at"], "now"), "data.channels[0].directions[0].low_at"),
    "not a number": (_set([*BOUNDS, "low_at"], float("nan")), "data.channels[0].directions[0].low_at"),
    "a time without its bound": (_set([*BOUNDS, "low_msat"], KeyError), "data.channels[0].directions[0].low_msat"),
    "a fraction of a second": (_set([*BOUNDS, "low_at"], 1.5), "data.channels[0].directions[0].low_at"),
    "the end of time": (_set([*BOUNDS, "high_at"], 10**400), "data.channels[0].directions[0].high_at"),
    "an export of the future": (_set(["exported_at"], 4_000_000_000), "data.exported_at"),
    "a direction with a point": (_set([*BOUNDS, "direction"], 0.0), "data.channels[0].directions[0].direction"),
    "a version with a point": (_set(["version"], 1.0), "data.version"),
    "a third direction": (_set([*BOUNDS, "direction"], 2), "data.channels[0].directions[0].direction"),
    "a direction twice": (_set([*FIRST, "directions"], [{"direction": 0}] * 2), "directions[1].direction"),
    "no such channel": (_set([*FIRST, "short_channel_id"], "9x9x9"), "data.channels[0]: there is no channel"),
    "no scid": (_set([*FIRST, "short_channel_id"], "9x9"), "data.channels[0].short_channel_id"),
    "another capacity": (_set([*FIRST, "capacity_msat"], 7), "data.channels[0].capacity_msat"),
    "an unknown field": (_set([*FIRST, "balance"], 7), "data.channels[0]: unknown field 'balance'"),
    "no array": (_set(["channels"], {}), "data.channels: should be an array"),
    "no object": (_set(FIRST, 7), "data.channels[0]: should be an object"),
    "no version": (_set(["version"], KeyError), "data.version: is missing"),
    "another version": (_set(["version"], 2), "data.version"),
    "no node": (_set(["nodes"], [{"id": "02"}]), "data.nodes[0].id"),
    "a node's future": (
        _set(["nodes"], [{"id": "02" * 33, "trouble_nats": 1, "trouble_at": 4_000_000_000}]),
        "data.nodes[0].trouble_at",
    ),
    "no time of trouble": (_set(["nodes"], [{"id": "02" * 33, "trouble_nats": 1}]), "data.nodes[0].trouble_at"),
    "too much trouble": (
        _set(["nodes"], [{"id": "02" * 33, "trouble_nats": 7, "trouble_at": 1}]),
        "data.nodes[0].trouble_nats",
    ),
}


def test_bad_imports_name_the_entry_and_change_nothing(host: Host) -> None:
    tries(host)
    scid, now = host.scid("hub", "far"), liquidity(host, "export")["exported_at"]
    bounds = {"direction": 0, "low_msat": 5, "low_at": now - 60, "high_msat": 9, "high_at": now - 60}
    entry = {"short_channel_id": scid, "capacity_msat": CAPACITY_MSAT, "directions": [bounds]}
    good = {"version": 1, "channels": [entry], "nodes": []}
    before = liquidity(host, "export")
    twice = {"version": 1, "channels": [entry, entry]}
    for subcommand in ("import", "merge"):
        cases = [(name, deepcopy(good), *case) for name, case in BAD.items()]
        for name, data, change, words in cases:
            change(data)
            error = host.call("payliquidity", [subcommand, data]).error
            assert error is not None and error["code"] == -32602 and words in error["message"], (name, error)
        error = host.call("payliquidity", [subcommand, twice]).error
        assert error is not None and error["code"] == -32602 and "data.channels[1]" in error["message"]
        for data in (7, "x", [], None):
            assert host.call("payliquidity", [subcommand, data]).code == -32602
    host.call("check", {"command_to_check": "payliquidity", "subcommand": "import", "data": good}).ok()
    bad = {"command_to_check": "payliquidity", "subcommand": "import", "data": twice}
    assert host.call("check", bad).code == -32602
    host.call("check", {"command_to_check": "payliquidity", "subcommand": "reset"}).ok()
    assert {**liquidity(host, "export"), "exported_at": 0} == {**before, "exported_at": 0}
    liquidity(host, "import", good)
    shown = of(host, "hub")
    assert liquidity(host, "export")["channels"] == [entry] and shown["short_channel_id"] == scid


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (["forget"], "subcommand"), ([1], "subcommand"), (["import"], "data"), (["reset", {}], "data"),
        ({"short_channel_id": "x"}, "short_channel_id"), ({"limit": -1}, "limit"), ({"limit": "9"}, "limit"),
        ({"label": "x"}, "label"), (["list", None, None, 1, 2], "too many"),
    ],
)  # fmt: skip
def test_bad_parameters(host: Host, params: Any, name: str) -> None:
    error = host.call("payliquidity", params).error
    assert error is not None and error["code"] == -32602 and name in error["message"]


def test_options_say_what_they_take(host: Host) -> None:
    for name, good, bad in (
        ("pay-failure-half-life", 60, 0), ("pay-success-half-life", 60, -1), ("pay-second-cost", 5, -1),
        ("pay-balance-prior", "mixed", "flat"),
    ):  # fmt: skip
        assert host.call("setconfig", {"config": name, "val": bad}).error is not None
        host.call("setconfig", {"config": name, "val": good}).ok()
    assert tries(host)[-1] == "alt"


# --- the datastore --------------------------------------------------------------------------------------------


def test_beliefs_outlive_the_node(tmp_path: Path) -> None:
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        tries(host)
        host.box.poll(lambda: kept(host))
        before = liquidity(host, "export")["channels"]
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_restored", mark)
        assert liquidity(host, "export")["channels"] == before
        assert tries(host) == ["alt"]


def test_a_start_before_the_clock_is_set_loses_nothing(tmp_path: Path) -> None:
    """What was kept is of the future then."""
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        tries(host)
        host.box.poll(lambda: kept(host))
        (piece,) = map(json.dumps, stored(host).values())
        liquidity(host, "reset")
        host.box.poll(lambda: not stored(host))
        later = re.sub(r'(?<=_at": )\d+', str(int(time.time()) + 7_200), piece)
        host.call("datastore", {"key": [*KEY, "1-0"], "string": later}).ok()
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_restored", mark)
        assert not host.lines("liquidity_unreadable")
        assert tries(host) == ["alt"]


def test_what_is_forgotten_is_forgotten_there_too(host: Host) -> None:
    tries(host)
    host.box.poll(lambda: stored(host))
    liquidity(host, "reset")
    host.box.poll(lambda: not stored(host))


def test_damaged_and_foreign_data_is_ignored_with_one_line(tmp_path: Path) -> None:
    good = {"version": 1, "channels": [], "nodes": []}
    texts = {
        "4-0": "{", "4-1": "[]", "4-2": '{"version": 99}', "4-3": json.dumps({**good, "channels": [7]}),
        "2-0": "nothing", "of-somebody-else": "hello", "1-0": json.dumps(good),
    }  # fmt: skip
    with hosting(tmp_path, **OPTIONS) as host:
        for name, text in texts.items():
            host.call("datastore", {"key": [*KEY, name], "string": text}).ok()
        host.call("datastore", {"key": [*KEY, "deep", "er"], "hex": "ff"}).ok()
        drain(host, "hub")
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_unreadable", mark)
        (line,) = host.lines("liquidity_un")
        assert "pieces=7" in line
        assert tries(host) == ["hub", "alt"]

        def ours() -> list[list[str]]:
            return [entry["key"] for entry in host.call("listdatastore", {"key": KEY}).ok()["datastore"]]

        host.box.poll(lambda: ours() == [[*KEY, "1-0"], [*KEY, "deep"], [*KEY, "of-somebody-else"]])
        assert kept_channels(host)


def kept_channels(host: Host) -> bool:
    entry = host.call("listdatastore", {"key": [*KEY, "1-0"]}).ok()["datastore"][0]
    return bool(json.loads(entry["string"])["channels"])


@pytest.mark.parametrize(
    "faults",
    [
        {"errors": {"datastore": (-1, "database or disk is full"), "deldatastore": (-1, "no")}},
        {"delay_s": {"datastore": 0.3}},
        {"ignore": {"datastore", "deldatastore"}},
        {"hang": {"datastore"}},
        {"empty": {"datastore"}},
    ],
    ids=["full", "slow", "silent", "unanswered", "empty"],
)
def test_a_datastore_in_trouble_touches_no_payment(tmp_path: Path, faults: dict[str, Any]) -> None:
    options = {**OPTIONS["options"], "pay-dev-answer-ms": 300}
    with hosting(tmp_path, developer=True, options=options) as host:
        drain(host, "hub")
        with host.faults(**faults):
            assert tries(host) == ["hub", "alt"]
            for _ in range(3):
                assert tries(host) == ["alt"]
            quiet = "delay_s" in faults or "empty" in faults
            if not quiet:
                host.log("liquidity_unwritten")
            assert len(host.lines("liquidity_unwritten")) <= 1
        host.box.poll(lambda: kept(host))


@pytest.mark.parametrize(
    "faults",
    [
        {"errors": {"listdatastore": (-1, "no such table")}},
        {"empty": {"listdatastore"}},
    ],
    ids=["failing", "empty"],
)
def test_what_cannot_be_read_at_start_is_learnt_again(tmp_path: Path, faults: dict[str, Any]) -> None:
    def trouble(node: SimNode) -> None:
        for name, value in faults.items():
            setattr(node.faults, name, value)

    with hosting(tmp_path, **OPTIONS, prepare=trouble) as host:
        drain(host, "hub")
        assert tries(host) == ["hub", "alt"] and tries(host) == ["alt"]
        assert len(host.lines("liquidity_unread")) == 1


def late_start(node: SimNode) -> None:
    """The plugin cannot read the datastore yet."""
    node.faults.only_plugin = True
    node.faults.errors = {"listdatastore": (-1, "database is locked")}


@pytest.mark.parametrize("reset", [False, True])
def test_what_can_be_read_later_is_not_written_over(tmp_path: Path, reset: bool) -> None:
    """Beliefs of an earlier run are there when the host tells them at last, unless they were reset meanwhile."""
    with hosting(tmp_path, **OPTIONS, prepare=late_start) as host:
        scid, now = host.scid("hub", "far"), int(time.time()) - 60
        bounds = [{"direction": side, "low_msat": CAPACITY_MSAT // 4, "low_at": now} for side in (0, 1)]
        entry = {"short_channel_id": scid, "capacity_msat": CAPACITY_MSAT, "directions": bounds}
        kept_before = json.dumps({"version": 1, "channels": [entry], "nodes": []})
        host.call("datastore", {"key": [*KEY, "1-0"], "string": kept_before}).ok()
        tries(host)
        assert stored(host) == {"1-0": json.loads(kept_before)}, "in spite of what was learnt"
        if reset:
            liquidity(host, "reset")
        host.node.faults.errors = {}
        if reset:
            host.box.poll(lambda: not stored(host))
        else:
            host.log("liquidity_restored channels=")
            host.box.poll(lambda: kept(host))
        known = [channel["short_channel_id"] for channel in liquidity(host, "export")["channels"]]
        assert (scid in known) is not reset


def test_a_reset_is_written_at_once(tmp_path: Path) -> None:
    """Who forgets and stops the node does not find it all again."""
    options = {**OPTIONS["options"], "pay-dev-liquidity-ms": 600_000}
    with hosting(tmp_path, developer=True, options=options) as host:
        tries(host)
        exported = liquidity(host, "export")
        liquidity(host, "import", exported)
        host.box.poll(lambda: kept(host))
        liquidity(host, "reset")
        host.box.poll(lambda: not stored(host))
