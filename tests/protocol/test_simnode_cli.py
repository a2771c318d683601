"""The simulated node as a person has it: one terminal leaves it running, another talks to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pay.sim.cli import parameters
from tests.support.checkout import ROOT
from tests.support.plugins import ECHO
from tests.support.waiting import PATIENCE_S, given_by


def sim(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pay.sim", *arguments]


@pytest.mark.parametrize(
    ("arguments", "meaning"),
    [
        ([], []),
        (["lnbc1", "1000", "null", "0.5", "true"], ["lnbc1", 1000, None, 0.5, True]),
        (["bolt11=lnbc1", "amount_msat=50000sat"], {"bolt11": "lnbc1", "amount_msat": "50000sat"}),
        (['exclude=["1x2x3/0"]', "maxfee=-1"], {"exclude": ["1x2x3/0"], "maxfee": -1}),
        (["a=b", "plain"], ["a=b", "plain"]),
        (["02" + "1" * 64], ["02" + "1" * 64]),
        (["[not json", "1e5", "007x"], ["[not json", "1e5", "007x"]),
    ],
)
def test_arguments_mean_what_they_mean_to_lightning_cli(arguments: list[str], meaning: Any) -> None:
    assert parameters(arguments) == meaning


def test_a_node_to_leave_running(tmp_path: Path) -> None:
    """It greets, answers `call` from elsewhere with exit statuses, and leaves on Ctrl-C without a trace of it."""
    home = ["--directory", str(tmp_path)]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = sim("call", *home, *arguments)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert call("getinfo").returncode == 2
    node = subprocess.Popen(
        sim("node", "--nodes", "20", "--plugin", str(ECHO), *home), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert node.stdout is not None
        greeting = ""
        while "Ctrl-C" not in greeting:
            line = given_by(node.stdout.readline, f"the rest of the greeting {greeting!r}")
            assert line, greeting
            greeting += line
        assert "21 nodes" in greeting
        (typed,) = (line for line in greeting.splitlines() if "sim-invoice any" in line)
        elsewhere = subprocess.run(
            typed, shell=True, cwd="/", capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        assert json.loads(elsewhere.stdout)["bolt11"].startswith("lnbcrt")
        invoice = json.loads(call("sim-invoice", "any", "50000sat", "coffee").stdout)
        decoded = json.loads(call("decode", invoice["bolt11"]).stdout)
        assert (decoded["amount_msat"], decoded["description"]) == (50_000_000, "coffee")
        assert decoded["payee"] == invoice["payee"]
        echoed = json.loads(call("echo", "what=[1, 2]").stdout)
        assert echoed["request"]["params"] == {"what": [1, 2]}
        assert "half way" in call("echo-progress").stderr
        refused = call("nonsense")
        assert (refused.returncode, json.loads(refused.stdout)["code"]) == (1, -32601)
        assert "sendpay route payment_hash" in call("help").stdout
        node.send_signal(signal.SIGINT)
        assert node.wait(PATIENCE_S) == 0
        assert node.stdout.read().endswith("Stopped.\n")
        assert not (tmp_path / "running").exists()
    finally:
        node.kill()
        node.wait(PATIENCE_S)
        node.stdout.close()
    assert call("getinfo").returncode == 2
