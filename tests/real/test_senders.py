"""lightningd's own senders: the cases that the box's are tested by."""

from __future__ import annotations

import pytest

from pay.host.version import Version
from tests.real.support.bench import Line, RealBench
from tests.support.lightningd.sender_cases import CASES, Case


@pytest.fixture(scope="module")
def sender(line: Line) -> RealBench:
    """A node of its own before the hub, which allows deprecated commands: `pay` is one."""
    (host,) = line.regtest.start({"allow-deprecated-apis": True})
    line.regtest.open_channels((host, line.hub))
    line.regtest.wait_for_channels(host, 4)
    return RealBench(Line(line.regtest, host, line.hub, line.far, line.end), "sender")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_on_a_real_node(case: Case, sender: RealBench) -> None:
    version = Version.parse(str(sender.call("getinfo", {}).ok()["version"]))
    case(sender, (version.year, version.month))
