"""Pays in a simulated world with the real session and the real planner, in one process and in virtual time.

What the plugin's edge does with tasks, sockets and a thread is here a call put off on the world's clock: a plan
takes no time, a `sendpay` takes no time, an HTLC takes what the world says. So a payment is the same every
time, an hour costs a millisecond, and a test can say exactly which parts were sent, along which channels, when,
and why the next one went another way.

The sender knows what a node would know: gossip as the world's store tells it, its own channels as
`listpeerchannels` would show them, and what comes back from its HTLCs.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from pay.feedback.blame import blame
from pay.feedback.failure import Failure
from pay.feedback.observations import Ended, observations
from pay.invoice import Invoice, InvoiceKind, recipient_of
from pay.liquidity import in_flight as learnt
from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.in_flight import InFlight
from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge
from pay.network import ChannelGraph, GossipStore, OwnChannel, RouteHint
from pay.payment import events as ev
from pay.payment.route_query import route_query
from pay.payment.session import PaymentSession
from pay.payment.settings import Shadow
from pay.payment.states import AttemptStatus
from pay.payment.terms import Terms, hints_of, shadow_for, terms_for
from pay.router.places import place_in
from pay.routing.find import Planner, find, shadow
from pay.routing.halving import plan_cautiously
from pay.routing.query import NoRoute, Route, Situation
from pay.sim.network.channel import SimChannel
from pay.sim.network.clock import Timer, VirtualClock
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, LocalFailure, Settled, Unparsable, WireHop
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.world import World
from pay.sim.network.world_store import keep_up, write_store
from pay.units import NodeId, Scid, ScidDir
from tests.support.worlds.story import DEFAULTS, Limits, Part, Story

_LONG_S = 10 * 86_400.0
"""Virtual seconds after which a payment without an answer is taken to hang."""


@dataclass(slots=True)
class _Running:
    story: Story
    invoice: SimInvoice
    began_s: float
    hints: tuple[RouteHint, ...]
    timer: Timer | None = None
    height_wanted: int | None = None
    missed: tuple[NodeId, ...] = ()


class Sender:
    """A node of the world that pays.

    Parameters
    ----------
    graph
        What it knows of the network; without it, what the world's gossip_store says, kept up as it changes.
    planner
        The real one unless something is compared with it.
    beliefs
        What it learns into and plans with; without, it knows nothing but what each payment has learnt itself.
    """

    def __init__(
        self,
        world: World,
        us: NodeId,
        graph: ChannelGraph | None = None,
        planner: Planner = plan_cautiously,
        beliefs: LiquidityBeliefs | None = None,
    ):
        self.world, self.us, self.planner, self.beliefs = world, us, planner, beliefs
        self._given = graph
        self._store, self._bytes = GossipStore(), io.BytesIO()
        if graph is None:
            keep_up(world, write_store(world, self._bytes))
        self._live: list[_Running] = []
        world.block_listeners.append(self._block_added)

    # --- paying -----------------------------------------------------------------------------------------

    def pay(self, payee: NodeId, amount_msat: int, limits: Limits = DEFAULTS, **invoice: object) -> Story:
        """Pay a new invoice of `payee` and let time pass until there is an answer and nothing is out."""
        made = self.world.create_invoice(payee, amount_msat, "", **invoice)  # type: ignore[arg-type]
        return self.pay_invoice(made, limits)

    def pay_invoice(self, invoice: SimInvoice, limits: Limits = DEFAULTS, amount_msat: int | None = None) -> Story:
        story = self.start(invoice, limits, amount_msat)
        self.settle(story)
        return story

    def start(self, invoice: SimInvoice, limits: Limits = DEFAULTS, amount_msat: int | None = None) -> Story:
        """Begin to pay; nothing happens before time passes."""
        now = self.world.clock.now()
        decoded = _decoded(invoice)
        recipient = recipient_of(decoded, self.us)
        request = limits.request(amount_msat)
        terms = terms_for(
            request, decoded, recipient, limits.settings, us=self.us, groupid=1, now=now, seed=limits.seed
        )
        hints = hints_of(recipient)
        terms = self._shadowed(terms, hints, shadow_for(request, decoded, limits.shadow))
        running = _Running(Story(PaymentSession(terms)), invoice, now, hints)
        self._live.append(running)
        self._post(running, ev.Started())
        return running.story

    def _shadowed(self, terms: Terms, hints: tuple[RouteHint, ...], kind: Shadow) -> Terms:
        if kind is Shadow.OFF or terms.to_self:
            return terms
        own = self._less_unsent()
        asked = Situation(route_query(terms, terms.amount_msat, 0, 0, 0), own, hints=hints, held=self._in_flight())
        walked = shadow(self.graph, asked, self._knowledge(), fee=kind is Shadow.FULL)
        return terms.with_shadow(walked.blocks, walked.fee_msat)

    def settle(self, *stories: Story) -> None:
        """Let time pass until these payments have their answers and no part of them is out."""

        def over() -> bool:
            return all(story.result is not None and not story.session.live for story in stories)

        clock = self.world.clock
        assert isinstance(clock, VirtualClock)
        assert clock.run_until(over, _LONG_S), f"still out: {[story.lines for story in stories]}"

    @property
    def graph(self) -> ChannelGraph:
        """What is known of the network now."""
        if self._given is not None:
            return self._given
        self._store.read(io.BytesIO(self._bytes.getvalue()))
        return self._store.graph

    def own_channels(self) -> list[OwnChannel]:
        """As `listpeerchannels` shows them."""
        return [_own_channel(c, self.us) for c in self.world.nodes[self.us].channels if not c.closed]

    # --- events in, actions out -------------------------------------------------------------------------

    def _post(self, running: _Running, event: ev.Event) -> None:
        for action in running.story.session.handle(event, self.world.clock.now()):
            self._do(running, action)
        if running.story.session.result is not None and running.timer is not None:
            running.timer.cancel()

    def _do(self, running: _Running, action: ev.Action) -> None:
        clock = self.world.clock
        match action:
            case ev.FindRoutes():
                clock.call_later(0.0, lambda: self._find(running, action))
            case ev.SendAttempt(partid, None):
                clock.call_later(0.0, lambda: self._settle_own(running, partid))
            case ev.SendAttempt(partid, route) if route is not None:
                clock.call_later(0.0, lambda: self._send(running, partid, route))
            case ev.WakeAt(at_s):
                if running.timer is not None:
                    running.timer.cancel()
                delay_s = max(0.0, at_s - clock.now())
                running.timer = clock.call_later(delay_s, lambda: self._post(running, ev.TimerFired()))
            case ev.AskPeers(peers, missed, until_s):
                running.story.called += [self.world.nodes[peer].name for peer in peers]
                running.missed = missed
                clock.call_later(0.0, lambda: self._look_for(running, missed, until_s))
            case ev.WaitHeight(height):
                running.height_wanted = height
                self._block_added(self.world.height)
            case ev.Notify(message):
                running.story.messages.append(message)
            case ev.Finish(result):
                running.story.result = result
                running.story.ended_s = clock.now() - running.began_s

    def _look_for(self, running: _Running, missed: tuple[NodeId, ...], until_s: float) -> None:
        """Nobody comes because he is called, in a world: it is looked for them, every quarter of a second."""
        clock = self.world.clock
        if running.missed is not missed or clock.now() >= until_s or running.story.result is not None:
            return
        if any(channel.connected and channel.peer in missed for channel in self.own_channels()):
            running.missed = ()
            self._post(running, ev.PeersBack())
            return
        clock.call_later(0.25, lambda: self._look_for(running, missed, until_s))

    def _find(self, running: _Running, action: ev.FindRoutes) -> None:
        asked = Situation(
            action.query, self._less_unsent(), action.restrictions, running.hints, self._in_flight(), action.whole
        )
        answer = find(self.graph, asked, self._knowledge(), self.planner)
        if isinstance(answer, NoRoute):
            self._post(running, ev.NoRouteFound(action.query_id, answer))
        else:
            self._post(running, ev.RoutesFound(action.query_id, answer))

    def _knowledge(self) -> Knowledge:
        return NOTHING_KNOWN if self.beliefs is None else self.beliefs.knowledge(self.world.clock.now())

    def _send(self, running: _Running, partid: int, route: Route) -> None:
        world, terms = self.world, running.story.session.terms
        now = world.clock.now()
        channels, names = self._along(route)
        part = Part(partid, route, now - running.began_s, None, None, names, channels, world.height)
        running.story.parts.append(part)
        # The host counts expiries from the next block.
        base = world.height + 1
        hops = [WireHop(h.scid, h.node, h.amount_msat, base + h.delay_blocks) for h in route.hops]
        final = FinalPayload(running.invoice.payment_secret, terms.total_msat, running.invoice.metadata)
        try:
            world.send(self.us, hops, terms.payment_hash, final, lambda out: self._ended(running, part, out))
        except LocalFailure as refused:
            part.outcome, part.ended_s = refused, part.sent_s
            failure = Failure(0, int(refused.failcode), refused.text)
            self._post(running, ev.AttemptFailed(partid, failure, part.sent_height))
        else:
            self._post(running, ev.AttemptAccepted(partid))

    def _settle_own(self, running: _Running, partid: int) -> None:
        """A payment to ourselves: no HTLC, no time."""
        invoice, total = running.invoice, running.story.session.terms.total_msat
        preimage = self.world.pay_self(self.us, invoice.payment_hash, total, invoice.payment_secret)
        self._post(running, ev.AttemptSettled(partid, preimage))

    def _ended(self, running: _Running, part: Part, outcome: HtlcOutcome) -> None:
        part.outcome = outcome
        part.ended_s = self.world.clock.now() - running.began_s
        match outcome:
            case Settled(preimage):
                self._learn(running, part, None)
                self._post(running, ev.AttemptSettled(part.partid, preimage))
                return
            case Failed(index, _, _, _, failcode, message):
                failure = Failure(index, failcode, outcome.text, message)
            case Unparsable():
                failure = Failure(None, None, outcome.text, unreadable=True)
        self._learn(running, part, failure)
        self._post(running, ev.AttemptFailed(part.partid, failure, part.sent_height))

    def _learn(self, running: _Running, part: Part, failure: Failure | None) -> None:
        """As the plugin's edge does: what the end of a part shows, beside all parts that were out with it."""
        if self.beliefs is None:
            return
        began = running.began_s + part.sent_s
        seconds = self.world.clock.now() - began
        others = InFlight(tuple(self._parts_beside(part))).since(began)
        said = None
        if failure is not None:
            said = blame(part.route, failure, part.route.hops[-1].node, part.sent_height, seconds)
        late = running.story.session.attempts[part.partid].late
        seen = observations(Ended(part.route, said, seconds, others, late), partial(place_in, self.graph))
        self.beliefs.learn(seen, self.world.clock.now())

    def _parts_beside(self, part: Part) -> Iterator[learnt.Part]:
        for running in self._live:
            for other in running.story.parts:
                if other is part:
                    continue
                holds = tuple((hop.scid_dir, hop.amount_msat) for hop in other.route.hops[1:])
                fate = learnt.Fate.SETTLED if isinstance(other.outcome, Settled) else learnt.Fate.FAILED
                fate = learnt.Fate.OUT if other.outcome is None else fate
                ended = None if other.ended_s is None else running.began_s + other.ended_s
                yield learnt.Part(holds, fate, running.began_s + other.sent_s, ended)

    def _block_added(self, height: int) -> None:
        for running in self._live:
            if running.height_wanted is not None and height >= running.height_wanted:
                running.height_wanted = None
                self.world.clock.call_later(0.0, partial(self._post, running, ev.HeightReached(height)))

    # --- what a plan must know --------------------------------------------------------------------------

    def _in_flight(self) -> dict[ScidDir, int]:
        held: dict[ScidDir, int] = {}
        self._live = [r for r in self._live if r.story.result is None or r.story.session.live]
        for running in self._live:
            for attempt in running.story.session.live:
                for hop in attempt.route.hops[1:] if attempt.route else ():
                    held[hop.scid_dir] = held.get(hop.scid_dir, 0) + hop.amount_msat
        return held

    def _less_unsent(self) -> list[OwnChannel]:
        """Our channels, less what is decided but not in them yet."""
        unsent, parts = Counter[Scid](), Counter[Scid]()
        for running in self._live:
            for attempt in running.story.session.live:
                if attempt.status is AttemptStatus.CREATED and attempt.route is not None:
                    scid = attempt.route.hops[0].scid
                    unsent[scid] += attempt.sent_msat
                    parts[scid] += 1
        return [
            replace(
                c,
                spendable_msat=max(0, c.spendable_msat - unsent[c.scid]),
                outgoing_msat=c.outgoing_msat + unsent[c.scid],
                live_htlcs=c.live_htlcs + parts[c.scid],
            )
            for c in self.own_channels()
        ]

    def _along(self, route: Route) -> tuple[tuple[SimChannel, ...], tuple[str, ...]]:
        """The channels that a route names, and the names of its nodes."""
        nodes = [self.us, *(hop.node for hop in route.hops)]
        channels = []
        for hop, (start, _) in zip(route.hops, pairwise(nodes), strict=True):
            channel = self.world.find_channel(hop.scid, start, own=start == self.us)
            assert channel is not None, f"a route over {hop.scid_dir}, which is not there"
            channels.append(channel)
        return tuple(channels), tuple(self.world.nodes[node].name for node in nodes)


def pay(world: World, us: NodeId, payee: NodeId, amount_msat: int, limits: Limits = DEFAULTS) -> Story:
    """One payment of one sender."""
    return Sender(world, us).pay(payee, amount_msat, limits)


def _decoded(invoice: SimInvoice) -> Invoice:
    """What `decode` would say of it; worlds do without keys and signatures."""
    return Invoice(
        kind=InvoiceKind.BOLT11,
        invstring="",
        payment_hash=invoice.payment_hash,
        payee=invoice.node,
        amount_msat=invoice.amount_msat,
        expires_at=invoice.expires_at,
        final_cltv=invoice.final_cltv,
        payment_secret=invoice.payment_secret,
        payment_metadata=invoice.metadata,
        features=invoice.features,
        description=invoice.description,
        description_hash=invoice.description_hash,
        hints=tuple(tuple(hint) for hint in invoice.hints),
    )


def _own_channel(channel: SimChannel, us: NodeId) -> OwnChannel:
    side = channel.side(us)
    policy = channel.policies[side]
    return OwnChannel(
        scid=channel.name_for(us),
        direction=side,
        peer=channel.peer_of(us).id,
        spendable_msat=channel.spendable_msat(us),
        receivable_msat=channel.receivable_msat(us),
        htlc_min_msat=policy.htlc_min_msat,
        htlc_max_msat=policy.htlc_max_msat,
        # The host reports what we accept, not what the peer does.
        max_htlcs=channel.htlc_limits[1 - side],
        live_htlcs=channel.live_htlcs[side],
        connected=channel.connected(),
        announced=channel.announced,
        fee_base_msat=policy.fee_base_msat,
        fee_ppm=policy.fee_ppm,
        cltv_delta=policy.cltv_delta,
        outgoing_msat=sum(htlc.amount_msat for htlc in channel.htlcs.values() if htlc.direction == side),
        names=frozenset({channel.scid, channel.name_for(us)}),
    )
