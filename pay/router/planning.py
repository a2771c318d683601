"""The graph's file and the planner, on a thread of their own so that neither keeps an answer waiting.

One thread does both, so the graph never changes under a plan. It is also where numpy and SciPy are first imported:
the host has our manifest long before. Where there is no gossip, payments go on with own channels and route hints.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import IO, TYPE_CHECKING, TypeVar

from pay.feedback.observations import Ended
from pay.host.threads import Aside
from pay.log_events import EventLog, LogEvent
from pay.router.scorer import Scorer
from pay.routing.query import Answer, Situation
from pay.units import NodeId, Scid, ScidDir

if TYPE_CHECKING:
    from pay.liquidity.beliefs import LiquidityBeliefs
    from pay.network import ChannelGraph, GossipStore
    from pay.network.gossip_store import ReadReport
    from pay.routing.shadow import Walk

log = EventLog("pay.gossip")

T = TypeVar("T")

FRESH_S = 0.02
"""Gossip is minutes old: of many plans at once not each looks whether there is more."""

LEARN_S = 0.05
"""So long what parts have shown waits for more of it, or for the next plan: ten cost hardly more than one."""


class Planning:
    """Answers from the graph as it is on disk now, and what is believed of it.

    Parameters
    ----------
    scorer
        Used on the planner's thread only.
    """

    def __init__(self, gossip_path: str, scorer: Scorer):
        self._path = gossip_path
        self._scorer = scorer
        self._thread = Aside("planner")
        self._ended: deque[Ended] = deque()
        self._to_learn = False
        self._store: GossipStore | None = None
        self._file: IO[bytes] | None = None
        self._missing_said = False
        self._read_s = -inf

    async def load(self) -> None:
        """Read the graph; a plan that is asked for meanwhile waits for it."""
        await self._thread.ask(self._load)

    async def find(self, asked: Situation) -> Answer:
        """Routes, checked against their query, or why there are none."""
        return await self._thread.ask(partial(self._find, asked))

    def learn(self, ended: Ended) -> None:
        """Take in what a part that is over shows; the next plan knows it, and whoever looks at the beliefs."""
        self._ended.append(ended)
        if not self._to_learn:
            self._to_learn = True
            asyncio.get_running_loop().call_later(LEARN_S, self._learn_what_is_left)

    def _learn_what_is_left(self) -> None:
        self._to_learn = False
        if self._ended:
            self._thread.tell(self._learn)

    async def with_memory(self, work: Callable[[LiquidityBeliefs, ChannelGraph], T], current: bool = False) -> T:
        """The result of `work` on the beliefs and the graph, done between two plans.

        With `current` the graph is that of now, not of the last plan.
        """

        def look() -> T:
            if current:
                self._refresh()
            self._learn()
            return work(self._scorer.beliefs(), self._graph())

        return await self._thread.ask(look)

    async def shadow(self, asked: Situation, fee: bool) -> Walk:
        """A shadow route for the payment that is asked about; without `fee` blocks only."""
        return await self._thread.ask(partial(self._shadow, asked, fee))

    async def aliases(self, nodes: Iterable[NodeId]) -> dict[NodeId, str]:
        """The names that nodes give themselves, of those that have one."""
        wanted = list(nodes)

        def look() -> dict[NodeId, str]:
            if self._store is None:
                return {}
            names = ((node, self._store.graph.alias(node)) for node in wanted)
            return {node: name for node, name in names if name}

        return await self._thread.ask(look)

    async def size_msat(self, scid: Scid) -> int | None:
        """The capacity of a channel; None where gossip does not tell."""
        return await self._thread.ask(lambda: self._graph().size_msat(scid))

    async def closed(self, channels: Iterable[ScidDir]) -> frozenset[ScidDir]:
        """Those of some announced channels that gossip now has as disabled, or not at all."""
        wanted = list(channels)

        def look() -> frozenset[ScidDir]:
            self._refresh()
            policies = ((channel, self._graph().policy(channel)) for channel in wanted)
            return frozenset(channel for channel, policy in policies if policy is None or not policy.enabled)

        return await self._thread.ask(look)

    # --- on the planner's thread ----------------------------------------------------------------------

    def _load(self) -> None:
        import pay.liquidity.beliefs
        import pay.routing.find  # noqa: F401  (brings numpy and SciPy in before the first payment)

        began = time.monotonic()
        self._refresh()
        graph = self._graph()
        seconds = time.monotonic() - began
        log.info(
            LogEvent.GOSSIP_LOADED, "channels=%d nodes=%d seconds=%.2f", graph.n_channels, graph.n_nodes, seconds
        )

    def _find(self, asked: Situation) -> Answer:
        from pay.routing.find import find, find_plainly

        self._refresh_unless_fresh()
        self._learn()
        graph = self._graph()
        # They are no belief to this plan; to others, after a merge elsewhere, they are worth knowing.
        self._scorer.see_own(asked.own, graph, time.time())
        try:
            return find(graph, asked, self._scorer.knowledge())
        except Exception:
            # An error of ours in what only makes plans better does not cost a payment: limits and caps are kept.
            log.broken(LogEvent.PLAN_BROKEN, ": planned again without beliefs and randomness")
            return find_plainly(graph, asked)

    def _learn(self) -> None:
        """Take in what has ended until now."""
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        if ended:
            self._scorer.learn(ended, self._graph(), time.time())

    def _shadow(self, asked: Situation, fee: bool) -> Walk:
        from pay.routing.find import shadow

        self._refresh_unless_fresh()
        return shadow(self._graph(), asked, self._scorer.knowledge(), fee=fee)

    def _graph(self) -> ChannelGraph:
        from pay.network import GossipStore

        if self._store is None:
            self._store = GossipStore()
        return self._store.graph

    def _refresh_unless_fresh(self) -> None:
        """For a plan, where there is a graph to plan on; others ask for what is there now."""
        if time.monotonic() >= self._read_s + FRESH_S or not self._graph().n_channels:
            self._refresh()

    def _refresh(self) -> None:
        """Take in what the host has written since; the old graph stays where that cannot be read."""
        from pay.network import GossipStoreError

        self._graph()
        assert self._store is not None
        self._read_s = time.monotonic()
        try:
            if self._file is None:
                self._reopen()
            replaced = self._replaced()
            assert self._file is not None
            # The old file is read to its end first: from there the reader goes on in the new one.
            report = self._store.read(self._file)
            self._say(report)
            if report.ended or replaced:
                self._reopen()
                self._say(self._store.read(self._file))
            self._missing_said = False
        except GossipStoreError as error:
            log.unusual(
                LogEvent.GOSSIP_UNREADABLE, "path=%s error=%r channels=%d", self._path, str(error), self._known()
            )
        except OSError as error:
            if not self._missing_said:
                self._missing_said = True
                log.unusual(
                    LogEvent.GOSSIP_MISSING, "path=%s error=%r channels=%d", self._path, str(error), self._known()
                )

    def _replaced(self) -> bool:
        assert self._file is not None
        there, here = os.stat(self._path), os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _reopen(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115  (kept open between reads)

    def _known(self) -> int:
        return int(self._graph().n_channels)

    def _say(self, report: ReadReport) -> None:
        if report.records:
            log.debug(
                LogEvent.GOSSIP_READ,
                "records=%d channels_added=%d channels_removed=%d policies=%d",
                report.records,
                report.channels_added,
                report.channels_removed,
                report.policies,
            )
