"""A node that refuses whatever it says: what it costs a payment and the next one, on real nodes.

        ╭── liar ══════╮        liar asks nothing, over six channels of 200,000 sat
payer ──┤              ├ payee
        ╰── honest ────╯        honest asks 4,000 ppm, within the limit of 0.5 %
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.real.support.network import Node, Regtest
from tests.real.support.paying import invoice, pay, received
from tests.real.support.road import OPTIONS
from tests.support.plugins import LIAR

AMOUNT_MSAT = 10_000_000
HONEST_MSAT = AMOUNT_MSAT // 1_000_000 * 4_000
CHANNELS = 6
FIRST, NEXT = 5, 2
"""So many HTLCs a liar may cost a payment, and the next one."""


@dataclass(frozen=True, slots=True)
class Fork:
    payer: Node
    liar: Node
    payee: Node

    @contextmanager
    def lying(self, *codes: str, with_policy: bool = False) -> Iterator[None]:
        """The liar answers so, and the payer knows nothing of it yet."""
        self.payer.call("payliquidity", "reset")
        direction = self.liar.call("listpeerchannels", id=self.payee.id)["channels"][0]["direction"]
        self.liar.call("lie", list(codes), *([direction] if with_policy else []))
        try:
            yield
        finally:
            self.liar.call("honest")

    def paid(self) -> tuple[int, int]:
        """An invoice is paid: how many of its HTLCs the liar refused, and the fee."""
        made = invoice(self.payee, AMOUNT_MSAT)
        answer = pay(self.payer, made["bolt11"]).ok()
        assert received(self.payee, made) == AMOUNT_MSAT
        lies = self.liar.call("lied", made["payment_hash"])["htlcs"]
        return lies, answer["amount_sent_msat"] - AMOUNT_MSAT


@pytest.fixture(scope="module")
def fork(regtest: Regtest) -> Fork:
    cheap = {"plugin": str(LIAR), "fee-base": 0, "fee-per-satoshi": 0}
    dear = {"fee-base": 0, "fee-per-satoshi": 4_000}
    payer, liar, honest, payee = regtest.start(OPTIONS, cheap, dear, {})
    regtest.open_channels((payer, liar), (payer, honest), (honest, payee))
    regtest.open_channels(*[(liar, payee)] * CHANNELS, capacity_sat=200_000)
    regtest.wait_for_channels(payer, 3 + CHANNELS)
    return Fork(payer, liar, payee)


def test_the_cheap_way_is_taken_while_it_is_honest(fork: Fork) -> None:
    assert fork.paid() == (0, 0)


_WITHOUT_POLICY = (
    "2002", "6002", "6003", "4008", "4009", "400a", "400f", "0012", "0013", "0015", "4016", "0017", "c005",
    "1007 0017 400a 100c 2002 400f",
)  # fmt: skip
_WITH_ONE = ("1007", "100b", "100c", "100d", "100e", "1014", "1063", "1007 100c 100d")
"""Codes that have room for a channel_update, which asks more each time."""


@pytest.mark.parametrize(
    ("codes", "with_policy"),
    [*((codes, False) for codes in (*_WITHOUT_POLICY, *_WITH_ONE)), *((codes, True) for codes in _WITH_ONE)],
)
def test_what_a_liar_costs(codes: str, with_policy: bool, fork: Fork) -> None:
    """It says so on all its channels; the honest way is dearer and within the limit. It is remembered, too."""
    with fork.lying(*codes.split(), with_policy=with_policy):
        lies, fee_msat = fork.paid()
        assert 1 <= lies <= FIRST
        assert fee_msat == HONEST_MSAT
        lies, fee_msat = fork.paid()
        assert lies <= NEXT
        assert fee_msat == HONEST_MSAT


def test_honest_again(fork: Fork) -> None:
    """Once what was said is forgotten the cheap way is taken again."""
    with fork.lying("1007"):
        fork.paid()
    fork.payer.call("payliquidity", "reset")
    assert fork.paid() == (0, 0)
