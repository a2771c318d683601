"""One HTLC on its way through the simulated network: forward hop by hop, an answer back hop by hop.

Each node that the HTLC reaches does what BOLT 2, 4 and 7 say with the channels it truly has. Errors are chosen in
the order of BOLT 4's list where several apply, but for what lightningd looks at first. A forwarding node may use
any channel to the next node (BOLT 4, "Non-strict Forwarding"): the named one if that takes the HTLC, otherwise
the one with the most to spend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pay.sim.network.channel import ChannelHtlc, Refusal, SimChannel, SimPeer, lacks_required_feature
from pay.sim.network.failures import BADONION, FailCode, failure
from pay.sim.network.faults import Faults
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, LocalFailure, Settled, Unparsable, WireHop
from pay.sim.network.invoices import receive, unknown_details
from pay.sim.network.liars import UNREADABLE, Lie, Place, told_lie
from pay.units import NodeId, direction_of

if TYPE_CHECKING:
    from pay.sim.network.world import World

MAX_HTLC_CLTV = 2016
"""Blocks that an HTLC may be locked at most (BOLT 4, `max_htlc_cltv`)."""

ONION_REPLY_BYTES = 292
"""Length of an error on its way back (BOLT 4: 32 hmac + 2 + 256 + 2)."""


class Flight:
    """An HTLC with everything it has locked; `at` is the number of the node that has it, the sender is 0."""

    __slots__ = (
        "amount_msat", "at", "cltv_expiry", "done", "final", "hops", "htlc_id", "locks", "outcome", "payment_hash",
        "source", "world",
    )  # fmt: skip

    def __init__(
        self,
        world: World,
        htlc_id: int,
        source: SimPeer,
        hops: Sequence[WireHop],
        payment_hash: bytes,
        final: FinalPayload,
        done: Callable[[HtlcOutcome], None],
    ):
        self.world = world
        self.htlc_id = htlc_id
        self.source = source
        self.hops = tuple(hops)
        self.payment_hash = payment_hash
        self.final = final
        self.done = done
        self.at = 0
        self.amount_msat = hops[0].amount_msat
        """Of the HTLC that the node `at` holds."""
        self.cltv_expiry = hops[0].cltv_expiry
        self.locks: list[tuple[SimChannel, int]] = []
        self.outcome: HtlcOutcome | None = None

    # The sender.

    def launch(self) -> None:
        """Offer the HTLC to the first peer.

        Raises
        ------
        LocalFailure
            Where lightningd's `sendpay` would fail at once; nothing happens later then.
        """
        hop = self.hops[0]
        direction = direction_of(self.source.id, hop.node)
        channel = self.world.find_channel(hop.scid, self.source.id, own=True)
        if channel is None or channel.closed or channel.peer_of(self.source.id).id != hop.node:
            text = "No connection to first peer found"
            raise LocalFailure(text, FailCode.UNKNOWN_NEXT_PEER, self.source.id, None, direction)
        refusal = channel.refusal(direction, hop.amount_msat)
        if refusal is Refusal.DISCONNECTED:
            text = "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (First peer not ready)"
            scid = channel.name_for(self.source.id)
            raise LocalFailure(text, FailCode.TEMPORARY_CHANNEL_FAILURE, self.source.id, scid, direction)
        if refusal is not None:
            code, reason = _LOCAL_REASONS[refusal]
            self.outcome = Failed(0, self.source.id, hop.scid, direction, code, b"", reason)
            self.world.clock.call_later(0.0, self._finish)
            return
        self._offer(channel, direction, hop.amount_msat, hop.cltv_expiry)

    # Forward.

    def _offer(self, channel: SimChannel, direction: int, amount_msat: int, cltv_expiry: int) -> None:
        """Lock the amount in a channel that takes it, and be at its other end a little later."""
        channel.add(
            (self.htlc_id, self.at),
            ChannelHtlc(self.htlc_id, direction, amount_msat, cltv_expiry, self.payment_hash),
        )
        self.locks.append((channel, direction))
        self.amount_msat = amount_msat
        self.cltv_expiry = cltv_expiry
        peer = channel.nodes[1 - direction]
        delay_s = channel.latency_s + peer.latency_s
        delay_s += sum(f.delay_s for f in (peer.faults, channel.faults[direction]) if f is not None)
        self.world.clock.call_later(self.world.jittered(delay_s), self._arrive)

    def _arrive(self) -> None:
        """The next node has the HTLC."""
        self.at += 1
        self._act()

    def _act(self) -> None:
        """What the node that has the HTLC does with it."""
        node = self._node()
        if _stuck(node.faults):
            node.parked[self.htlc_id] = self._act
            return
        if node.id != self.hops[self.at - 1].node:
            # The onion is not for this node: it cannot read it, and the node before it says so.
            self.at -= 1
            self._unlock_last(settled=False)
            self._blame(failure(FailCode.INVALID_ONION_HMAC, onion_hash=self.world.noise(32)))
            return
        lie = None
        if node.faults is not None and node.faults.liar is not None:
            lie = node.faults.liar.next(Place.of(self.at, len(self.hops)))
        code = node.faults.take_code() if node.faults is not None else None
        last = self.at == len(self.hops)
        if lie is not None:
            self._lie(node, lie)
        elif code is not None:
            self._blame(self._message(node, code))
        elif lacks_required_feature(node.features):
            self._blame(failure(FailCode.REQUIRED_NODE_FEATURE_MISSING))
        elif last:
            self._receive(node)
        else:
            self._forward(node)

    def _lie(self, node: SimPeer, lie: Lie) -> None:
        """Answer in a liar's words; its name for the channel is the one of the onion."""
        assert node.faults is not None and node.faults.liar is not None
        if lie.code is UNREADABLE:
            self._return(Unparsable(self.world.noise(ONION_REPLY_BYTES)))
            return
        scid = self.hops[min(self.at, len(self.hops) - 1)].scid
        channel = self.world.find_channel(scid, node.id)
        liar, expiry = node.faults.liar, self.cltv_expiry
        self._blame(told_lie(self.world, node, liar, lie, channel, scid, self.amount_msat, expiry))

    def _forward(self, node: SimPeer) -> None:
        hop = self.hops[self.at]
        channel = self.world.find_channel(hop.scid, node.id)
        if channel is None or channel.closed:
            self._blame(failure(FailCode.UNKNOWN_NEXT_PEER))
            return
        direction = channel.side(node.id)
        faults = channel.faults[direction]
        if faults is not None and faults.silent:
            node.parked[self.htlc_id] = self._act
            return
        code = faults.take_code() if faults is not None else None
        if code is None:
            code = self._complaint(node, channel, direction)
        if code is FailCode.TEMPORARY_CHANNEL_FAILURE and self.world.non_strict:
            other = self._other_channel(node, channel, direction)
            if other is not None:
                channel, code = other, None
        if code is not None:
            self._blame(self._message(node, code, channel, direction))
            return
        amount_msat, cltv_expiry = hop.amount_msat, hop.cltv_expiry
        if node.faults is not None:
            amount_msat -= node.faults.skim_msat
            cltv_expiry -= node.faults.skim_blocks
        self._offer(channel, direction, amount_msat, cltv_expiry)

    def _complaint(self, node: SimPeer, channel: SimChannel, direction: int) -> FailCode | None:
        """What is wrong with forwarding over this channel, in the order of BOLT 4's list; None if nothing is."""
        hop, policy = self.hops[self.at], channel.policies[direction]
        height = self.world.height + node.extra_height
        if lacks_required_feature(channel.features):
            return FailCode.REQUIRED_CHANNEL_FEATURE_MISSING
        if hop.amount_msat < policy.htlc_min_msat:
            return FailCode.AMOUNT_BELOW_MINIMUM
        # BOLT 7: accept HTLCs that pay a fee equal to or greater than base + amount * proportional / 1000000.
        fee_msat = policy.fee_base_msat + hop.amount_msat * policy.fee_ppm // 1_000_000
        if self.amount_msat - hop.amount_msat < fee_msat:
            return FailCode.FEE_INSUFFICIENT
        # BOLT 4: cltv_expiry - cltv_expiry_delta >= outgoing_cltv_value.
        if self.cltv_expiry - policy.cltv_delta < hop.cltv_expiry:
            return FailCode.INCORRECT_CLTV_EXPIRY
        if hop.cltv_expiry <= height:
            return FailCode.EXPIRY_TOO_SOON
        if not policy.enabled:
            return FailCode.CHANNEL_DISABLED
        if hop.cltv_expiry > height + MAX_HTLC_CLTV:
            return FailCode.EXPIRY_TOO_FAR
        # No code of its own: lightningd answers so, and the channel_update tells the maximum.
        if hop.amount_msat > policy.htlc_max_msat or channel.refusal(direction, hop.amount_msat) is not None:
            return FailCode.TEMPORARY_CHANNEL_FAILURE
        return None

    def _other_channel(self, node: SimPeer, named: SimChannel, direction: int) -> SimChannel | None:
        """Another channel between the same nodes that takes the HTLC, the one with the most to spend."""
        best: SimChannel | None = None
        for channel in self.world.parallel(named):
            if (
                channel is not named
                and channel.faults[direction] is None
                and self._complaint(node, channel, direction) is None
                and (best is None or channel.balances_msat[direction] > best.balances_msat[direction])
            ):
                best = channel
        return best

    # The recipient.

    def _receive(self, node: SimPeer) -> None:
        hop = self.hops[-1]
        height = self.world.height + node.extra_height
        # BOLT 4: MUST return an error if incoming `amount_msat` < `amt_to_forward`,
        # or incoming `cltv_expiry` < `outgoing_cltv_value`.
        if self.cltv_expiry < hop.cltv_expiry:
            self._blame(failure(FailCode.FINAL_INCORRECT_CLTV_EXPIRY, cltv_expiry=self.cltv_expiry))
            return
        if self.amount_msat < hop.amount_msat:
            self._blame(failure(FailCode.FINAL_INCORRECT_HTLC_AMOUNT, htlc_msat=self.amount_msat))
            return
        invoice = self.world.invoices.get(self.payment_hash)
        if invoice is None or invoice.node != node.id:
            self._blame(unknown_details(self.amount_msat, height))
            return
        receive(self.world.clock, invoice, self, self.final, height, self.world.mpp_timeout_s)

    def settle(self, preimage: bytes) -> None:
        """The recipient's verdict: paid."""
        self._return(Settled(preimage))

    def fail(self, message: bytes) -> None:
        """The recipient's verdict: refused, with this failure message."""
        self._blame(message)

    # Back.

    @property
    def parked(self) -> bool:
        """Whether a node sits on it, before or on the way back over the last channel still locked."""
        return any(self.htlc_id in node.parked for node in self.locks[-1][0].nodes)

    @property
    def locked_until(self) -> int:
        """The height at which the last HTLC still locked times out."""
        channel, _ = self.locks[-1]
        return channel.htlcs[(self.htlc_id, len(self.locks) - 1)].cltv_expiry

    def expire(self) -> None:
        """The HTLC ran out of blocks where it is held, and the chain decides.

        The channel closes. If the preimage was on its way back it shows on the chain and the node before has
        it; otherwise that node takes its money back and answers permanent_channel_failure.
        """
        channel, _ = self.locks[-1]
        for node in channel.nodes:
            node.parked.pop(self.htlc_id, None)
        settled = isinstance(self.outcome, Settled)
        self.at -= 1
        self._unlock_last(settled)
        self.world.close_channel(channel)
        if settled:
            self._travel_back()
        else:
            self._blame(failure(FailCode.PERMANENT_CHANNEL_FAILURE))

    def _node(self) -> SimPeer:
        """The node that has the HTLC."""
        if self.at == 0:
            return self.source
        channel, direction = self.locks[self.at - 1]
        return channel.nodes[1 - direction]

    def _message(
        self, node: SimPeer, code: int, channel: SimChannel | None = None, direction: int = 0
    ) -> bytes:
        """The failure message a forwarding (or faulty) node writes, with the channel_update that goes with it."""
        incoming_msat, outgoing = self.amount_msat, self.hops[min(self.at, len(self.hops) - 1)]
        if channel is None and self.at < len(self.hops):
            channel = self.world.find_channel(outgoing.scid, node.id)
            direction = channel.side(node.id) if channel is not None else 0
        update = b""
        if channel is not None and not (node.faults is not None and node.faults.hides_updates):
            # BOLT 4: MUST set `short_channel_id` to the one used by the incoming onion.
            update = self.world.channel_update(channel, direction, outgoing.scid)
        return failure(
            code,
            # BOLT 4: the amount of the outgoing HTLC if it is too small, of the incoming one if the fee is.
            htlc_msat=outgoing.amount_msat if code == FailCode.AMOUNT_BELOW_MINIMUM else incoming_msat,
            cltv_expiry=self.cltv_expiry if code == FailCode.FINAL_INCORRECT_CLTV_EXPIRY else outgoing.cltv_expiry,
            height=self.world.height + node.extra_height,
            update=update,
            onion_hash=self.world.noise(32) if code & BADONION else bytes(32),
        )

    def _blame(self, message: bytes) -> None:
        """The node that has the HTLC refuses it; the blame is laid as lightningd lays it."""
        code = int.from_bytes(message[:2], "big")
        if self.at == 0:
            hop = self.hops[0]
            self._return(
                Failed(0, self.source.id, hop.scid, direction_of(self.source.id, hop.node), code, b"", "timed out")
            )
            return
        blamed = min(self.at, len(self.hops) - 1)
        start: NodeId = self.hops[blamed - 1].node if blamed else self.source.id
        hop = self.hops[blamed]
        node = hop.node if code & BADONION else self.hops[self.at - 1].node
        outcome = Failed(self.at, node, hop.scid, direction_of(start, hop.node), code, message)
        garbles = self._node().faults
        if garbles is not None and garbles.unparsable:
            self._return(Unparsable(self.world.noise(ONION_REPLY_BYTES)))
        else:
            self._return(outcome)

    def _return(self, outcome: HtlcOutcome) -> None:
        self.outcome = outcome
        self._travel_back()

    def _travel_back(self) -> None:
        """Start over the last channel still locked, or end at the sender."""
        if self.at == 0:
            self.world.clock.call_later(0.0, self._finish)
            return
        channel, _ = self.locks[self.at - 1]
        delay_s = channel.latency_s + self._node().latency_s
        self.world.clock.call_later(self.world.jittered(delay_s), self._step_back)

    def _step_back(self) -> None:
        """The answer reaches the node before, once both ends can talk; the amount in between is unlocked."""
        channel, _ = self.locks[self.at - 1]
        for node in channel.nodes:
            if _stuck(node.faults):
                node.parked[self.htlc_id] = self._step_back
                return
        self.at -= 1
        self._unlock_last(settled=isinstance(self.outcome, Settled))
        if self.at == 0:
            self._finish()
            return
        faults = self._node().faults
        if faults is not None and faults.unparsable and isinstance(self.outcome, Failed):
            self.outcome = Unparsable(self.world.noise(ONION_REPLY_BYTES))
        self._travel_back()

    def _unlock_last(self, settled: bool) -> None:
        channel, _ = self.locks.pop()
        channel.remove((self.htlc_id, len(self.locks)), settled)

    def _finish(self) -> None:
        self.world.forget(self.htlc_id)
        assert self.outcome is not None
        self.done(self.outcome)


def _stuck(faults: Faults | None) -> bool:
    return faults is not None and (faults.silent or faults.offline)


_LOCAL_REASONS: dict[Refusal, tuple[FailCode, str]] = {
    Refusal.CAPACITY: (
        FailCode.TEMPORARY_CHANNEL_FAILURE,
        "WIRE_TEMPORARY_CHANNEL_FAILURE: Capacity exceeded - HTLC fee: 0sat",
    ),
    Refusal.TOO_MANY_HTLCS: (
        FailCode.TEMPORARY_CHANNEL_FAILURE,
        "WIRE_TEMPORARY_CHANNEL_FAILURE: Too many HTLCs",
    ),
    Refusal.BELOW_MINIMUM: (
        FailCode.AMOUNT_BELOW_MINIMUM,
        "WIRE_AMOUNT_BELOW_MINIMUM: HTLC too small (0msat minimum)",
    ),
}
"""What lightningd's channeld answers after `sendpay` has succeeded: failure code and words."""
