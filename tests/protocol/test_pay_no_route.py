"""205 and 206: there is no route, or none within the limits, and the error says what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.box.errors import error_of
from tests.support.box.host import (
    CHEAP,
    SAT,
    TEMPORARY_CHANNEL_FAILURE,
    Host,
    hosting,
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    # One part at a time: what is tried, and in which order, is then certain.
    with hosting(Path(tmp_path_factory.mktemp("host")), options={"disable-mpp": True}) as host:
        yield host


# --- 205 --------------------------------------------------------------------------------------------------


def test_unknown_node(host: Host) -> None:
    error = error_of(host.pay(host.invoice("island")), 205)
    assert error["reason"] == "unknown_node"
    assert error["sendpay_tries"] == 0
    assert (error["failures"], error["attempts"]) == ([], [])


def test_not_enough(host: Host) -> None:
    """More than all our channels can send; the message says how much they can."""
    error = error_of(host.pay(host.invoice(amount_msat=30_000_000 * SAT)), 205)
    assert error["reason"] == "insufficient_spendable"
    assert error["max_sendable_msat"] > 0


def test_all_excluded(host: Host) -> None:
    """By channel with and without direction, and by node."""
    ours = [host.scid("us", "hub"), host.scid("us", "alt")]
    assert error_of(host.pay(host.invoice(), exclude=ours), 205)["reason"] == "excluded"
    nodes = [host.id("hub").hex(), host.id("alt").hex()]
    assert error_of(host.pay(host.invoice(), exclude=nodes), 205)["reason"] == "excluded"
    us_first = int(host.id("us") > host.id("alt"))
    mixed = [host.id("hub").hex(), f"{ours[1]}/{us_first}"]
    assert error_of(host.pay(host.invoice(), exclude=mixed), 205)["reason"] == "excluded"
    mixed = [host.id("hub").hex(), f"{ours[1]}/{1 - us_first}"]
    assert host.pay(host.invoice(), exclude=mixed).ok()


def test_exclude_leads_another_way(host: Host) -> None:
    made = host.invoice()
    mark = host.mark()
    assert host.pay(made, exclude=[host.scid("us", "hub")]).ok()
    assert host.sendpays(mark)[0]["route"][0]["id"] == host.id("alt").hex()


@pytest.mark.parametrize("who", ["far", "us"])
def test_payee_or_us_excluded(host: Host, who: str) -> None:
    """An error in words, not a search that must fail."""
    mark = host.mark()
    error = error_of(host.pay(host.invoice(), exclude=[host.id(who).hex()]), 205, "excluded", routed=False)
    assert error["reason"] == "excluded"
    assert "sendpay" not in host.methods(mark)


@contextmanager
def disabled_in_gossip(host: Host, *, back: bool = False) -> Iterator[None]:
    """All ways in are, for a while; if they are back nobody has heard of that."""
    channels = [(host.channel(n, "far"), host.id(n)) for n in ("hub", "alt")]
    olds = [c.policies[c.side(start)] for c, start in channels]
    for (channel, start), old in zip(channels, olds, strict=True):
        off = replace(old, enabled=False)
        host.world(lambda world, c=channel, s=start, p=off: world.set_policy(c, s, p))
        if back:
            host.world(lambda world, c=channel, s=start, p=old: world.set_policy(c, s, p, gossip=False))
    try:
        yield
    finally:
        for (channel, start), old in zip(channels, olds, strict=True):
            host.world(lambda world, c=channel, s=start, p=old: world.set_policy(c, s, p))


def test_disabled(host: Host) -> None:
    """All ways in are disabled: each is tried, as gossip may be late, and the answer stays what it was."""
    with disabled_in_gossip(host):
        error = error_of(host.pay(host.invoice()), 205, "2 known channels", "probably offline", "2 attempts")
        assert (error["reason"], error["sendpay_tries"], len(error["failures"])) == ("recipient_disabled", 2, 2)
        assert error["failcodename"] == "WIRE_CHANNEL_DISABLED"
        mark = host.mark()
        ways = [host.scid("hub", "far"), host.scid("alt", "far")]
        error_of(host.pay(host.invoice(), exclude=ways), 205)
        assert host.sendpays(mark) == []
    assert host.pay(host.invoice()).ok()


def test_disabled_and_back(host: Host) -> None:
    """The recipient is there again, and gossip has not heard: at the first try."""
    with disabled_in_gossip(host, back=True):
        assert host.pay(host.invoice()).ok()["parts"] == 1


def test_every_route_failed(host: Host) -> None:
    """Both ways are tried, each failure is told with its channel and amounts, then 205."""
    made = host.invoice()
    # What payments before this one learnt would change the order.
    host.call("payliquidity", ["reset"]).ok()
    with host.misbehaving("far", offline=True):
        error = error_of(host.pay(made), 205, "2 attempts")
    assert [f["partid"] for f in error["failures"]] == [1, 2]
    assert [f["erring_channel"] for f in error["failures"]] == [host.scid("hub", "far"), host.scid("alt", "far")]
    for failure, attempt, fee in zip(error["failures"], error["attempts"], (11, 53), strict=True):
        assert failure["failcode"] == attempt["failcode"] == TEMPORARY_CHANNEL_FAILURE
        assert failure["erring_index"] == 1
        assert failure["erring_direction"] in (0, 1)
        assert failure["amount_msat"] == attempt["amount_msat"] == made.amount_msat
        assert failure["amount_sent_msat"] == 100_000 * SAT + fee * SAT
        assert attempt["status"] == "failed"
        assert attempt["failreason"]
    assert error["getroute_tries"] == 3
    assert error["channel_update"].startswith("0102"), "the last one, once"
    assert host.rows(made)[-1]["status"] == "failed"


# --- 206 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "limit_msat", "words"),
    [
        ({"maxfee": 10_999}, 10_999, "maxfee 10999msat"),
        ({"maxfeepercent": 0.0109, "exemptfee": 0}, 10_900, "maxfeepercent 0.0109 %"),
        ({"maxfeepercent": 0, "exemptfee": "10sat"}, 10_000, "exemptfee 10000msat"),
        ({"maxfeepercent": "0"}, 5_000, "exemptfee 5000msat"),
    ],
)
def test_too_expensive(host: Host, limits: dict[str, Any], limit_msat: int, words: str) -> None:
    """The fee of the cheapest route (11 sat), its share, and which limit it breaks."""
    error = error_of(host.pay(host.invoice(), **limits), 206, words)
    assert error["fee"] == 11_000
    assert error["feepercent"] == pytest.approx(0.011)
    assert error["maxfee_msat"] == limit_msat
    assert error["sendpay_tries"] == 0


@pytest.mark.parametrize("limits", [{"maxfee": 11_000}, {"maxfeepercent": 0.011, "exemptfee": 0}])
def test_limit_is_kept_to_the_msat(host: Host, limits: dict[str, Any]) -> None:
    """A fee at the limit is not above it."""
    assert host.pay(host.invoice(), **limits).ok()["amount_sent_msat"] == 100_011 * SAT


def test_exemptfee_frees_small_payments(host: Host) -> None:
    """1 sat and a fee of 1 sat: 100 %, but below 5 sat."""
    assert host.pay(host.invoice(amount_msat=1 * SAT)).ok()["amount_sent_msat"] == 2 * SAT


def test_too_long(host: Host) -> None:
    """10 blocks at the recipient and 40 on the way."""
    error = error_of(host.pay(host.invoice(), maxdelay=49), 206, "49")
    assert (error["delay"], error["maxdelay"], error["reason"]) == (50, 49, "too_long")
    assert host.pay(host.invoice(), maxdelay=50).ok()


def test_recipient_alone_is_too_long(host: Host) -> None:
    error = error_of(host.pay(host.invoice(final_cltv=100), maxdelay=99), 206, "100", "99", routed=False)
    assert (error["delay"], error["maxdelay"]) == (100, 99)


def test_fee_grew_beyond_the_limit(host: Host) -> None:
    """Gossip is stale, the true fee is above the limit: the update is learnt, and the verdict is 206."""
    channel, hub = host.channel("hub", "far"), host.id("hub")
    dear = replace(CHEAP, fee_base_msat=2_000_000, fee_ppm=0)
    host.world(lambda world: world.set_policy(channel, hub, dear, gossip=False))
    try:
        made = host.invoice()
        error = error_of(host.pay(made, maxfee=20 * SAT, exclude=[host.scid("us", "alt")]), 206, "1 attempt")
        assert error["fee"] == 2_000_000
        assert error["failures"][0]["failcode"] == 0x1000 | 12
    finally:
        host.world(lambda world: world.set_policy(channel, hub, CHEAP))
