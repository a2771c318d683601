"""Who races by the command line, what each is asked, and what keeps a race from beginning."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.bench.race.__main__ import arguments, rotated
from tests.bench.race.network import Node
from tests.bench.race.record import Crossing, Part
from tests.bench.race.senders import Limits, Ours, Pay, Xpay, clear, parts_of, read_variant
from tests.bench.race.tree import COMPRESS, FAKENET, PROGRAMS, SNAPSHOT, Tree, Unusable, find_tree
from tests.support.checkout import ROOT
from tests.support.rawrpc import Answer
from tests.support.waiting import PATIENCE_S


class Recorder:
    """A node that writes down what it is asked, and answers from a list."""

    def __init__(self, **answers: Any):
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers

    def ask(self, method: str, /, **params: Any) -> Answer:
        self.asked.append((method, params))
        return Answer(result=self._answers.get(method.replace("-", "_"), {}))

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        return self.ask(method, **params).ok()


def node(**answers: Any) -> tuple[Node, list[tuple[str, dict[str, Any]]]]:
    recorder = Recorder(**answers)
    return cast(Node, recorder), recorder.asked


def program(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def built(root: Path, host: str = "v26.06", played: str = "v26.06") -> dict[str, str]:
    """A tree and a PATH that have all that is needed; the environment that names them."""
    for file in (COMPRESS, SNAPSHOT):
        program(root / "tree" / file, "nothing")
    program(root / "tree" / FAKENET, played)
    for name in PROGRAMS:
        program(root / "bin" / name, host)
    return {"CLN_DIR": str(root / "tree"), "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}


def test_without_a_tree_there_is_one_line() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CLN_DIR"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.race"], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "CLN_DIR does not name a built Core Lightning tree: make race CLN_DIR=/path/to/lightning\n"
    )


@pytest.mark.parametrize("file", [FAKENET, COMPRESS, SNAPSHOT], ids=str)
def test_a_tree_that_lacks_something(tmp_path: Path, file: Path) -> None:
    environment = built(tmp_path)
    (tmp_path / "tree" / file).unlink()
    with pytest.raises(Unusable, match=f"has no {file}"):
        find_tree(environment)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    environment = built(tmp_path) | {"PATH": str(tmp_path / "bin")}
    (tmp_path / "bin" / "bitcoind").unlink()
    with pytest.raises(Unusable, match="bitcoind is not on the PATH"):
        find_tree(environment)


def test_a_tree_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lightningd would stop at the first channel."""
    environment = built(tmp_path, played="v25.12")
    monkeypatch.setenv("PATH", environment["PATH"])
    with pytest.raises(Unusable, match=r"lightningd on the PATH is v26\.06, but .* of CLN_DIR is v25\.12"):
        find_tree(environment)


def test_a_whole_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = built(tmp_path)
    monkeypatch.setenv("PATH", environment["PATH"])
    root = tmp_path.resolve() / "tree"
    assert find_tree(environment) == Tree(root / FAKENET, root / COMPRESS, root / SNAPSHOT)


def test_who_races_unless_told_otherwise() -> None:
    args = arguments([])
    assert args.line_up == [Pay(), Xpay(), Ours()]
    assert (args.hubs, args.payees, args.amounts, args.retry_for) == (
        10, 20, (1_000, 10_000, 100_000, 500_000, 2_000_000, 4_000_000), None,
    )  # fmt: skip


def test_the_quick_form_yields_to_what_is_said() -> None:
    args = arguments(["--quick", "--payees", "7"])
    assert (args.hubs, args.payees, args.amounts, args.retry_for) == (2, 7, (10_000, 100_000, 500_000), 15)


def test_several_of_ours() -> None:
    """All have the options of --set, each its own beside them."""
    args = arguments(
        ["--senders", "pay,ours", "--set", "pay-randomness=0", "--ours", "dear:pay-failure-cost=50000", "--ours",
         "wild:pay-randomness=100,pay-max-parts=5"]
    )  # fmt: skip
    assert args.line_up == [
        Pay(),
        Ours("ours", {"pay-randomness": "0"}),
        Ours("ours-dear", {"pay-randomness": "0", "pay-failure-cost": "50000"}),
        Ours("ours-wild", {"pay-randomness": "100", "pay-max-parts": "5"}),
    ]


def test_one_of_another_checkout(tmp_path: Path) -> None:
    """Before and after a change, in one race."""
    program(tmp_path / "plugin.py", "nothing")
    args = arguments(["--senders", "ours", "--ours", f"before:plugin={tmp_path}/plugin.py,pay-max-parts=5"])
    before = Ours("ours-before", {"pay-max-parts": "5"}, tmp_path.resolve() / "plugin.py")
    assert args.line_up == [Ours(), before]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--ours", "before:plugin=/nowhere/plugin.py"], "no plugin.py: /nowhere/plugin.py"),
        (["--senders", "renepay"], "no sender 'renepay'"),
        (["--senders", ""], "nobody"),
        (["--set", "pay-randomness"], "option=value"),
        (["--ours", "pay-randomness=0"], "option=value"),
        (["--ours", "a:x=1", "--ours", "a:x=2"], "two senders are called ours-a"),
        (["--payees", "50"], "256 at most"),
    ],
    ids=str,
)
def test_what_cannot_be_raced(given: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        arguments(given)
    assert why in capsys.readouterr().err


def test_a_variant() -> None:
    assert read_variant("dear:a=1,b=x=y") == ("dear", {"a": "1", "b": "x=y"})


def test_another_one_begins_at_each_hub() -> None:
    line_up = arguments([]).line_up
    assert [[sender.name for sender in rotated(line_up, place)] for place in (0, 1, 3)] == [
        ["pay", "xpay", "ours"], ["xpay", "ours", "pay"], ["pay", "xpay", "ours"],
    ]  # fmt: skip


def test_all_have_the_same_limits() -> None:
    """Half a percent of 200,000 msat, without the fee that `pay` lets pass; unless none are named."""
    host, asked = node()
    for sender in (Pay(), Ours(), Xpay()):
        sender.pay(host, "lnbc1", 200_000, Limits(15, 0.5))
        sender.pay(host, "lnbc1", 200_000, Limits())
    named = {"bolt11": "lnbc1", "retry_for": 15, "maxfeepercent": 0.5, "exemptfee": 0}
    assert asked == [
        ("pay", named), ("pay", {"bolt11": "lnbc1"}), ("pay", named), ("pay", {"bolt11": "lnbc1"}),
        ("xpay", {"invstring": "lnbc1", "retry_for": 15, "maxfee": 1_000}), ("xpay", {"invstring": "lnbc1"}),
    ]  # fmt: skip


def test_how_each_forgets() -> None:
    host, asked = node(askrene_listlayers={"layers": [{"layer": "xpay"}]})
    Ours().forget(host)
    Xpay().forget(host)
    assert asked[0] == ("payliquidity", {"subcommand": "reset"})
    assert [method for method, _ in asked[1:]] == ["askrene-listlayers", "askrene-age"]
    plugins = [{"name": "/usr/lib/cln-xpay"}, {"name": "/usr/lib/pay"}, {"name": "/usr/lib/keysend"}]
    host, asked = node(plugin={"plugins": plugins})
    Pay().forget(host)
    assert [params for method, params in asked if params.get("subcommand") in ("start", "stop")] == [
        {"subcommand": "stop", "plugin": "/usr/lib/pay"}, {"subcommand": "start", "plugin": "/usr/lib/pay"},
    ]  # fmt: skip


def test_the_next_sender_gets_an_invoice_that_nobody_has_paid() -> None:
    host, asked = node()
    clear(host, "00")
    statuses = [params["status"] for method, params in asked if method == "delpay"]
    assert statuses == ["failed", "complete"]


def test_which_parts_arrived() -> None:
    """us ── hub (aa) ── payee (bb). One settled, one was refused on the way, one by the payee, one never left."""
    route = [
        {"id": "aa", "channel": "1x1x0", "direction": 0, "amount_msat": 12},
        {"id": "bb", "channel": "2x1x0", "direction": 1, "amount_msat": 10},
    ]
    times = {"start_time": "1970-01-01T00:00:10.000Z", "end_time": "1970-01-01T00:00:11.500Z"}
    usual = {"route": route, "probability": 0.9, **times}
    attempts = [
        {**usual, "amount_msat": 1, "success": {}},
        {**usual, "amount_msat": 2, "failure": {"data": {"erring_index": 1, "failcode": 0x1007}}},
        {**usual, "amount_msat": 3, "failure": {"data": {"erring_index": 2, "failcode": 23}}},
        {**usual, "amount_msat": 4, "failure": {"code": 204}},
        {"route": route, "amount_msat": 5},
    ]
    hops = (Crossing("1x1x0", 0, 12, "00"), Crossing("2x1x0", 1, 10, "aa"))
    settled, refused, late = parts_of(attempts, us="00")
    assert settled == Part(1, 0.9, True, 10.0, 11.5, hops)
    assert refused == Part(2, 0.9, False, 10.0, 11.5, hops, failed_at=1, failcode=0x1007)
    assert late == Part(3, 0.9, True, 10.0, 11.5, hops, failed_at=2, failcode=23)
    both = [(hops[0], True), (hops[1], True)]
    assert settled.crossings() == late.crossings() == both
    assert refused.crossings() == [(hops[0], True), (hops[1], False)]
    assert replace(refused, failcode=0x2002).crossings() == both[:1]
