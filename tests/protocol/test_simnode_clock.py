"""Clocks that step, as the host, a plugin and the real plugin see them.

us ── hub ── far
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pay.sim.lightningd.harness import Box
from tests.support.box.host import SAT, hosting
from tests.support.box.stepped_clock import SteppedClock
from tests.support.box.worlds import executable, invoice_of_far, line_box, part

HOUR_S = 3600.0
TELLER = """
import json, os, sys, time
from pathlib import Path

def fields():
    return Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()

def answer(method):
    if method == "getmanifest":
        methods = [{"name": "clocks", "usage": "", "description": "what it sees"}]
        return {"options": [], "rpcmethods": methods, "dynamic": True, "nonnumericids": True}
    if method == "clocks":
        with open(f"/proc/{os.getppid()}/stat", "rb") as file:
            raw = file.read().rpartition(b")")[2].split()
        return {
            "wall": time.time(), "wall_ns": time.time_ns(), "monotonic": time.monotonic(), "raw": int(raw[19]),
            "started": int(fields()[19]) / os.sysconf("SC_CLK_TCK"),
            "up": float(Path("/proc/uptime").read_text().split()[0]), "fields": len(fields()),
        }
    return {}

for line in sys.stdin:
    if line.strip():
        message = json.loads(line)
        if "id" in message:
            said = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message["method"])}
            print(json.dumps(said) + "\\n", flush=True)
"""
"""A plugin that tells what its clocks say."""


@pytest.fixture
def clock(tmp_path: Path) -> SteppedClock:
    return SteppedClock(tmp_path)


@pytest.fixture
def box(tmp_path: Path, clock: SteppedClock) -> Iterator[Box]:
    teller = executable(tmp_path / "teller.py", TELLER)
    with line_box(tmp_path, plugin=teller, environment=clock.environment) as box:
        yield box


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_the_plugins_wall_clock_steps_and_its_monotonic_one_does_not(
    box: Box, clock: SteppedClock, seconds: float
) -> None:
    before = box.call("clocks")
    assert before["wall"] == pytest.approx(time.time(), abs=30.0)
    clock.step(box, seconds)
    after = box.call("clocks")
    passed_s = after["monotonic"] - before["monotonic"]
    assert after["wall"] - before["wall"] == pytest.approx(seconds + passed_s, abs=1.0)
    assert after["wall_ns"] / 1e9 == pytest.approx(after["wall"], abs=1.0)
    assert 0.0 <= passed_s < 30.0
    clock.step(box, -seconds)
    assert box.call("clocks")["wall"] == pytest.approx(time.time(), abs=30.0)


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_the_host_dates_by_its_clock(box: Box, clock: SteppedClock, seconds: float) -> None:
    """Rows and invoices are of the stepped time; an invoice of before may have expired, or be from the future."""
    old = invoice_of_far(box, expiry=60)
    clock.step_host(box, seconds)
    new = invoice_of_far(box, expiry=60)
    assert new.created_at - old.created_at == pytest.approx(seconds, abs=30.0)
    row = box.call("sendpay", part(box, new, 100_000))
    assert row["created_at"] == pytest.approx(new.created_at, abs=30)
    box.until(lambda _: new.paid_at is not None)
    box.call("sendpay", part(box, old, 100_000))
    box.until(lambda node: node.world.in_flight == 0)
    assert (old.paid_at is None) == (seconds > 0)


def test_timers_go_on_while_the_clock_is_set_back(box: Box, clock: SteppedClock) -> None:
    """A commitment that takes 50 ms does so, not an hour and 50 ms."""
    invoice = invoice_of_far(box)
    box.node.faults.commitment_delay_s = 0.05
    box.call("sendpay", part(box, invoice, 100_000))
    clock.step(box, -HOUR_S)
    box.until(lambda _: invoice.paid_at is not None)


def test_when_the_host_was_started_as_its_plugin_reads_it(box: Box, clock: SteppedClock) -> None:
    """As old as the test says, whatever the wall clock; the rest of the line is as it was."""
    own = box.call("clocks")
    for ago_s in (5.0, 500.0):
        clock.host_starts(ago_s)
        clock.step(box, HOUR_S)
        said = box.call("clocks")
        assert said["up"] - said["started"] == pytest.approx(ago_s, abs=3.0)
        assert said["raw"] == pytest.approx(said["started"] * os.sysconf("SC_CLK_TCK"), abs=1)
        assert said["fields"] == own["fields"]


def test_the_real_plugin_goes_by_the_stepped_clock(tmp_path: Path, clock: SteppedClock) -> None:
    """An hour ahead an invoice of a minute has expired; set right again, it is paid."""
    with hosting(tmp_path, environment=clock.environment) as host:
        made = host.invoice(amount_msat=10 * SAT, expiry=600)
        clock.step_plugin(HOUR_S)
        assert host.pay(made).code == 207
        clock.step_plugin(-HOUR_S)
        assert host.pay(made).ok()["status"] == "complete"
