"""Which of several explanations foretells our own outcomes best: log-loss, bounded and slowly forgotten.

Each explanation says, before we look, with which chance something passes; it is charged `-ln` of what it gave to
what then happened. The one that was charged least is right the most, whatever the others are (the log score is
proper: nobody gains by saying anything but what it believes). Charges are compared on the same outcomes only.

What keeps one voice from deciding: a single charge is at most `MOST_NATS`; the n-th outcome at the same node
counts 1/n², so one that refuses whatever it gets, a thousand times, weighs less than two that do it once; an
outcome that follows from what was learnt just before is foretold alike by all, and so decides nothing. And another
than the default is used only where it was better by `MARGIN_NATS` in all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

HALF_LIFE_OUTCOMES = 1_000.0
"""After so many (weighted) outcomes half of a score is forgotten: some weeks of a user, an hour of a service."""

MOST_OUTCOMES = 2 * HALF_LIFE_OUTCOMES
"""What is forgotten leaves fewer than 1.45 half-lives of them."""

MOST_NATS = 4.0
"""Charged for one outcome: a chance of 1.8 %. Nobody is that sure of a balance."""

MARGIN_NATS = 3.0
"""By so much the default has to be worse: odds of 20 to 1, did each outcome stand for itself."""

MOST_SPEAKERS = 1_000
"""Nodes whose outcomes are counted; the one longest not heard of is forgotten first."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of a contest: how many outcomes it heard (weighted, and less what is forgotten), and what each explanation
    was charged for them in all, in nats."""

    outcomes: float = 0.0
    nats: tuple[tuple[str, float], ...] = ()

    def mean_nats(self, name: str) -> float:
        """A charge; 0 where nothing was heard."""
        return dict(self.nats).get(name, 0.0) / self.outcomes if self.outcomes > 0 else 0.0


NOTHING_HEARD = Scores()


class Contest:
    """Between explanations of these names.

    Parameters
    ----------
    names
        Two or more.
    default
        The one that is used until another is better.
    """

    def __init__(self, names: Sequence[str], default: str):
        self._default = default
        self._outcomes = 0.0
        self._nats = dict.fromkeys(names, 0.0)
        self._heard: dict[Hashable, tuple[float, float]] = {}
        self._said = 0.0

    def hear(self, chances: Mapping[str, float], happened: bool, speaker: Hashable = None) -> None:
        """What each explanation gave to an outcome that then happened, or not; `speaker` is the node it was at,
        None where nobody could make it up."""
        weight = self._weight(speaker)
        kept = math.exp2(-weight / HALF_LIFE_OUTCOMES)
        self._outcomes = self._outcomes * kept + weight
        for name, nats in self._nats.items():
            given = chances[name] if happened else 1 - chances[name]
            charge = min(-math.log(given), MOST_NATS) if given > 0 else MOST_NATS
            self._nats[name] = nats * kept + weight * charge

    @property
    def best(self) -> str:
        """The default, or who was charged least if that is less by the margin."""
        least = min(self._nats, key=self._nats.__getitem__)
        clear = self._nats[self._default] - self._nats[least] >= MARGIN_NATS
        return least if clear else self._default

    @property
    def scores(self) -> Scores:
        return Scores(self._outcomes, tuple(self._nats.items()))

    def merge(self, other: Scores) -> None:
        """Take what somebody else heard, or we before a restart, if it is more; of equally many the dearer.

        Scores of other outcomes cannot be compared, so of two sets one is taken whole: any order of merging gives
        the same. Names that are not among ours are left out; where one of ours is missing, so are all.
        """
        found = dict(other.nats)
        if not self._nats.keys() <= found.keys():
            return
        theirs = tuple(found[name] for name in self._nats)
        if (other.outcomes, theirs) > (self._outcomes, tuple(self._nats.values())):
            self._outcomes = other.outcomes
            self._nats = dict(zip(self._nats, theirs, strict=True))

    def reset(self) -> None:
        """Forget everything."""
        self._outcomes = 0.0
        self._nats = dict.fromkeys(self._nats, 0.0)
        self._heard.clear()

    def _weight(self, speaker: Hashable) -> float:
        """Of the next outcome at this node."""
        if speaker is None:
            return 1.0
        self._said += 1
        count, at = self._heard.pop(speaker, (0.0, self._said))
        count = count * math.exp2((at - self._said) / HALF_LIFE_OUTCOMES) + 1
        self._heard[speaker] = count, self._said
        while len(self._heard) > MOST_SPEAKERS:
            del self._heard[next(iter(self._heard))]
        return 1 / count**2
