"""What happens beside payments and kills: nodes that lie, clocks that step, other senders of the same invoices.

All of it is drawn from the run's seed, apart from what the run itself draws: with and without it a run has the
same payments and kills.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import Future

from pay.sim.lightningd.other_sender import OtherSender
from pay.sim.network.faults import Faults
from pay.sim.network.liars import Liar
from tests.campaign.town import Purchase
from tests.support.box.host import Host
from tests.support.box.stepped_clock import SteppedClock

STEPS_S = (-3000.0, -120.0, -5.0, -1.0, 1.0, 5.0, 120.0, 3000.0)
"""No sum of a few of them lets an invoice of an hour expire for good: what is set ahead is set back again."""
GROUPS_APART = 1000
"""Whoever comes next takes a group beyond the highest one: between two of others there is room for all of ours."""
ONE_WAY_MSAT = 2_000_000_000
"""An amount up to which another sender finds a way for one part."""


class Trouble:
    """The troubles of one run, with chances of their own for each; none at all where it is `calm`."""

    def __init__(self, host: Host, clock: SteppedClock, seed: int, counts: Counter[str], calm: bool):
        self._host = host
        self._clock = clock
        self._counts = counts
        self._rng = random.Random(f"trouble {seed}")
        self._lies, self._steps, self._others = (not calm and self._rng.random() < 0.5 for _ in range(3))
        self._pursuits: list[Future[list[str]]] = []
        self._group = GROUPS_APART

    def some(self, purchases: list[Purchase]) -> None:
        """Some more trouble."""
        if self._lies:
            self._let_lie()
        if self._steps and self._rng.random() < 0.5:
            self._step()
        self.others_begin(purchases)

    def others_begin(self, purchases: list[Purchase]) -> None:
        """Other senders take up some of the invoices."""
        if self._others:
            if not self._lies:
                # Slow, so that what they send is out for a while.
                for name in ("hub", "alt"):
                    self._set_liar(name, None, self._rng.choice([0.0, 0.1, 0.3]))
            for purchase in purchases:
                if purchase.amount_msat <= ONE_WAY_MSAT and self._rng.random() < 0.3:
                    self._pursue(purchase)

    def node_dies(self) -> None:
        """Other senders end with the node that they call; what they have sent is on its way."""
        for pursuit in self._pursuits:
            pursuit.cancel()
        self._pursuits.clear()

    def node_starts(self) -> None:
        """Just before it does: the clock of a machine that boots may be wrong."""
        if self._steps and self._rng.random() < 0.5:
            self._step()
        self._clock.host_starts()

    def end(self) -> None:
        """Everybody is honest, the clock is right, and the others have given up."""
        self.node_dies()
        for name in ("hub", "alt"):
            self._set_liar(name, None)
        if self._clock.offset_s:
            self._clock.step(self._host.box, -self._clock.offset_s)

    def _let_lie(self) -> None:
        """hub and alt, each for a while or not, about a share of what they are handed."""
        for name in ("hub", "alt"):
            honest = self._rng.choice([0.0, 0.5, 0.8, 1.0])
            number = self._rng.random()
            self._set_liar(name, None if honest == 1.0 else Liar.drawn(f"{number}", honest=honest))
            self._counts["liars"] += honest < 1.0

    def _set_liar(self, name: str, liar: Liar | None, delay_s: float = 0.0) -> None:
        faults = Faults(liar=liar, delay_s=delay_s) if liar is not None or delay_s else None
        self._host.world(lambda world: world.set_faults(self._host.id(name), faults))

    def _step(self) -> None:
        """Ahead or back, or right again."""
        self._counts["clock steps"] += 1
        wrong_s = self._clock.offset_s
        self._clock.step(self._host.box, -wrong_s if wrong_s else self._rng.choice(STEPS_S))

    def _pursue(self, purchase: Purchase) -> None:
        """A few tries in a group of its own, the last of which may work."""
        tries = [False] * self._rng.randint(0, 3) + [self._rng.random() < 0.8]
        pause_s = self._rng.choice([0.05, 0.2, 0.6])
        other = OtherSender(self._host.node, purchase.invoice, groupid=self._group)
        self._group += GROUPS_APART
        self._counts["other senders"] += 1
        self._pursuits.append(self._host.box.submit(other.pursue(tries, pause_s)))
