"""What is believed of the network, on the planner's thread, where the graph is and nothing else is at work.

Made where numpy is first imported, that is with the graph. Whatever goes wrong here costs what would have been
learnt, or a plan that knows less; it is said once, not once a part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pay.feedback.observations import Ended, observations
from pay.log_events import EventLog, LogEvent
from pay.router.places import place_in
from pay.units import ScidDir

if TYPE_CHECKING:
    from pay.liquidity.beliefs import LiquidityBeliefs
    from pay.liquidity.knowledge import Knowledge
    from pay.liquidity.observation import Observation
    from pay.network import ChannelGraph, OwnChannel

log = EventLog("pay.liquidity")

KNOWLEDGE_S = 5.0
"""How long a plan may use what an earlier one knew if nothing was learnt since: of a half-life of an hour
nothing."""


@dataclass(frozen=True, slots=True)
class Remembering:
    """What the options say of beliefs: half-lives in seconds, and the name of the prior, None for the best.

    The defaults are those of `pay.liquidity`, which the manifest cannot wait for.
    """

    failure_s: float = 86_400.0
    success_s: float = 21_600.0
    prior: str | None = "reserved"


class Scorer:
    """All beliefs of this plugin.

    Parameters
    ----------
    options
        As they are now.
    """

    def __init__(self, options: Callable[[], Remembering]):
        self._options = options
        self._beliefs: LiquidityBeliefs | None = None
        self._as: Remembering | None = None
        self._knowledge: tuple[int, float, Knowledge] | None = None
        self._own: dict[ScidDir, tuple[int, int]] = {}
        self._said = False

    def beliefs(self) -> LiquidityBeliefs:
        """As the options want them now."""
        from pay.liquidity.beliefs import LiquidityBeliefs
        from pay.liquidity.forgetting import HalfLives
        from pay.liquidity.prior import PRIORS

        if self._beliefs is None:
            self._beliefs = LiquidityBeliefs()
        wanted = self._options()
        if wanted != self._as:
            self._beliefs.half_lives = HalfLives(failure_s=wanted.failure_s, success_s=wanted.success_s)
            self._beliefs.fixed_prior = None if wanted.prior is None else PRIORS[wanted.prior]
            self._as, self._knowledge = wanted, None
        return self._beliefs

    def learn(self, ended: Iterable[Ended], graph: ChannelGraph, now_s: float) -> None:
        """What parts that are over show; one that cannot be read costs the others nothing."""
        seen: list[Observation] = []
        for part in ended:
            try:
                seen += observations(part, partial(place_in, graph))
            except Exception:
                self._trouble(LogEvent.LEARNING_FAILED)
        try:
            if seen:
                self.beliefs().learn(seen, now_s)
                log.debug(LogEvent.LEARNT, "observations=%d channels=%d", len(seen), len(self.beliefs()))
        except Exception:
            self._trouble(LogEvent.LEARNING_FAILED)

    def see_own(self, own: Sequence[OwnChannel], graph: ChannelGraph, now_s: float) -> None:
        """Our own announced channels, as the host has them: what has changed since the last look."""
        from pay.liquidity.observation import Seen

        try:
            if not len(self.beliefs()):
                self._own.clear()
            seen = []
            for channel in own:
                # With HTLCs inside, what the host calls spendable is not all that the side has.
                if not (channel.announced and channel.connected) or channel.live_htlcs:
                    continue
                named = ScidDir(channel.scid, channel.direction)
                # Before the graph is asked: most have not changed, and a channel's size never does.
                if self._own.get(named) == (channel.spendable_msat, channel.receivable_msat):
                    continue
                size = graph.size_msat(channel.scid)
                if size is None or channel.spendable_msat + channel.receivable_msat > size:
                    continue
                self._own[named] = channel.spendable_msat, channel.receivable_msat
                seen.append(Seen(named, size, channel.spendable_msat, channel.receivable_msat))
            if seen:
                self.beliefs().learn(seen, now_s)
        except Exception:
            self._trouble(LogEvent.LEARNING_FAILED)

    def knowledge(self) -> Knowledge:
        """What a plan may know now."""
        from pay.liquidity.knowledge import NOTHING_KNOWN

        try:
            beliefs, now_s = self.beliefs(), time.time()
            kept = self._knowledge
            if kept is None or kept[0] != beliefs.changes or not 0 <= now_s - kept[1] < KNOWLEDGE_S:
                kept = self._knowledge = (beliefs.changes, now_s, beliefs.knowledge(now_s))
            return kept[2]
        except Exception:
            self._trouble(LogEvent.KNOWLEDGE_FAILED)
            return NOTHING_KNOWN

    def _trouble(self, event: LogEvent) -> None:
        """Inside an except clause: say it once."""
        if not self._said:
            self._said = True
            log.broken(event, ": payments go on without what would have been known")
