"""Tests against a real lightningd: what they need, or why they are skipped.

`make real` installs pyln-testing beside the other tools and runs this directory. Where lightningd, bitcoind or
pyln-testing is missing every test is skipped, with the reason in the summary.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.support.bench import Line, RealBench
from tests.real.support.network import Regtest
from tests.real.support.shop import WITH_PLUGIN, Shop
from tests.support.waiting import PATIENCE_S

# pyln-testing reads these when it is imported: it expects plugins written in Rust, and gRPC, unless told not to.
os.environ.setdefault("RUST", "0")
os.environ.setdefault("TEST_NETWORK", "regtest")
os.environ.setdefault("TIMEOUT", f"{PATIENCE_S:.0f}")


def missing() -> str | None:
    """What keeps these tests from running, None if nothing does."""
    for program in ("lightningd", "lightning-cli", "bitcoind"):
        if shutil.which(program) is None:
            return f"{program} is not on the PATH"
    if importlib.util.find_spec("pyln.testing") is None:
        return "pyln-testing is not installed (make real does that)"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def regtest(request: pytest.FixtureRequest) -> Iterator[Regtest]:
    """bitcoind, and every node of the session; what a failed run leaves is in the directory it names."""
    directory = Path(tempfile.mkdtemp(prefix="pay-real-"))
    network = Regtest(directory)
    broken: list[str] | None = None
    try:
        yield network
        broken = network.broken_lines()
        assert broken == []
    finally:
        network.stop()
        if request.session.testsfailed or broken != []:
            print(f"logs are kept in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def line(regtest: Regtest) -> Line:
    """host ── hub ── far ── end, announced, a million sat each, all on the left at first; ten HTLCs at most."""
    few = {"max-concurrent-htlcs": 10}
    alone = {**few, "may_reconnect": False}
    host, hub, far, end = regtest.start(alone, alone, few, few)
    regtest.open_channels((host, hub), (hub, far), (far, end))
    return Line(regtest, host, hub, far, end)


@pytest.fixture(scope="session")
def bench(line: Line) -> RealBench:
    """The line, as the tables want it."""
    return RealBench(line)


@pytest.fixture(scope="session")
def shop(line: Line) -> Shop:
    payer, shy = line.regtest.start(WITH_PLUGIN, WITH_PLUGIN)
    line.regtest.open_channels((payer, line.hub))
    line.regtest.open_channels((shy, line.hub), announce=False)
    for node in (payer, shy):
        line.regtest.wait_for_channels(node, 4)
    return Shop(line, payer, shy)
