"""What payments learn, how it is shown and handed on, through the plugin's process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from math import log
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.encoding.store import DYING_BLOCKS
from tests.support.box.host import CAPACITY_MSAT, Host, hosting
from tests.support.box.learning import AMOUNT_MSAT, OPTIONS, drain, liquidity, of, tries


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        yield host


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


def test_which_prior_is_used_and_how_well_each_has_foretold_is_shown(host: Host) -> None:
    """Of one channel something passed and of one it was refused: two outcomes, so nothing is ahead yet."""
    assert liquidity(host)["prior"]["chosen_by"] == "option"
    host.call("setconfig", {"config": "pay-balance-prior", "val": "auto"}).ok()
    assert liquidity(host)["prior"] == {
        "used": "reserved", "outcomes": 0, "surprise_nats": {}, "chosen_by": "score",
    }  # fmt: skip
    assert tries(host) == ["hub", "alt"]
    shown = liquidity(host)
    prior = shown["prior"]
    assert (prior["used"], prior["chosen_by"], prior["outcomes"]) == ("reserved", "score", 2.0)
    assert set(prior["surprise_nats"]) == {"reserved", "uniform", "bimodal", "mixed"}
    # One hundredth was refused, which has 1 % (4.6 nats, charged 4), or 1.98 % of it cannot be forwarded.
    assert prior["surprise_nats"]["uniform"] == pytest.approx((4 - log(0.99)) / 2, abs=0.001)
    assert prior["surprise_nats"]["reserved"] == pytest.approx((-log(0.0199) - log(0.9801)) / 2, abs=0.001)
    assert shown["returns"] == {"used": "never", "outcomes": 0, "surprise_nats": {}}
    host.call("setconfig", {"config": "pay-balance-prior", "val": "bimodal"}).ok()
    fixed = liquidity(host)["prior"]
    assert (fixed["used"], fixed["chosen_by"]) == ("bimodal", "option")
    assert fixed["surprise_nats"] == prior["surprise_nats"]


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
    liquidity(host, "reset")
    as_lightning_cli_names_it = liquidity(host, subcommand="import", data=json.dumps(exported))
    assert as_lightning_cli_names_it["channels_taken"] == taken["channels_taken"]
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
