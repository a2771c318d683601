"""A node on the only way in trouble, a phone that sleeps: the plugin tries again, in the world of box/host.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.faults import Faults
from tests.support.box.host import Host, hosting

TROUBLE = int(FailCode.TEMPORARY_NODE_FAILURE)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host"))) as host:
        yield host


def test_the_only_hub_is_in_trouble_twice(host: Host) -> None:
    """Again after half a second, and after one: the third HTLC is paid."""
    made, mark = host.invoice(), host.mark()
    with host.misbehaving("hub", fail_code=TROUBLE, fail_times=2):
        answer = host.pay(made, exclude=[host.id("alt").hex()])
    assert answer.ok()["status"] == "complete"
    assert len(host.sendpays(mark)) == 3
    first, _, third = (entry.at_s for entry in host.recorded(mark) if entry.method == "sendpay")
    assert third - first >= 1.5


def test_it_is_in_trouble_until_the_end(host: Host) -> None:
    """210 at the deadline, with what was waited for; beside it another way is taken at once."""
    with host.misbehaving("hub", fail_code=TROUBLE):
        error = host.pay(host.invoice(), exclude=[host.id("alt").hex()], retry_for=2).error
        assert error is not None
        assert (error["code"], error["data"]["reason"]) == (210, "trouble")
        assert 2 <= error["data"]["sendpay_tries"] <= 3
        mark = host.mark()
        assert host.pay(host.invoice()).ok()
        assert len(host.sendpays(mark)) <= 2


def test_a_phone_that_sleeps(host: Host) -> None:
    """The hub forwards nothing to it until it has been asked twice; the recipient's hint is the only way."""
    hint = host.channel("hub", "phone").hint_for(host.id("phone"))
    made, mark = host.invoice("phone", hints=[hint]), host.mark()
    channel = host.channel("hub", "phone")
    away = Faults(fail_code=int(FailCode.UNKNOWN_NEXT_PEER), fail_times=2)
    host.world(lambda world: world.set_channel_faults(channel, host.id("hub"), away))
    assert host.pay(made).ok()["status"] == "complete"
    assert len(host.sendpays(mark)) == 3
