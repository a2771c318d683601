"""What happens beside payments and kills on real nodes: a middle node that lies, others who pay the same invoices.

All of it is drawn from the run's seed, apart from what the run itself draws: with and without it a run has the
same payments and kills.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from tests.real.support.paying import beside
from tests.real.support.road import Road
from tests.support.waiting import result_of

"""The middle node has it."""

AMOUNT_MSAT = 100_000
"""Of every invoice."""

LABEL = "another sender"
"""Of the rows of others."""

GROUPS_APART = 1000
"""Whoever comes next takes a group beyond the highest one: between two of others there is room for all of ours."""

CODES = ("2002", "6002", "1007", "4008", "400a", "100c", "100e", "400f", "1014", "0015", "4016", "0017", "c005")
TIMED_OUT = 200
"""Of waitsendpay."""


class Trouble:
    """The troubles of one run, with chances of their own for each."""

    def __init__(self, road: Road, seed: int, counts: Counter[str]):
        self._road = road
        self._counts = counts
        self._rng = random.Random(f"trouble {seed}")
        self._lies, self._others = (self._rng.random() < 0.5 for _ in range(2))
        self._enough = threading.Event()
        self._pursuits: list[Future[None]] = []
        self._group = GROUPS_APART

    def some(self, invoices: Sequence[dict[str, Any]]) -> None:
        """Some more trouble."""
        if self._lies:
            honest = self._rng.choice([0, 1, 4])
            codes = [self._rng.choice(CODES) for _ in range(4)] + ["-"] * honest
            self._rng.shuffle(codes)
            self._road.middle.call("lie", codes)
            self._counts["liars"] += 1
        for made in invoices if self._others else ():
            if self._rng.random() < 0.4:
                self._pursue(made)

    def end(self) -> None:
        """The middle node is honest, and the others have given up: nothing of them begins any more."""
        self._road.middle.call("honest")
        self._enough.set()
        for pursuit in self._pursuits:
            result_of(pursuit)

    def _pursue(self, made: dict[str, Any]) -> None:
        """A few tries in a group of its own, the last of which may work."""
        tries = [False] * self._rng.randint(0, 3) + [self._rng.random() < 0.8]
        pause_s, groupid = self._rng.choice([0.05, 0.2, 0.6]), self._group
        self._group += GROUPS_APART
        self._counts["other senders"] += 1
        self._pursuits.append(beside(lambda: self._others_tries(made, groupid, tries, pause_s)))

    def _others_tries(self, made: dict[str, Any], groupid: int, tries: Sequence[bool], pause_s: float) -> None:
        """They end with the node that they call; what was sent is on its way."""
        rpc, payment_hash = self._road.payer.raw, made["payment_hash"]
        part = {"payment_hash": payment_hash, "groupid": groupid}
        try:
            for partid, works in enumerate(tries, 1):
                if self._enough.wait(pause_s):
                    return
                sent = rpc.call("sendpay", {
                    **part, "partid": partid, "route": self._route(works), "label": LABEL,
                    "bolt11": made["bolt11"], "payment_secret": made["payment_secret"],
                    "amount_msat": AMOUNT_MSAT,
                })  # fmt: skip
                while sent.error is None:
                    ended = rpc.call("waitsendpay", {**part, "partid": partid, "timeout": 1})
                    if ended.error is None:
                        return
                    if ended.code != TIMED_OUT:
                        break
                    if self._enough.is_set():
                        return
        except OSError:
            return

    def _route(self, works: bool) -> list[dict[str, Any]]:
        """By the middle node to the payee; one that is not to work offers it no fee."""
        middle, payee = self._road.middle, self._road.payee
        fee_msat = (1 + AMOUNT_MSAT * 10 // 1_000_000) if works else 0
        first, second = self._road.scids
        return [
            {"id": middle.id, "channel": first, "amount_msat": AMOUNT_MSAT + fee_msat, "delay": 20},
            {"id": payee.id, "channel": second, "amount_msat": AMOUNT_MSAT, "delay": 12},
        ]
